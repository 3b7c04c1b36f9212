"""A function of a network and images over any number of them: batches of one size, compiled once."""

import math

import jax
import numpy as np
from jax import lax

from jaxcnn.tasks import AXIS
from jaxcnn.training.compilation import compiled


class Batched:
    """A function of images on some devices. Every batch has one size, the last is padded with zeros.

    Args:
      function: f(data, images (n, h, w, c)) -> a pytree of arrays (n, ...); a row depends on its own image alone.
      replicas: the Replicas, over which a batch is divided.
      batch_size: images in a batch, rounded up to a multiple of the devices.
      deterministic: as in `compiler_options`.

    Attributes:
      programs: {(shape, dtype) of a batch: the compiled program}.
    """

    def __init__(self, function, replicas, *, batch_size, deterministic=False):
        def mapped(data, nothing, inputs):
            return (), lax.all_gather(function(data, inputs["image"][0]), AXIS, tiled=True)

        self._mapped, self._replicas, self._deterministic = replicas.map_evaluation(mapped), replicas, deterministic
        self.batch_size, self.programs = math.ceil(batch_size / replicas.count) * replicas.count, {}

    def __call__(self, data, images):
        """The function's pytree for n > 0 images, its arrays (n, ...) on the host; data lie on the devices."""
        parts = [self._batch(data, images[i : i + self.batch_size]) for i in range(0, len(images), self.batch_size)]
        return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)

    def _batch(self, data, images):
        room = np.zeros((self.batch_size - len(images), *images.shape[1:]), images.dtype)
        inputs = self._replicas.shard({"image": np.concatenate([images, room])[None]})
        kind = (inputs["image"].shape, images.dtype)
        if kind not in self.programs:
            self.programs[kind] = compiled(self._mapped, data, (), inputs, deterministic=self._deterministic)
        _, found = self.programs[kind](data, (), inputs)
        return jax.tree.map(lambda x: np.asarray(x)[: len(images)], found)
