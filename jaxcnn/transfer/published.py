"""Weights with what was published beside them: the network's name, how images were prepared, the names of classes.

A repository of the hub has a config.json, which timm writes and transformers extends:

    architecture       timm's name of the network
    num_classes        outputs of the head
    label_names        names of the classes, in their order; or id2label, {"0": name, ...}
    pretrained_cfg     input_size (channels, height, width), crop_pct, crop_mode, interpolation, mean, std
    model_args         arguments that build another network than the plain one
    global_pool        "avg", or another network
"""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxcnn.errors import InputError
from jaxcnn.files import damage_named
from jaxcnn.transfer.hub import CONFIG, fetch, is_address
from jaxcnn.transfer.imagenet_classes import IMAGENET

CROP_PCT = 0.875  # timm's, where a config.json has none
REMEDY = "Give --image_size, --resize, --interpolation, --mean and --std, and report it to the owner of the repository."


class Published(NamedTuple):
    """Weights and what is known of them.

    Attributes:
      file: the path of the weights.
      architecture: whose they are, by the library's name; "" where nothing says it.
      preparation: fields of Preprocessing.
      classes: names of the outputs; None where nothing names them.
      origin: what the record of the run says of them: the address and the commit.
    """

    file: pathlib.Path
    architecture: str = ""
    preparation: Mapping = MappingProxyType({})
    classes: tuple[str, ...] | None = None
    origin: Mapping = MappingProxyType({})


def find_published(file: str | os.PathLike[str]) -> Published:
    """The weights of a file, or of a repository of the hub, which is downloaded.

    Args:
      file: a path, or hf-hub:OWNER/NAME[@REVISION].
    Raises:
      InputError: the repository cannot be fetched (`jaxcnn.transfer.hub.fetch`), or its config.json is damaged or tells
        of a network or preparation that is not known here.
    """
    if not is_address(file):
        return Published(pathlib.Path(file), origin={"file": str(file)})
    fetched = fetch(file)
    config, where = fetched.config, f"{CONFIG} of {file}"
    with damage_named(where, REMEDY):
        _check_plain(config, where)
        preparation = _preparation(config.get("pretrained_cfg") or config, where)
        architecture, classes = str(config.get("architecture", "")), _classes(config)
    origin = {"file": str(file), "commit": fetched.commit}
    return Published(fetched.weights, architecture, preparation, classes, origin)


def _check_plain(config, where):
    """Refuses what builds another network of the same tensors."""
    for key, plain in (("model_args", (None, {})), ("global_pool", (None, "", "avg"))):
        if config.get(key) not in plain:
            raise InputError(
                f"{where} has {key} = {config[key]!r}: its network is not the plain one of its name, and is not known."
            )


def _preparation(settings, where):
    """The fields of Preprocessing that a config.json states."""
    if "input_size" not in settings:
        return {}
    channels, height, width = (int(side) for side in settings["input_size"])
    mode = settings.get("crop_mode", "center")
    if mode != "center" or height != width:
        raise InputError(
            f"{where} cuts a {height}x{width} image out by crop_mode {mode!r}; only a square from the centre is known."
        )
    short = math.floor(height / float(settings.get("crop_pct") or CROP_PCT))  # as timm rounds it
    found: dict[str, Any] = {"image_size": (height, width), "resize": short, "channels": channels}
    found |= {key: tuple(map(float, settings[key])) for key in ("mean", "std") if key in settings}
    return found | ({"interpolation": settings["interpolation"]} if "interpolation" in settings else {})


def _classes(config):
    """The names of the outputs, in their order; None where nothing names them."""
    names = config.get("label_names") or (config.get("pretrained_cfg") or {}).get("label_names")
    if not names and config.get("id2label"):
        names = [name for _, name in sorted(config["id2label"].items(), key=lambda row: int(row[0]))]
    if names:
        return tuple(map(str, names))
    return IMAGENET if config.get("num_classes") == len(IMAGENET) else None
