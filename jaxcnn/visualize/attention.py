"""Where in an image each word of its caption looked (Xu et al. 2015, figures 2 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxcnn.analysis.field import Field
from jaxcnn.data.text.tokens import TEXT
from jaxcnn.errors import InputError
from jaxcnn.tasks import writing
from jaxcnn.visualize.overlay import draw_overlays

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.selection import Selection


WORDS = 7  # beside each other


def draw_attention(trained: Trained, chosen: Selection) -> Figure:
    """Draws images and, for each word that the network writes of one, the weights of the places that it looked at.

    A place of the map is an equal part of the image. A long caption takes several rows.

    Args:
      trained: a Trained, whose network has a feature "attention" (n, l, h', w').
      chosen: a `Selection`.
    Returns:
      A matplotlib Figure.
    Raises:
      InputError: the network does not look at places of an image.
    """
    function = _looked(trained)
    shown = jax.ShapeDtypeStruct((1, *trained.shape), np.uint8)
    found = jax.eval_shape(function, trained.variables, shown)
    if len(found) < 2 or found[1].ndim != 4:
        raise InputError(
            f"{trained.config.model.name} of {trained.workdir} writes no texts, or gives no weights (n, l, h, w) of "
            "places of the image as its feature 'attention': caption_attention does."
        )
    texts, weights = trained.map(function, chosen.images)
    images, captions, maps = [], [], []
    for pixels, name, text, own in zip(chosen.images, chosen.names, texts, weights, strict=True):
        words = [trained.classes[token - 1] for token in text if token]
        panels = [(word, heat, _field(pixels.shape, heat.shape)) for word, heat in zip(words, own, strict=False)]
        for first in range(0, max(len(panels), 1), WORDS):
            images.append(pixels)
            captions.append("(continued)" if first else name)
            maps.append(panels[first : first + WORDS])
    return draw_overlays(np.stack(images), captions, maps)


def _looked(trained):
    """f(variables, images) -> (text (n, l), weights (n, l, h', w') where there are some): a function for `map`."""

    def looked(variables, images):
        text = trained.infer(variables, images).get(TEXT)
        if text is None or not hasattr(trained.model, "step"):
            return ()
        given = trained.normalise(images)
        _, features = trained.model.apply(variables, given, train=False, text=writing.before(text))
        return (text, features["attention"]) if "attention" in features else ()

    return looked


def _field(image, places):
    stride = tuple(side / count for side, count in zip(image[:2], places, strict=True))
    offset = tuple((step - 1) / 2 for step in stride)
    return Field(stride, stride, ((0, 0), (0, 0)), offset, whole=False)
