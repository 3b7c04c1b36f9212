"""An image folder as a data set of tensorflow-datasets, in few large files: written once, without TensorFlow."""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

from jaxcnn.data.decode import DataError
from jaxcnn.data.encode import stored_image
from jaxcnn.data.folder import Folder
from jaxcnn.data.records import ON_ERROR
from jaxcnn.data.shards import (
    VERSION,
    count_records,
    is_complete,
    make_features,
    serialize,
    split_shards,
    write_metadata,
    write_shard,
)
from jaxcnn.errors import InputError, disk_is_full, input_errors
from jaxcnn.files import read_json, write_json
from jaxcnn.progress import ProgressBar

SHARD_BYTES = 256 * 2**20
PLAN = "preparation.json"  # beside the shards: what they are made of
LISTED = 20  # files that an error names


def prepare_folder(
    path: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    size: int | None = None,
    on_error: str = "raise",
    shard_bytes: int = SHARD_BYTES,
    quiet: bool = False,
) -> str:
    """Writes an image folder as the data set `tfds:NAME`: the same records in the same order, splits and classes.

    It is an ordinary set of tensorflow-datasets, `data_dir/NAME/1.0.0`, which `tfds.builder_from_directory` opens too.
    JPEG and PNG files are stored byte by byte, others without loss as PNG (`stored_image`).

    A preparation that was killed resumes with the missing shards, and ends with the same bytes as an unbroken one. The
    metadata come last: what is not complete cannot be loaded.

    Args:
      path: the folder, as in `folder:PATH`.
      data_dir: where to; None is TFDS's own directory.
      name: of the new set, lower case; None is made of the folder's.
      size: the short side, in pixels, of images that are larger; None stores all as they are. See `stored_image`.
      on_error: "raise" names the files that cannot be decoded and completes nothing, "skip" leaves them out; a record
        after them then has another id than in the folder.
      shard_bytes: of the image files of a shard, about.
      quiet: show nothing.
    Returns:
      The directory of the prepared set.
    Raises:
      InputError: the folder has another layout, an option or the name is wrong, files cannot be decoded, the directory
        cannot be written or its disk is full, or what is there was made of other files.
    """
    from tensorflow_datasets.core import constants

    if on_error not in ON_ERROR:
        raise InputError(f"on_error is {on_error!r}; it must be one of {', '.join(map(repr, ON_ERROR))}")
    if size is not None and size < 1:
        raise InputError(f"size is {size}; it is a side in pixels, at least 1")
    root, data_dir = (os.path.abspath(os.path.expanduser(p)) for p in (path, data_dir or constants.DATA_DIR))
    name = _name(name, root)
    directory = pathlib.Path(data_dir, name, VERSION)
    if directory.resolve().is_relative_to(pathlib.Path(root).resolve()):
        raise InputError(
            f"{directory} lies in the folder {root} and would be one of its classes: give another data_dir"
        )
    with input_errors("prepare"):
        source = Folder(root)
        _check_names(source)
        shards, plan = _plan(source, root, directory, name, size=size, shard_bytes=shard_bytes)
    try:
        _open(directory, plan, root)
        _write(source, shards, directory, name, root, size=size, on_error=on_error, quiet=quiet)
    except OSError as error:
        if disk_is_full(error):
            raise InputError(
                f"the disk of {directory} is full. Complete shards are kept: free some space, and the same command "
                "resumes."
            ) from error
        raise InputError(f"{directory} cannot be written: {error}") from error
    return os.fspath(directory)


