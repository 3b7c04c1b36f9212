"""Inference: the one place where stored images are normalised and meet a network in use."""

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxcnn.evaluation.batched import Batched
from jaxcnn.tasks.pixels import as_float, normalise
from jaxcnn.training.parallel import Replicas


def examples_of(batch: Mapping[str, Any], reads: Sequence[str]) -> Any:
    """What a function takes of a batch: its images, or {"image", field} where it reads fields beside them."""
    return {name: batch[name] for name in ("image", *reads)} if reads else batch["image"]


class Inference:
    """A network with what its images are normalised by.

    Args, and attributes:
      model, variables: the Linen module and its variables.
      shape: (h, w, c) of an image.
      classes: their names.
      mean, std: of images on the [0, 1] scale, (c,) or (h, w, c).
      deterministic: as config.deterministic.
    """

    def __init__(
        self,
        model: Any,
        variables: Any,
        *,
        shape: Sequence[int],
        classes: Sequence[str],
        mean: Any,
        std: Any,
        deterministic: bool = False,
    ) -> None:
        self.model, self.variables, self.shape, self.classes = model, variables, shape, classes
        self.mean, self.std = mean, std
        options = {"replicas": Replicas("shard_map", jax.local_devices()[:1]), "deterministic": deterministic}
        self._batched = functools.lru_cache(maxsize=16)(functools.partial(Batched, **options))

    def parameters(self) -> int:
        """The number of trained parameters."""
        return sum(p.size for p in jax.tree.leaves(self.variables["params"]))

    def normalise(self, images: jax.Array) -> jax.Array:
        """Images (n, h, w, c) as the network takes them: (images - mean) / std, of uint8 or of floats in [0, 1]."""
        return normalise(as_float(images), self.mean, self.std)

    def apply(self, variables: Any, images: jax.Array) -> tuple[Any, dict[str, Any]]:
        """The (logits, features) of images, uint8 or floats in [0, 1]: a pure function, for jit and grad.

        Args:
          variables: like `variables`; as an argument, so that no program holds them as constants.
          images: (n, h, w, c).
        """
        return self.model.apply(variables, self.normalise(images), train=False)

    def class_probabilities(self, variables: Any, images: jax.Array) -> jax.Array:
        """Softmax outputs (n, K) of images: a function for `map` and `stream`."""
        return jax.nn.softmax(self.apply(variables, images)[0])

    def map(self, function: Callable[..., Any], examples: Any, *, batch_size: int = 64) -> Any:
        """Applies a function to any number of examples, in batches of one size: it is compiled once.

        Args:
          function: f(variables, examples) -> a pytree of arrays (n, ...), row by row; as `apply` it is pure.
          examples: images (n, h, w, c), uint8 or floats in [0, 1], n > 0; or {"image": these, field: (n, ...)}.
          batch_size: examples that are computed at once.
        Returns:
          Its pytree for all examples, arrays (n, ...) on the host.
        """
        return self._batched(function, batch_size=batch_size)(self.variables, examples)

    def stream(
        self,
        function: Callable[..., Any],
        records: Any,
        *,
        reads: Sequence[str] = (),
        positions: Sequence[int] | np.ndarray | None = None,
        batch_size: int = 64,
        report: Callable[[int, int], object] | None = None,
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Reads records and applies a function to their images, batch by batch; unreadable records are left out.

        Args:
          function: as in `map`.
          records: Records.
          reads: the fields of a record that the function takes beside its image.
          positions: (n,) of records; None for all.
          batch_size: images that are read and computed at once.
          report: called with (records done, all) after every batch.
        Yields:
          (positions (n,), the batch as Records.read returns it, the function's pytree), on the host.
        """
        positions = np.arange(len(records)) if positions is None else np.asarray(positions)
        for first in range(0, len(positions), batch_size):
            part = positions[first : first + batch_size]
            batch = records.read(part)
            found = self.map(function, examples_of(batch, reads), batch_size=batch_size)
            yield jax.tree.map(operator.itemgetter(batch["mask"] > 0), (part, batch, found))
            if report:
                report(first + len(part), len(positions))

    def probabilities(self, images: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
        """Softmax outputs (n, K) float32 of uint8 images (n, h, w, c), computed in batches."""
        return self.map(self.class_probabilities, images, batch_size=batch_size)
