"""Names of data sets: `digits`, `tfds:<name>`, folders of FILES, or `package.module:attribute` of the user's own."""

import contextlib
import contextvars
import difflib
import functools
import importlib.util
import os
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from jaxcnn import trust
from jaxcnn.data.detection.coco import COCO
from jaxcnn.data.detection.proposed import Proposed
from jaxcnn.data.detection.scenes import scenes
from jaxcnn.data.detection.voc import VOC
from jaxcnn.data.digits import IMAGE_SIZE as DIGITS_SIZE
from jaxcnn.data.digits import digits
from jaxcnn.data.flat import Flat
from jaxcnn.data.folder import Folder
from jaxcnn.data.labels import LabelTable
from jaxcnn.data.pairs import Pairs
from jaxcnn.data.records import Records
from jaxcnn.data.scene_labels import scene_labels
from jaxcnn.data.split_folders import nested
from jaxcnn.data.text.captions import Captions
from jaxcnn.data.text.labelled import Labelled
from jaxcnn.data.text.sentences import COUNTS, sentences
from jaxcnn.data.text.sequences import add, copy, reverse
from jaxcnn.data.text.strings import strings
from jaxcnn.data.tfds import open_tfds
from jaxcnn.errors import InputError, input_errors
from jaxcnn.progress import waiting

WELL_KNOWN = ("mnist", "fashion_mnist", "cifar10", "cifar100", "imagenet2012", "imagenette")  # offered for a slip
NAMES = (
    "digits, scenes, scene_labels, strings, sentences, sentences_20000, copy, reverse, add_<length>, tfds:<name>, "
    "folder:<path>, images:<path>, pairs:<path>, labels:<path>, voc:<path>, coco:<path>, text:<path>, captions:<path>, "
    "or package.module:attribute of your own"
)
EMBEDDED = {
    "digits": digits,
    "scenes": scenes,
    "scene_labels": scene_labels,
    "strings": strings,
    "sentences": sentences,
    "sentences_20000": functools.partial(sentences, counts={**COUNTS, "train": 20_000}),
    "copy": copy,
    "reverse": reverse,
    **{f"add_{length}": functools.partial(add, length) for length in (10, 25, 50, 100, 200)},
}
FILES = {  # sets in files: KIND:PATH
    "folder": Folder,
    "images": Flat,
    "pairs": Pairs,
    "labels": LabelTable,
    "voc": VOC,
    "coco": COCO,
    "text": Labelled,
    "captions": Captions,
}


_kept: contextvars.ContextVar[Any] = contextvars.ContextVar("kept", default=None)


@contextlib.contextmanager
def look_up_once() -> Generator[None, None, None]:
    """Within a `with` block each data set is looked up once, however many splits and runs ask for it."""
    token = _kept.set({} if _kept.get() is None else _kept.get())
    try:
        yield
    finally:
        _kept.reset(token)


