"""Additive attention (Bahdanau, Cho and Bengio 2015, arXiv:1409.0473, appendix A.1.2)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.operators.recurrent.cells import there


class AdditiveAttention(nn.Module):
    """A mean of what is looked at, weighted by how each place fits the query.

    e_j = v . tanh(W q + U k_j),   a = softmax(e),   context = sum_j a_j k_j

    Called with a query q (n, d), keys k (n, t, c) and lengths (n,) or None, it returns (context (n, c), a (n, t)); the
    weights are float32, and 0 where no key is. `projected` is what `project` makes of the keys. Parameters: `query` (W)
    and `keys` (U) with one bias, `score` (v).

    Attributes:
      features: width of the hidden layer.
      dtype: what it computes in, but for the softmax.
    """

    features: int
    dtype: Any = None

    def setup(self) -> None:
        self.query = nn.Dense(self.features, dtype=self.dtype)
        self.keys = nn.Dense(self.features, use_bias=False, dtype=self.dtype)
        self.score = nn.Dense(1, use_bias=False, dtype=self.dtype)

    def project(self, keys: jax.Array) -> jax.Array:
        """U k of keys (n, t, c), (n, t, features): what many queries of the same keys share."""
        return self.keys(keys)

    def __call__(
        self, query: jax.Array, keys: jax.Array, lengths: jax.Array | None = None, *, projected: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        asked = self.query(query)[:, None]
        given = self.keys(keys) if projected is None else projected
        score = self.score(jnp.tanh(asked + given))[..., 0].astype(jnp.float32)
        where = None if lengths is None else there(lengths, steps=keys.shape[1])
        weights = jax.nn.softmax(score, axis=-1, where=where)
        return jnp.einsum("nt,ntc->nc", weights.astype(keys.dtype), keys), weights
