"""Tensors of a file by name: safetensors, PyTorch's state_dicts by its weights-only loader, Caffe's caffemodels."""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import warnings
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.transfer.caffemodel import read_caffemodel
from jaxcnn.transfer.state_dict import find_weights

if TYPE_CHECKING:
    import numpy as np


FORMATS = "safetensors, a state_dict of PyTorch (.pth, .pt, .th, .bin, ...; needs torch), Caffe's .caffemodel"
TORCH = (2, 10)  # older versions execute what they should refuse, weights_only or not
START = 512  # bytes, by which a format is known

OTHERS = {  # that people have, by their first bytes
    b"\x89HDF": "it is HDF5, as Keras writes it",
    b"<": "it is a web page or XML: did its download fail?",
    b"version https://git-lfs": "it is Git LFS's pointer to the file: `git lfs pull` fetches the file itself",
}


def read_tensors(file: str | os.PathLike[str], key: str = "") -> dict[str, np.ndarray]:
    """{name: array} of a file; nothing in it is executed.

    The format is known by the file's content, whatever its suffix. `jaxcnn.transfer.state_dict` tells how the weights
    are found in a training checkpoint.

    Args:
      file: a path.
      key: under which name the weights lie, of a file that holds several; "" looks for them.
    Raises:
      InputError: the file is not there, of another format or damaged, or torch is needed and not installed.
    """
    file = pathlib.Path(file)
    if not file.is_file():
        raise InputError(f"there is no file {file}.")
    try:
        with file.open("rb") as opened:
            start = opened.read(START)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from error
    return find_weights(_reader(file, start)(file), key=key, file=file)


def _reader(file, start):
    """The reader of a file that starts so; its suffix counts only where that tells nothing."""
    if start[8:9] == b"{":
        return _safetensors
    if start.startswith((b"PK\x03\x04", b"\x80")):  # zip, pickle
        return _torch
    for first, what in OTHERS.items():
        if start.startswith(first):
            raise InputError(f"{file} is not of a format that can be read: {what}. Formats: {FORMATS}.")
    readers = {".safetensors": _safetensors, ".pth": _torch, ".pt": _torch, ".caffemodel": _caffe}
    if file.suffix not in readers:
        raise InputError(f"{file} is not of a format that can be read: {FORMATS}.")
    return readers[file.suffix]


def _safetensors(file):
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} cannot be read as safetensors: {error}.") from error


def _torch(file):
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{file} needs PyTorch to be read (pip install torch), or convert it to safetensors where that is."
        ) from error
    if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < TORCH:
        raise InputError(
            f"{file} needs PyTorch {'.'.join(map(str, TORCH))} or newer to be read, here is {torch.__version__}: in "
            "older ones such a file can run code (CVE-2025-32434, CVE-2026-24747). Upgrade it, or convert the file to "
            "safetensors where you trust it."
        )
    try:
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch have no exception class in common
        raise InputError(_refusal(file, str(error))) from error
    return _arrays(found, torch, file)


def _refusal(file, text):
    """One sentence of ours for what torch says: its own advises to load such files without protection."""
    if "TorchScript" in text:
        return f"{file} is a program of TorchScript: where you trust it, save the state_dict() of torch.jit.load()."
    found = re.search(r"GLOBAL ([\w.]+) was not an allowed", text)
    if not found:
        return f"{file} cannot be read as a file of torch.save: it is damaged, of another kind or no state_dict."
    return (
        f"{file} holds {found[1]} beside tensors; reading such an object can run code, so it is not read. Where you "
        "trust the file, load it in PyTorch and save the network's state_dict() alone, or as safetensors."
    )


def _arrays(found, torch, file):
    """Nested dicts with NumPy's arrays instead of tensors; NumPy lacks the short formats, which become float32."""
    if isinstance(found, dict):
        return {name: _arrays(value, torch, f"{file}, {name}") for name, value in found.items()}
    if not isinstance(found, torch.Tensor):
        return found
    known = (torch.float16, torch.float32, torch.float64)
    array = found.detach()
    try:
        return (array.float() if array.is_floating_point() and array.dtype not in known else array).numpy()
    except (TypeError, RuntimeError) as error:  # sparse, quantised
        raise InputError(f"{file} is a tensor of {array.dtype}, {array.layout}, which cannot be converted.") from error


def _caffe(file):
    try:
        return read_caffemodel(file.read_bytes())
    except (ValueError, OverflowError) as error:
        raise InputError(f"{file} cannot be read as a caffemodel: {error}.") from error
