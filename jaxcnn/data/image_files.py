"""Which files below a folder are images, which are left out, and what is nobody's data."""

import os
import pathlib
import stat
from collections import Counter
from collections.abc import Iterable, Iterator

from jaxcnn.data.fit import DataError
from jaxcnn.errors import InputError

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm"}
)
# What archives, desktops and storage servers leave behind; names that begin with a dot are left aside too.
LEAVINGS = frozenset({"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "thumbs.db", "desktop.ini"})
PHOTOGRAPHS = frozenset({".heic", ".heif", ".avif", ".jp2", ".jxl", ".dng", ".cr2", ".nef", ".arw", ".psd"})
NOT_READ = " (not read by jaxcnn: convert them to JPEG or PNG)"
NAMED = 8  # kinds of files that are named one by one


def is_leaving(name: str) -> bool:
    """Whether a file or folder of this name is no data of a person's: it is passed over without a word."""
    return name.startswith(".") or name.lower() in LEAVINGS


def is_image(name: str) -> bool:
    """Whether a file of this name is an image that is read."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def folders(root: str) -> list[str]:
    """The names of the folders in a folder, sorted; without leavings."""
    return [entry.name for entry in _entries(root) if _is_folder(entry)]


def loose_images(root: str) -> int:
    """How many images lie in a folder itself."""
    return sum(is_image(entry.name) and not _is_folder(entry) for entry in _entries(root))


def find_images(root: str | os.PathLike[str], left_out: Counter[str] | None = None) -> Iterator[str]:
    """Yields the paths of the images below root, relative to it. A folder that links lead to twice is visited once.

    Args:
      root: a folder.
      left_out: a Counter, to which every other file is added by its extension.
    """
    visited = {os.path.realpath(root)}
    pending = [""]
    while pending:
        below = pending.pop()
        for entry in _entries(os.path.join(root, below)):
            if _is_folder(entry):
                real = os.path.realpath(entry.path)
                if real not in visited:
                    visited.add(real)
                    pending.append(os.path.join(below, entry.name))
            elif is_image(entry.name):
                yield os.path.join(below, entry.name)
            elif left_out is not None:
                left_out[os.path.splitext(entry.name)[1].lower() or "without an extension"] += 1


def files_below(paths: Iterable[str | os.PathLike[str]]) -> tuple[list[pathlib.Path], Counter[str]]:
    """The files that paths name, and the images below the folders among them.

    Returns:
      (files, left_out): paths in the order given, those of a folder sorted; and a Counter of the other files in the
      folders, by extension.
    Raises:
      InputError: a path is not there, or a folder holds no image.
    """
    files, left_out = [], Counter()
    for path in map(pathlib.Path, paths):
        if not path.is_dir():
            if not path.exists():
                raise InputError(f"there is no file or folder {path}.")
            files.append(path)
            continue
        others = Counter()
        found = sorted(path / name for name in find_images(path, others))
        if not found:
            seen = f" It holds {say_left_out(others)}." if others else ""
            raise InputError(f"there is no image in {path}; images end in {', '.join(sorted(EXTENSIONS))}.{seen}")
        files += found
        left_out += others
    return files, left_out


def read_file(path: str | os.PathLike[str]) -> bytes | DataError:
    """The bytes of a file, or the DataError that says why it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for without an end
            return DataError("it is not a file: a pipe, a socket or a device")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        return DataError(f"the file cannot be read ({error.strerror})")


def say_left_out(left_out: Counter[str]) -> str:
    """ "20 .heic (not read: convert them to JPEG or PNG), 1 .txt" of a Counter by extension; "" of none."""
    named = left_out.most_common(NAMED)
    said = [f"{count:,} {kind}" + NOT_READ * (kind in PHOTOGRAPHS) for kind, count in named]
    others = left_out.total() - sum(count for _, count in named)
    return ", ".join(said + [f"{others:,} other files"] * (others > 0))


def _entries(folder):
    """The entries of a folder, without leavings, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not is_leaving(e.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read: {error.strerror}.") from error


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other
        return False