def load(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: Sequence[int] | None = None,
    channels: int | None = None,
    fit: str = "crop",
    resize: int = 0,
    interpolation: str = "bilinear",
    on_error: str = "raise",
    proposals: Mapping[str, Any] | None = None,
) -> Records:
    """Loads one split of a data set.

    ```python
    records = load("tfds:cifar10", "train[:90%]", data_dir="~/tensorflow_datasets")
    records[0]["image"].shape, records.classes[records[0]["label"]]      # (32, 32, 3), "horse"
    ```

    Args:
      name: `digits` and `scenes` (embedded; digits are 32x32 unless image_size says otherwise), `scene_labels` (which
        digits a scene holds), `strings` of digits, `sentences` on 6,000 scenes of two digits and `sentences_20000` on
        more, the toy sequences `copy`, `reverse` and `add_100` (of 10, 25, 50, 100 or 200 steps), `tfds:<name>` (also
        `tfds:<name>/<config>` and `tfds:<name>:<version>`), `folder:<path>` of class folders, `images:<path>` of images
        without classes, `pairs:<path>` of two folders of images with the same names, `labels:<path>` of images with any
        number of labels, `voc:<path>` and `coco:<path>` of images with boxes, `text:<path>` of images with a text each,
        `captions:<path>` of images with sentences, or `package.module:attribute`: a callable of your own that takes
        (split, *, data_dir, image_size, channels, fit, on_error) and returns Records; resize and interpolation too,
        where they are set.
      split: a TFDS split expression: `train`, `train[:90%]`, `train[10:20]`, `train[:50%]+test`.
      data_dir: where the sets of tensorflow-datasets are prepared.
      image_size: (height, width), or None for the stored size; folders of files need one.
      channels: 1, 3, or None for the stored number (3 for folders of files).
      fit: "crop" scales the short side to the size and crops the centre, "stretch" resizes both sides, "pad" centres
        the unscaled image on zeros, "inside" scales the whole image into the size, with zeros to the right and below.
      resize: with fit "crop", the short side in pixels before the centre of image_size is cut out: 256 for 224 in most
        reports; 0 just covers image_size. With "inside" the largest short side, 600 of an image_size of (1000, 1000) in
        Fast R-CNN; 0 for as large as fits.
      interpolation: "bilinear" or "bicubic", both antialiased.
      on_error: "raise" a DataError for a record that cannot be read, or "skip" it: zeros with mask 0, logged once.
      proposals: None, or options of jaxcnn.data.detection.proposed.Proposed, as {"count": 2000}: every example then
        holds boxes that may be of objects, of selective search. They are found once, which takes a second or two an
        image, and kept in a folder.
    Returns:
      Records.
    Raises:
      ValueError: the name, the split or an option is wrong, or the data is not there; the message says what to do.
    """
    trust.allow(name)
    scaling: dict[str, Any] = {"resize": resize, "interpolation": interpolation}
    options: dict[str, Any] = {"image_size": image_size, "channels": channels, "fit": fit, "on_error": on_error}
    options["proposals"] = proposals
    return load_allowed(name, split, data_dir=data_dir, **options, **scaling)


def load_allowed(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None,
    resize: int,
    interpolation: str,
    proposals: Mapping[str, Any] | None = None,
    **options: Any,
) -> Records:
    """`load` for a name that stands in a config or a file: the user must have allowed it before."""
    scaling = {"resize": resize, "interpolation": interpolation}
    if own := _own(name):
        if proposals:
            raise InputError(f"proposals are of our own data sets, not of {name}: wrap its Source in Proposed.")
        changed = scaling if resize or interpolation != "bilinear" else {}
        with trust.slips_named(f"data set {name}, split {split!r}", name):
            records = own(split, data_dir=data_dir, **options, **changed)
        if not isinstance(records, Records):
            raise InputError(f"data set {name} returns {type(records).__name__}; it returns jaxcnn.data.Records.")
        return records
    if name == "digits" and options["image_size"] is None:
        options["image_size"] = DIGITS_SIZE
    source = _source(name, data_dir)
    if proposals:
        with input_errors("config.data.proposals"):
            source = Proposed(source, **proposals)
    records = Records(source, split, **options, **scaling)
    if proposals:
        for part in records.parts:
            source.find(*part)
    return records


