"""How a network that restores images sees them: as they are, or as luminance to which it gives the colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

from jaxcnn.errors import look_up
from jaxcnn.tasks.colour import lab_to_rgb, luminance, rgb_to_lab

if TYPE_CHECKING:
    from jaxcnn.tasks.task import About


AB_SCALE = 110.0  # a and b of Lab, which reach about that far, are learned in this unit


class View(NamedTuple):
    """From images (n, h, w, c) in [0, 1] to a network and back.

    Attributes:
      enter: f(images) -> the input of the network.
      aim: f(images) -> what its output is compared with.
      leave: f(images, output) -> restored images, not cut to [0, 1].
      channels: of its output.
      signed: whether the output has both signs, as a and b of Lab.
      hide: f(images) -> the images without what is to be learned.
    """

    enter: Callable
    aim: Callable
    leave: Callable
    channels: int
    signed: bool
    hide: Callable


def _same(images):
    return images


def _output(images, output):
    return output


def plain(about: About, *, normalise: bool) -> View:
    """The View of a network that gets and gives images; normalised by the statistics of `about` if so asked."""
    return View(about.normalise if normalise else _same, _same, _output, about.shape[2], False, _same)


def coloured(about: About, *, normalise: bool, space: str = "rgb") -> View:
    """The View of a network that gets luminance and gives colours.

    Args:
      about: an About.
      normalise: as asked for; it cannot be.
      space: "rgb": it gives red, green and blue; "lab": a and b, and L stays that of the input.
    Raises:
      ValueError: the images have no colour, or an option does not fit.
    """
    look_up(space, table=dict.fromkeys(("rgb", "lab")), kind="space")
    if about.shape[2] != 3:
        raise ValueError(f"corrupt is 'gray', which is of colour images; these have {about.shape[2]} channel")
    if normalise:
        raise ValueError("corrupt is 'gray', whose one channel cannot be normalised by the statistics of three")
    if space == "rgb":
        return View(luminance, _same, _output, 3, False, _grey)
    return View(_lightness, _ab, _with_ab, 2, True, _without_ab)


def _grey(images):
    return jnp.broadcast_to(luminance(images), images.shape)


def _lightness(images):
    return rgb_to_lab(images)[..., :1] / 100


def _ab(images):
    return rgb_to_lab(images)[..., 1:] / AB_SCALE


def _with_ab(images, output):
    return lab_to_rgb(jnp.concatenate([100 * _lightness(images), AB_SCALE * output], axis=-1))


def _without_ab(images):
    return _with_ab(images, jnp.zeros((*images.shape[:-1], 2), images.dtype))
