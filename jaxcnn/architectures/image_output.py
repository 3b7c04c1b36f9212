"""The common part of networks that return an image: sizes that halvings do not fit, a code, and the last step."""

from collections.abc import Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

OUTPUTS = ("linear", "sigmoid")


class Autoencoder(nn.Module):
    """A network from image to image through a code, which can be used in halves.

    `__call__(x, *, train, code=None)` returns (image, features), the code among the features as "code". With a code
    given it decodes that: of x the shape alone counts then, and the features of the encoder are left out.
    """

    result: ClassVar[str] = "image"

    def encode(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """The codes (n, ...) of images (n, h, w, c)."""
        return self(x, train=train)[1]["code"]

    def decode(self, code: jax.Array, shape: Sequence[int], *, train: bool = False) -> jax.Array:
        """The images of codes.

        Args:
          code: (n, ...), as `encode` returns it for images of this shape.
          shape: (h, w, c) of an image that the network gets.
          train: as in a call.
        Returns:
          (n, h, w, c'), float32.
        """
        return self(jnp.zeros((len(code), *shape)), train=train, code=code)[0]


def pad_to_multiple(x: jax.Array, multiple: int) -> jax.Array:
    """Repeats the last row and the last column until both sides divide.

    Args:
      x: (n, h, w, c).
      multiple: int.
    Returns:
      (n, h', w', c), sides rounded up to the multiple; x itself where nothing is missing.
    """
    rows, columns = (-side % multiple for side in x.shape[1:3])
    return jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge") if rows or columns else x


def check_output(output: str, *, residual: bool = False) -> None:
    """Refuses an unknown activation of the output, or a sigmoid of what is subtracted from the input.

    Args:
      output: "linear" or "sigmoid".
      residual: whether the network returns its input less what it computes.
    Raises:
      ValueError: as above.
    """
    if output not in OUTPUTS:
        raise ValueError(f"unknown output {output!r}; known: {', '.join(OUTPUTS)}")
    if residual and output != "linear":
        raise ValueError(f"a residual network returns its input less the noise: output is 'linear', not {output!r}")


def finish(y: jax.Array, x: jax.Array, *, output: str, residual: bool = False) -> jax.Array:
    """The image that a network returns, of the size of its input.

    Args:
      y: (n, h', w', c'), float32, what the last layer computes; h' and w' are those of x or larger.
      x: (n, h, w, c), the input.
      output: "linear" or "sigmoid".
      residual: returns x - y.
    Returns:
      (n, h, w, c'), float32.
    Raises:
      ValueError: residual, and y has other channels than x.
    """
    y = y[:, : x.shape[1], : x.shape[2]]
    if not residual:
        return jax.nn.sigmoid(y) if output == "sigmoid" else y
    if y.shape != x.shape:
        raise ValueError(
            f"a residual network returns its input less the noise: {x.shape[3]} channels in, so channels is 0 or "
            f"{x.shape[3]}, not {y.shape[3]}; residual=False returns any number"
        )
    return x.astype(jnp.float32) - y