def default_splits(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> dict[str, str]:
    """Returns the split expressions of a run that selects on data held out of train and touches test once.

    The set's own validation split is used where there is a test split too; a set of train and one other split (ILSVRC,
    a folder of train/ and val/) is tested on that other split. A callable of your own may carry an attribute
    `default_splits`, a dict; without it the splits are those of a set with train and test.

    Args:
      name, data_dir: as in `load`.
    Returns:
      `{"train": expression, "validation": expression, "test": expression}`; {} of images: and pairs: without `train`.
    Raises:
      ValueError: the name is wrong, the data is not there, or it has no split `train`.
    """
    trust.allow(name)
    return splits_of_allowed(name, data_dir=data_dir)


def splits_of_allowed(name: str, *, data_dir: str | os.PathLike[str] | None) -> dict[str, str]:
    """`default_splits` for a name that stands in a config: the user must have allowed it before."""
    if own := _own(name):
        return dict(getattr(own, "default_splits", None) or _held_out("train", 90, "test"))
    source = _source(name, data_dir)
    splits = source.split_names
    validation = next((split for split in ("validation", "val", "valid") if split in splits), None)
    if "train" not in splits and isinstance(source, Flat):
        return {}  # folders of any names are its splits
    if "train" not in splits:
        raise ValueError(f"{name} has no split `train`, only {', '.join(splits)}: name the splits of the run yourself")
    if validation and "test" in splits:
        return {"train": "train", "validation": validation, "test": "test"}
    if "test" in splits:
        return _held_out("train", 90, "test")
    if validation:
        large = sum(source.shard_lengths("train")) >= 500_000  # 1 % of ILSVRC is 12,812 images
        return _held_out("train", 99 if large else 90, validation)
    return {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}


def located(name: str) -> str:
    """Returns the name of a data set that means the same in any current folder: KIND:PATH with an absolute path."""
    kind, _, path = name.partition(":")
    return f"{kind}:{os.path.abspath(os.path.expanduser(path))}" if kind in FILES and path else name


def path_of(name: str) -> str | None:
    """Returns the path of a data set that is a folder of files, of the kinds of FILES; None of another."""
    kind, _, path = name.partition(":")
    return path if kind in FILES and path else None


def check_classes(name: str, classes: Sequence[str]) -> None:
    """Raises ValueError where a network could only learn to say the one class that there is."""
    if len(classes) == 1:
        below = nested(name.partition(":")[2]) if name.startswith("folder:") else None
        question = f" Did you mean folder:{below}?" if below else ""
        raise ValueError(f"{name} has one class, {classes[0]}: there is nothing to tell apart.{question}")


def _held_out(split, percent, test):
    return {"train": f"{split}[:{percent}%]", "validation": f"{split}[{percent}%:]", "test": test}


def _source(name, data_dir):
    kept = {} if _kept.get() is None else _kept.get()
    if (name, data_dir) not in kept:
        with waiting(f"looking through {name}"):
            kept[name, data_dir] = _open(name, data_dir)
    return kept[name, data_dir]


def _open(name, data_dir):
    kind, _, rest = name.partition(":")
    if name in EMBEDDED:
        return _embedded(name)
    if kind == "tfds" and rest:
        return open_tfds(rest, data_dir)
    if kind in FILES and rest:
        return FILES[kind](rest)
    raise ValueError(_unknown(name))


@functools.cache
def _embedded(name):
    """Drawn once a process: the 2,400 scenes take a second."""
    return EMBEDDED[name]()


def _own(name):
    """Returns the user's callable for `package.module:attribute`, None for the names that are ours."""
    if not isinstance(name, str):
        raise ValueError(f"the name of a data set is a string ({NAMES}), not {name!r}")
    kind = name.partition(":")[0]
    if not trust.is_code(name):
        return None
    slip = "." not in kind and difflib.get_close_matches(kind, ("tfds", *FILES), 1)
    if slip and importlib.util.find_spec(kind) is None:
        raise ValueError(_unknown(name))
    return trust.import_code(name, kind="data set")


def _unknown(name):
    kind, _, rest = name.partition(":")
    known = {**{name: name for name in EMBEDDED}, **{short: f"tfds:{short}" for short in WELL_KNOWN}}
    if os.path.isdir(os.path.expanduser(name)):
        hint = f" Did you mean folder:{name}?"
    elif rest and (nearest := difflib.get_close_matches(kind, ("tfds", *FILES), 1)):
        hint = f" Did you mean {nearest[0]}:{rest}?"
    elif nearest := difflib.get_close_matches(rest or kind, known, 1):
        hint = f" Did you mean {known[nearest[0]]}?"
    else:
        hint = ""
    return f"unknown data set {name!r}.{hint} A data set is {NAMES}"
