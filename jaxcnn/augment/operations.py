"""The operations that a policy names, each with its unit and three magnitudes: weak, medium, strong."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxcnn import trust
from jaxcnn.augment.color import brightness, color_cast, contrast, gamma, hue, invert, saturation
from jaxcnn.augment.crop import crop_and_pad
from jaxcnn.augment.elastic import elastic
from jaxcnn.augment.filters import emboss, gaussian_blur, sharpen
from jaxcnn.augment.lighting import lighting
from jaxcnn.augment.noise import additive_gaussian_noise, coarse_dropout, coarse_salt
from jaxcnn.augment.superpixels import superpixels
from jaxcnn.augment.warp import affine, perspective, rotate, scale, shear_x, shear_y, translate_x, translate_y
from jaxcnn.augment.weather import clouds, fast_snowy_landscape, fog, snowflakes

if TYPE_CHECKING:
    import jax


class Operation(NamedTuple):
    """One per-image operation.

    Attributes:
      function: f(key, image, *, magnitude) on a float image (h, w, c) in [0, 1]; magnitude 0 changes nothing.
      unit: of the magnitude.
      magnitudes: (weak, medium, strong), for contact sheets and as a scale for magnitudes of your own.
      below: what a magnitude must stay below; at it nothing of the image might be left.
    """

    function: Callable
    unit: str
    magnitudes: tuple
    below: float = math.inf


OPERATIONS = {
    "rotate": Operation(rotate, "degrees", (5, 15, 45)),
    "shear_x": Operation(shear_x, "degrees", (5, 15, 30), below=90),
    "shear_y": Operation(shear_y, "degrees", (5, 15, 30), below=90),
    "translate_x": Operation(translate_x, "of the width", (0.05, 0.15, 0.3)),
    "translate_y": Operation(translate_y, "of the height", (0.05, 0.15, 0.3)),
    "scale": Operation(scale, "factor - 1", (0.1, 0.3, 0.6)),
    "affine": Operation(affine, "of the default ranges", (0.5, 1, 2)),
    "perspective": Operation(perspective, "of the side", (0.05, 0.1, 0.2), below=0.25),
    "elastic": Operation(elastic, "pixels", (1, 2, 4)),
    "crop_and_pad": Operation(crop_and_pad, "of the side", (0.05, 0.1, 0.25), below=0.5),
    "brightness": Operation(brightness, "added", (0.1, 0.25, 0.5)),
    "contrast": Operation(contrast, "factor - 1", (0.2, 0.5, 0.9)),
    "saturation": Operation(saturation, "factor - 1", (0.2, 0.5, 1)),
    "hue": Operation(hue, "of the circle", (0.05, 0.15, 0.5)),
    "gamma": Operation(gamma, "exponent - 1", (0.2, 0.5, 1.5)),
    "invert": Operation(invert, "blend", (0.25, 0.5, 1)),
    "color_cast": Operation(color_cast, "added per channel", (0.05, 0.15, 0.3)),
    "lighting": Operation(lighting, "deviations", (0.1, 0.5, 1)),
    "sharpen": Operation(sharpen, "blend", (0.1, 0.2, 0.4)),
    "emboss": Operation(emboss, "blend", (0.1, 0.2, 0.4)),
    "gaussian_blur": Operation(gaussian_blur, "pixels", (0.5, 1, 2)),
    "additive_gaussian_noise": Operation(additive_gaussian_noise, "deviation", (0.02, 0.08, 0.2)),
    "coarse_salt": Operation(coarse_salt, "of the cells", (0.02, 0.08, 0.2)),
    "coarse_dropout": Operation(coarse_dropout, "of the short side", (0.2, 0.35, 0.5)),
    "superpixels": Operation(superpixels, "of the segments", (0.3, 0.6, 1)),
    "clouds": Operation(clouds, "density", (0.3, 0.6, 1)),
    "fog": Operation(fog, "density", (0.3, 0.6, 1)),
    "snowflakes": Operation(snowflakes, "density", (0.2, 0.5, 1)),
    "fast_snowy_landscape": Operation(fast_snowy_landscape, "density", (0.3, 0.6, 1)),
}


def make_operation(name: str, **options: Any) -> Callable[..., jax.Array]:
    """The function f(key, image, *, magnitude) of a name in a config, with options of its own.

    Args:
      name: a key of OPERATIONS, or `package.module:attribute`, a function f(key, image, magnitude, **options) -> image.
      **options: its further keyword arguments.
    Raises:
      InputError: the user has not allowed the name, or it names something else.
      ValueError: there is no such name or option; the nearest is named.
    """
    found = trust.resolve(name, OPERATIONS, kind="operation")
    function = found.function if name in OPERATIONS else found
    trust.check_options(name, function, options, given=3)
    return functools.partial(function, **options) if options else function
