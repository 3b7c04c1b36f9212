"""Dropout whose mask depends on the run's key and on the image's place in the global batch, and on nothing else."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def dropout(keys: jax.Array, x: jax.Array, *, rate: float | jax.Array) -> jax.Array:
    """Sets activations to zero at random and scales the others so that the expectation stays (inverted dropout).

    y = x / (1 - rate) with probability 1 - rate, else 0   (Srivastava et al. 2014; they scale at test time instead)

    Args:
      keys: (n,) PRNG keys, one for each image.
      x: (n, ...), any float type.
      rate: the probability of a zero, a number or a traced scalar, from 0 to below 1; 0 keeps x.
    Returns:
      The shape and dtype of x.
    Raises:
      ValueError: rate is a Python number outside [0, 1), or there is not one key for each image.
    """
    if isinstance(rate, (int, float)) and not 0 <= rate < 1:
        raise ValueError(f"dropout rate must be in [0, 1), got {rate}")
    if keys.shape[0] != x.shape[0]:
        raise ValueError(f"expected one key for each of {x.shape[0]} images, got {keys.shape[0]}")
    kept = 1.0 - jnp.asarray(rate, jnp.float32)
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, kept, x.shape[1:]))(keys)
    return jnp.where(keep, x * (1.0 / kept).astype(x.dtype), jnp.zeros((), x.dtype))


class Dropout(nn.Module):
    """`dropout` with the key fold_in(make_rng("dropout"), position) for each image, where it trains.

    The positions of the images in the global batch, (n,) int32, are the variable "position" of the root collection
    "batch": `model.apply({**variables, "batch": {"position": positions}}, x, train=True, rngs={"dropout": key})`.
    Without it they are 0 to rows - 1; inside `nn.remat` `jaxcnn.operators.remat.batch_rows` gives it. A replica that is
    given its own positions drops what one device would have dropped. x may have k rows for each image, image by image
    (regions, crops): row j of an image folds j into its key.

    Attributes:
      rate: a number, or a traced scalar; the number 0 needs no "dropout" key.
    """

    rate: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if not train or (isinstance(self.rate, (int, float)) and self.rate == 0):
            return x
        positions = self.scope.root.get_variable("batch", "position")
        if positions is None:
            positions = jnp.arange(x.shape[0])
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(self.make_rng("dropout"), positions)
        if (rows := x.shape[0] // len(positions)) > 1 and x.shape[0] == rows * len(positions):
            fold = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))
            keys = fold(keys, jnp.arange(rows)).reshape(-1)
        return dropout(keys, x, rate=self.rate)
