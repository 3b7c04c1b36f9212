"""Units of a network, one channel of a stage at one place: what they see of an image, and what of it goes back.

A network here is a function of images (n, h, w, c) that returns {stage: activations}; those are (n, h', w', units), or
(n, units), which are one place for the whole image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.analysis.accounting import analyse
from jaxcnn.analysis.backward import with_rule
from jaxcnn.analysis.field import Field
from jaxcnn.errors import look_up


class Stage(NamedTuple):
    """A named stage: (h', w', units), 1 x 1 places where the network flattens the image, and its receptive field."""

    name: str
    shape: tuple[int, int, int]
    field: Field


class Box(NamedTuple):
    """Pixels of an image; it may reach beyond it."""

    top: int
    left: int
    height: int
    width: int


def network_stages(model: Any, variables: Any, shape: Sequence[int]) -> dict[str, Stage]:
    """The stages that have units.

    Args:
      model: a Linen module that returns (logits, features).
      variables: its variables, or their shapes.
      shape: (h, w, c) of an image.
    Returns:
      {name: `Stage`} in the order of the network, its result ("logits") last.
    """
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables)
    found = analyse(model, shape, variables=shapes).stages
    sizes = {2: lambda s: (1, 1, s[1]), 4: lambda s: tuple(s[1:])}
    return {
        name: Stage(name, sizes[len(size)](size), field)
        for name, (size, _, field) in found.items()
        if len(size) in sizes and field is not None
    }


def find_unit(stages: Mapping[str, Stage], name: str, channel: int, place: Sequence[int] | None = None) -> Stage:
    """Checks that there is such a unit.

    Args:
      stages: of `network_stages`.
      name: of the stage.
      channel: of the stage, from 0.
      place: (row, column) in the map, or None for no place in particular.
    Returns:
      The `Stage`.
    Raises:
      ValueError: there is no such stage, channel or place; the message has those that there are.
    """
    stage = look_up(name, table=stages, kind="stage")
    rows, columns, units = stage.shape
    if not 0 <= channel < units:
        raise ValueError(f"stage {name} has units 0 to {units - 1}, no {channel}")
    if place is not None and not (0 <= place[0] < rows and 0 <= place[1] < columns):
        raise ValueError(f"the maps of stage {name} are {rows}x{columns}, counted from 0: no place {tuple(place)}")
    return stage


def field_box(field: Field, place: Sequence[int] | np.ndarray) -> Box:
    """The pixels that the position (row, column) of a map with this receptive field sees, a `Box`."""
    top, left = (place[a] * field.stride[a] - field.padding[a][0] for a in (0, 1))
    return Box(top, left, *field.size)


def cut(image: np.ndarray, box: Box, *, fill: float) -> np.ndarray:
    """The pixels of a box.

    Args:
      image: (h, w, c), a NumPy array.
      box: a `Box`.
      fill: the value outside the image.
    Returns:
      (box.height, box.width, c), the dtype of the image.
    """
    found = np.full((box.height, box.width, image.shape[2]), fill, image.dtype)
    top, left = max(box.top, 0), max(box.left, 0)
    inside = image[top : max(box.top + box.height, 0), left : max(box.left + box.width, 0)]
    found[top - box.top :, left - box.left :][: inside.shape[0], : inside.shape[1]] = inside
    return found


def maps(activations: Any) -> Any:
    """Activations as maps: (n, units) becomes (n, 1, 1, units)."""
    return activations[:, None, None] if activations.ndim == 2 else activations


def strongest(activations: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where each unit of each image answers most; the first place row by row where several do.

    Args:
      activations: (n, h, w, units).
    Returns:
      values (n, units), places (n, units, 2) int32: (row, column).
    """
    n, _, columns, units = activations.shape
    flat = activations.reshape(n, -1, units)
    position = jnp.argmax(flat, axis=1)
    return jnp.max(flat, axis=1), jnp.stack((position // columns, position % columns), axis=-1).astype(jnp.int32)


def project(
    network: Any, images: jax.Array, stage: str, channels: jax.Array, places: jax.Array, *, rule: str
) -> jax.Array:
    """Brings one unit of each image back to the pixels; all other units of its stage are taken as zero.

    The unit itself is taken as 1; by the other rules one that answers with 0 is off, and nothing comes back. With the
    rule "gradient" this is the derivative of the unit by the pixels.

    Args:
      network: see the module.
      images: (n, h, w, c) float.
      stage: its name.
      channels: (n,), the unit of each image.
      places: (n, 2), its (row, column).
      rule: "gradient", "deconvnet" or "guided", see `backward`.
    Returns:
      (n, h, w, c), the dtype of the images; zero outside the receptive fields.
    """
    activations, pull = jax.vjp(lambda x: maps(with_rule(network, rule)(x)[stage]), images)
    at = (jnp.arange(len(images)), places[:, 0], places[:, 1], channels)
    one = 1 if rule == "gradient" else (activations[at] != 0).astype(activations.dtype)
    return pull(jnp.zeros_like(activations).at[at].set(one))[0]


def saliency(gradient: jax.Array | np.ndarray) -> jax.Array:
    """The largest magnitude over colours, (..., c) to (...) (Simonyan et al. 2013, arXiv:1312.6034, section 3.1)."""
    return jnp.max(jnp.abs(gradient), axis=-1)


def effective_field(network: Any, images: jax.Array, stage: str, channel: int, place: Sequence[int]) -> jax.Array:
    """How much each pixel moves a unit: the magnitude of its gradient, summed over colours, mean over the images.

    It is a Gaussian in a field that is theoretically a square (Luo et al. 2016, arXiv:1701.04128, section 2).

    Args:
      network, stage: as in `project`.
      images: (n, h, w, c) float.
      channel, place: of the unit, int and (row, column).
    Returns:
      (h, w) float.
    """
    n = len(images)
    channels, places = jnp.full(n, channel), jnp.broadcast_to(jnp.asarray(place), (n, 2))
    gradient = project(network, images, stage, channels, places, rule="gradient")
    return jnp.mean(jnp.sum(jnp.abs(gradient), axis=-1), axis=0)


def support(weights: np.ndarray) -> Box | None:
    """The smallest `Box` around all that is not zero in (h, w); None where everything is."""
    rows, columns = (np.flatnonzero(np.any(weights != 0, axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return Box(int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
