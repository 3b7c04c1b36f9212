"""A function of a network and examples over any number of them: batches of one size, compiled once."""

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxcnn.tasks import AXIS
from jaxcnn.training.compilation import compiled


class Batched:
    """A function of examples on some devices. Every batch has one size, the last is padded with zeros.

    Args:
      function: f(data, examples) -> a pytree of arrays (n, ...); a row depends on its own example alone. Examples are
        images (n, h, w, c), or a dict of arrays (n, ...).
      replicas: the Replicas, over which a batch is divided.
      batch_size: examples in a batch, rounded up to a multiple of the devices.
      deterministic: as in `compiler_options`.

    Attributes:
      programs: {shapes and dtypes of a batch: the compiled program}.
    """

    def __init__(
        self, function: Callable[..., Any], replicas: Any, *, batch_size: int, deterministic: bool = False
    ) -> None:
        def mapped(data, nothing, inputs):
            return (), lax.all_gather(function(data, jax.tree.map(lambda x: x[0], inputs)), AXIS, tiled=True)

        self._mapped, self._replicas, self._deterministic = replicas.map_evaluation(mapped), replicas, deterministic
        self.batch_size, self.programs = math.ceil(batch_size / replicas.count) * replicas.count, {}

    def __call__(self, data: Any, examples: Any) -> Any:
        """The function's pytree for n > 0 examples, its arrays (n, ...) on the host; data lie on the devices."""
        size, count = self.batch_size, len(jax.tree.leaves(examples)[0])
        rows = [slice(first, first + size) for first in range(0, count, size)]
        parts = [self._batch(data, jax.tree.map(operator.itemgetter(part), examples)) for part in rows]
        return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)

    def _batch(self, data, examples):
        count = len(jax.tree.leaves(examples)[0])
        inputs = self._replicas.shard(jax.tree.map(self._filled, examples))
        kind = tuple((x.shape, x.dtype) for x in jax.tree.leaves(inputs))
        if kind not in self.programs:
            self.programs[kind] = compiled(self._mapped, data, (), inputs, deterministic=self._deterministic)
        _, found = self.programs[kind](data, (), inputs)
        return jax.tree.map(lambda x: np.asarray(x)[:count], found)

    def _filled(self, rows):
        """Rows with zeros up to the size of a batch, and the axis of one batch in front."""
        room = np.zeros((self.batch_size - len(rows), *rows.shape[1:]), rows.dtype)
        return np.concatenate([rows, room])[None]
