"""Files that are written whole or not at all, and that are named when they are damaged."""

import contextlib
import json
import os
import pathlib
import re
from collections.abc import Generator, Iterable
from typing import Any

from jaxcnn.errors import InputError, disk_is_full


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Generator[pathlib.Path, None, None]:
    """Gives a temporary path; what is written there takes the place of `path` when the block ends without an error.

    After an error, or a kill, the old file is as it was. The new file is on the disk before it takes its name, and it
    has the mode that the umask gives. The temporary file lies in the same folder and has the same suffix.

    Args:
      path: the file to write; its folder must be there.
    Yields:
      A pathlib.Path to write to.
    Raises:
      InputError: the file cannot be written: the disk is full, the folder is read-only or is not there.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode & 0o777  # some libraries make files that only their owner can read
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        if error.filename not in (None, str(temporary), str(path), temporary, path) and not disk_is_full(error):
            raise
        kept = f" {path.name} is as it was before." if path.exists() else ""
        reason = "the disk is full" if disk_is_full(error) else error.strerror
        raise InputError(f"{path} cannot be written: {reason}.{kept}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file as UTF-8, whole or not at all; see `replaced`. Names of files that are none are escaped."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes a value as an indented JSON file, whole or not at all; see `replaced`."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def cache_folder(name: str) -> pathlib.Path:
    """The folder of what can be computed again, in $XDG_CACHE_HOME or ~/.cache; it need not be there."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "jaxcnn" / name


def local_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """A path as the user gave it, with ~ for the home directory.

    Raises:
      InputError: it is the address of something else, as a bucket's gs://...
    """
    if re.match(r"[A-Za-z][\w+.-]+:/", str(path)):  # a Path has one slash left of two
        raise InputError(f"{path} is no folder of this machine; only local folders: mount it, or copy what it holds.")
    return pathlib.Path(os.path.expanduser(path))


def read_json(path: str | os.PathLike[str], kind: type = dict) -> Any:
    """The value of a JSON file.

    Args:
      path: the file.
      kind: the type that the value has.
    Raises:
      InputError: the file is not there, cannot be read, is no JSON or holds another type; names file and line.
    """
    try:
        value = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged: line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is no JSON text in UTF-8.") from error
    if not isinstance(value, kind):
        raise InputError(f"{path} is damaged: it holds {type(value).__name__}, not {kind.__name__}.")
    return value


def check_keys(value: Any, keys: Iterable[str], where: str, layout: str) -> None:
    """Raises InputError where a value of a JSON file is no object, or one that lacks a key.

    Args:
      value: from `read_json`, or within it.
      keys: that it must have.
      where: the file, and the place in it, for the error.
      layout: how the file should look, for the error.
    """
    if lacks := [key for key in keys if not isinstance(value, dict) or key not in value]:
        raise InputError(f"{where} lacks {', '.join(map(repr, lacks))}: {layout}.")


def check_unique(values: Iterable[Any], where: str, what: str) -> None:
    """Raises InputError where a value comes twice, and names it.

    Args:
      values: hashable.
      where, what: the file, and what of it the values are, for the error.
    """
    seen = set()
    for value in values:
        if value in seen:
            raise InputError(f"{where} has {what} {value!r} twice.")
        seen.add(value)


@contextlib.contextmanager
def damage_named(path: str | os.PathLike[str], remedy: str) -> Generator[None, None, None]:
    """Raises InputError for what is wrong with the content of a file: a key that is not there, a value of another type.

    Args:
      path: the file, for the error.
      remedy: a sentence with what to do.
    """
    try:
        yield
    except InputError:
        raise
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error).removesuffix(".")
        raise InputError(f"{path} is damaged: {reason}. {remedy}") from error
