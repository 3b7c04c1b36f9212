"""Tensors of a file by name: safetensors, PyTorch's .pth through its weights-only loader, Caffe's .caffemodel."""

import pathlib

from jaxcnn.errors import InputError
from jaxcnn.transfer.caffemodel import read_caffemodel

FORMATS = ".safetensors, .pth or .pt (needs torch), .caffemodel"


def read_tensors(file):
    """{name: array} of a file; nothing in it is executed.

    Args:
      file: a path that ends in .safetensors, .pth, .pt or .caffemodel.
    Raises:
      InputError: the file is not there, of another format or damaged, or torch is needed and not installed.
    """
    file = pathlib.Path(file)
    readers = {".safetensors": _safetensors, ".pth": _torch, ".pt": _torch, ".caffemodel": _caffe}
    if not file.is_file():
        raise InputError(f"there is no file {file}.")
    if file.suffix not in readers:
        raise InputError(f"{file} is not of a format that can be read: {FORMATS}.")
    return readers[file.suffix](file)


def _safetensors(file):
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except (SafetensorError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read as safetensors: {error}.") from error


def _torch(file):
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{file} needs PyTorch to be read (pip install torch), or convert it to safetensors where that is."
        ) from error
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch have no exception class in common
        raise InputError(f"{file} cannot be read by torch.load(weights_only=True): {error}") from error
    for key in ("state_dict", "model"):  # of a whole training checkpoint
        found = found[key] if isinstance(found, dict) and isinstance(found.get(key), dict) else found
    if not isinstance(found, dict) or not all(isinstance(x, torch.Tensor) for x in found.values()):
        raise InputError(f"{file} holds no state_dict: names and tensors are expected.")
    prefix = "module." if found and all(name.startswith("module.") for name in found) else ""  # nn.DataParallel
    tensors = {name.removeprefix(prefix): x.detach() for name, x in found.items()}
    return {name: (x.float() if x.dtype == torch.bfloat16 else x).numpy() for name, x in tensors.items()}


def _caffe(file):
    try:
        return read_caffemodel(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file} cannot be read as a caffemodel: {error}.") from error