def _open(directory, plan, root):
    """Makes the directory; raises InputError where it is not that of this plan."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / PLAN
    if not path.exists():
        left = (file.name for file in directory.iterdir() if not (file.name.startswith(".") or file.suffix == ".tmp"))
        if found := sorted(left):
            raise InputError(f"{directory} holds another data set ({found[0]}): give another --name or --data_dir")
        write_json(path, plan)
    begun = read_json(path)
    for option in ("size", "shard_bytes"):
        if begun[option] != plan[option]:
            raise InputError(
                f"{directory} was made with {option} {begun[option]}, not {plan[option]}: give that, or another --name"
            )
    if begun != plan:
        raise InputError(
            f"{root} holds other files than when {directory} was made or begun ({_images(begun)} then, "
            f"{_images(plan)} now): restore the folder, give another --name, or remove {directory} and start anew"
        )


def _images(plan):
    return ", ".join(f"{split} {count:,}" for split, count in plan["images"].items()) + " images"


def _write(source, shards, directory, name, root, *, size, on_error, quiet):
    complete = is_complete(directory)
    lenient = complete or on_error == "skip"
    missing = [shard for shard in shards if not _is_done(shard, lenient)]
    total = sum(map(len, shards))
    progress = ProgressBar(total, start=total - sum(map(len, missing)), title=name, quiet=quiet)
    with contextlib.closing(progress):
        for note in source.notes(source.split_names):
            progress.line(note)
        if complete and not missing:
            progress.line(f"tfds:{name} is complete in {directory}: nothing to do")
            return
        if size is None:
            _check_space(directory, sum(shard.bytes for shard in missing))
        if 0 < len(missing) < len(shards):
            progress.line(f"{len(shards) - len(missing)} of {len(shards)} shards are there; writing the others")
        writer = _Writer(source, progress, size=size, on_error=on_error)
        writer.write(missing)
        if writer.unreadable and on_error == "raise":
            raise InputError(_unreadable(writer.unreadable, directory))
        description = f"The images of {root}" + (f", their short sides at most {size} pixels." if size else ".")
        write_metadata(directory, name, shards, source.classes, description=description)
        stored = sum(count_records(shard.path) or 0 for shard in shards)
        megabytes = sum(shard.path.stat().st_size for shard in shards) / 1e6
        progress.line(
            f"tfds:{name} has {stored:,} of {total:,} images, {megabytes:,.1f} MB in {len(shards)} files: "
            f"--config.data.name=tfds:{name} --config.data.data_dir={directory.parent.parent}"
        )


def _is_done(shard, lenient):
    """Whether an earlier start wrote the shard; one with records left out is not, unless lenient."""
    count = count_records(shard.path)
    return count is not None and (lenient or count == len(shard))


def _check_space(directory, needed):
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise InputError(
            f"{directory} has {free / 1e6:,.0f} MB free; the images take {needed / 1e6:,.0f} MB. Free some space, or "
            "give another --data_dir or a --size."
        )


def _unreadable(errors, directory):
    listing = "".join(f"\n  {error}" for error in errors[:LISTED])
    rest = f"\n  and {len(errors) - LISTED:,} more" if len(errors) > LISTED else ""
    return (
        f"{len(errors):,} images cannot be read, and the set was not completed:{listing}{rest}\nLeave them out by "
        f"--on_error skip; or mend or remove them, remove {directory}, and start anew."
    )


class _Writer:
    """Writes shards; images are read, checked and encoded by threads, for libjpeg and Pillow release Python's lock."""

    def __init__(self, source, progress, *, size, on_error):
        self.source, self.progress, self.size, self.on_error = source, progress, size, on_error
        self.features = make_features(source.classes)
        self.unreadable = []
        self.done, self.begin = progress.start, time.monotonic()

    def write(self, shards):
        self.pool = ThreadPoolExecutor()
        try:
            for number, shard in enumerate(shards, start=1):
                self._write_shard(shard)
                self._show(line=f"shard {number}/{len(shards)}")
        finally:
            self.pool.shutdown(cancel_futures=True)

    def _write_shard(self, shard):
        temporary = shard.path.with_name(f"{shard.path.name}.tmp")
        before = len(self.unreadable)
        try:
            write_shard(temporary, self._records(shard))
            if self.on_error == "skip" or len(self.unreadable) == before:
                temporary.replace(shard.path)
        finally:
            temporary.unlink(missing_ok=True)

    def _records(self, shard):
        for record in self.pool.map(functools.partial(self._record, shard.split), range(shard.start, shard.stop)):
            self.done += 1
            self._show()
            if isinstance(record, DataError):
                self.unreadable.append(record)
                self.progress.line(f"cannot be read: {record}")
            else:
                yield record

    def _record(self, split, record):
        """Returns the bytes to write, or the DataError."""
        ((data, label),) = self.source.fetch(split, [record])
        try:
            if isinstance(data, DataError):
                raise data
            return serialize(self.features, stored_image(data, size=self.size), label)
        except DataError as error:
            return DataError(f"{self.source.describe_record(split, record)}: {error}")

    def _show(self, line=None):
        rate = (self.done - self.progress.start) / (time.monotonic() - self.begin)
        rate = f"{rate:,.0f} images/s"
        line = line and f"{line}  {self.done:,}/{self.progress.total:,} images  {rate}"
        self.progress.show(self.done, beside_bar=rate, line=line)


def _name(name, root):
    import tensorflow_datasets as tfds

    name = name or re.sub(r"\W+", "_", os.path.basename(root).lower()).strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"the name of a data set is lower case letters, digits and _, not {name!r}: give --name")
    if name in tfds.list_builders(with_community_datasets=False):  # TFDS would look for its own configs of it
        raise InputError(f"tensorflow-datasets has a set {name} of its own: give --name, for example {name}_folder")
    return name


def _plan(source, root, directory, name, *, size, shard_bytes):
    """Returns the shards, and a fingerprint (a dict) of the folder and the options."""
    digest, images, shards = blake2b(digest_size=16), {}, []
    for split in source.split_names:
        (images[split],) = source.shard_lengths(split)
        files = [source.describe_record(split, record) for record in range(images[split])]
        sizes = [_size(file) for file in files]
        for file, count in zip(files, sizes, strict=True):
            digest.update(os.fsencode(f"{split} {file[len(root) :]} {count}\n"))
        shards += split_shards(directory, name, split, sizes, shard_bytes=shard_bytes)
    return shards, {"images": images, "files": digest.hexdigest(), "size": size, "shard_bytes": shard_bytes}


def _check_names(source):
    """Raises ValueError for class names that a data set of TFDS, a line of a text file each, would change."""
    for name in source.classes:
        if name != name.strip() or len(name.splitlines()) != 1 or not name.isprintable():
            raise ValueError(
                f"the class folder {name!r} of {source.name} has blanks around its name, or signs that are no text: a "
                "prepared set would call it something else. Rename the folder"
            )


def _size(file):
    try:
        return os.stat(file).st_size
    except OSError:  # a broken link: named when it is read
        return 0
