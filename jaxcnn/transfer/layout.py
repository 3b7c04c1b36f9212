"""The published weights of one architecture: their names, and how their images were prepared."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple


class Preprocessing(NamedTuple):
    """How an image becomes the input of a network.

    (x - mean) / std for x on the [0, 1] scale, channels RGB: a scale of 255 is a std of 1 / 255, and the first kernel
    of a network that was trained on BGR is turned round when it is read, so neither needs anything else here.

    Attributes:
      image_size: (height, width) that the centre crop cuts out.
      resize: the short side of the image before the crop; None takes the image as it is.
      mean, std: a number a channel, or one for all; empty where they are unknown: they must then be given.
      interpolation: of the resize: "bilinear" or "bicubic".
      channels: 1 or 3.
      channel_order: of the weights in their file: "RGB", or "BGR", which was turned round.
    """

    image_size: tuple[int, int]
    resize: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    channels: int = 3
    channel_order: str = "RGB"


class Layout(NamedTuple):
    """The names of one architecture in one library.

    Attributes:
      entries: f(**options of the architecture) -> the mapping, a tuple of Entry; it takes the options by which the
        parameters change.
      head: the name of their tensor whose length is the number of classes.
      preprocessing: as the weights were trained.
      options: of the architecture, those that these weights need beside its defaults.
      model: config.model.name, where it is not the name of the layout.
      prepare: f(tensors of a file) -> tensors under the names of the mapping, for files of an older layout and for
        parameters that ours lacks.
      complete: f(tensors of an export) -> the other tensors that their network loads.
      options_of: f(tensors of a file) -> options of the architecture that show in which tensors there are.
      note: what a user must know who has a file of these names.
    """

    entries: Callable
    head: str
    preprocessing: Preprocessing
    options: Mapping = MappingProxyType({})
    model: str = ""
    prepare: Callable = dict
    complete: Callable = dict
    options_of: Callable = lambda tensors: {}
    note: str = ""


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
