"""Configs and studies that come with jaxcnn, found by their names from a checkout and from an installed package."""

import importlib.metadata
import os
import pathlib

from jaxcnn.errors import InputError, nearest

ROOT = pathlib.Path(__file__).parents[1]  # of a checkout; site-packages, where it is installed
INSTALLED = ("share", "jaxcnn")  # what pyproject.toml says of a wheel


def shipped(folder: str, given: str | os.PathLike[str]) -> pathlib.Path:
    """The path of a file that was given by its path or by its name.

    Args:
      folder: "configs" or "experiments".
      given: a path, or the name of a file of jaxcnn's own without folder and ending: "digits_lenet5".
    Raises:
      InputError: a name that none of them has.
    """
    path = pathlib.Path(given)
    if path.suffix or path.name != str(given) or path.exists():
        return path
    known = _files(folder)
    if path.name not in known:
        raise InputError(f"no file of jaxcnn's {folder} is named '{given}'; {nearest(given, known)}; or give a path.")
    return known[path.name]


def names(folder: str) -> list[str]:
    """The names of the files of jaxcnn's own in "configs" or "experiments"."""
    return list(_files(folder))


def _files(folder):
    """{name: path} of jaxcnn's own."""
    if (ROOT / "pyproject.toml").is_file():
        paths = list((ROOT / folder).glob("*.py"))
    else:
        found = importlib.metadata.distributions(name="jaxcnn")  # none where it was merely copied
        files = next((one.files or () for one in found), ())
        paths = [file.locate() for file in files if file.parent.parts[-3:] == (*INSTALLED, folder)]
    return {path.stem: pathlib.Path(path) for path in paths if path.suffix == ".py" and not path.stem.startswith("_")}
