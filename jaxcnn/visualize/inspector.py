"""Reads the stages of a trained network for pictures of its units: activations, projections, fields."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn.analysis import units
from jaxcnn.analysis.accounting import result_name
from jaxcnn.tasks.pixels import as_float

if TYPE_CHECKING:
    import numpy as np

    from jaxcnn.evaluation.trained import Trained


class Inspector:
    """Compiled reads of a trained network's stages; each takes images (n, h, w, c), uint8 or float on the [0, 1] scale.

    Args:
      trained: a Trained.
      classes: names of the units of "logits"; empty where they are no classes.

    Attributes:
      trained, classes: the same.
      stages: {name: `units.Stage`}.
    """

    def __init__(self, trained: Trained, *, classes: Sequence[str] = ()) -> None:
        self.trained, self.classes = trained, classes
        self.stages = units.network_stages(trained.model, trained.variables, trained.shape)

    def default_stage(self) -> str:
        """The last stage whose maps have more than one place; the last of all where there is none."""
        names = [name for name, stage in self.stages.items() if stage.shape[:2] != (1, 1)]
        return names[-1] if names else list(self.stages)[-1]

    def unit_name(self, stage: str, channel: int, place: Sequence[int] | np.ndarray | None = None) -> str:
        """ "conv3 17 at 4, 5", or the class of a logit; the place is left out of a map that has only one."""
        name = f"{stage} {channel}"
        if stage == "logits" and channel < len(self.classes):
            name = f"{stage} {self.classes[channel]}"
        if place is None or self.stages[stage].shape[:2] == (1, 1):
            return name
        return f"{name} at {place[0]}, {place[1]}"

    def strongest(self, images: np.ndarray, stage: str) -> tuple[np.ndarray, np.ndarray]:
        """`units.strongest` of a stage: values (n, units), places (n, units, 2)."""
        return jax.device_get(self._strongest(self.trained.variables, images, stage=stage))

    def strongest_of(
        self, records: Any, stage: str, *, report: Callable[[int, int], object] | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields (positions, values, places) of `strongest`, batch by batch, for all records that can be read.

        Args:
          records: Records.
          stage: its name.
          report: called with (records done, all).
        """

        def strongest(variables, images):
            return units.strongest(self._maps(variables, images, stage))

        for positions, _, found in self.trained.stream(strongest, records, report=report):
            yield positions, *found

    def responses(self, images: np.ndarray, stage: str, place: Any) -> np.ndarray:
        """The activations of every unit of a stage at one (row, column): (n, units)."""
        return jax.device_get(self._responses(self.trained.variables, images, place, stage=stage))

    def project(self, images: np.ndarray, stage: str, channels: Any, places: Any, *, rule: str) -> np.ndarray:
        """`units.project` to the pixels, the normalisation included: float32 (n, h, w, c)."""
        return jax.device_get(self._project(self.trained.variables, images, channels, places, stage=stage, rule=rule))

    def effective_field(self, images: np.ndarray, stage: str, channel: int, place: Any) -> np.ndarray:
        """`units.effective_field`, (h, w) float32."""
        return jax.device_get(self._effective_field(self.trained.variables, images, channel, place, stage=stage))

    def answers(self, images: np.ndarray, stage: str) -> tuple[np.ndarray, np.ndarray]:
        """The class probabilities (n, K) and the sum of each map of a stage (n, units)."""
        return jax.device_get(self._answers(self.trained.variables, images, stage=stage))

    def _network(self, variables):
        """With the variables as an argument of each program: constants would be compiled into it."""

        def network(images):
            logits, features = self.trained.apply(variables, images)
            return {**features, result_name(self.trained.model): logits}

        return network

    def _maps(self, variables, images, stage):
        return units.maps(self._network(variables)(images)[stage]).astype(jnp.float32)

    @functools.partial(jax.jit, static_argnums=0, static_argnames="stage")
    def _strongest(self, variables, images, *, stage):
        return units.strongest(self._maps(variables, images, stage))

    @functools.partial(jax.jit, static_argnums=0, static_argnames="stage")
    def _responses(self, variables, images, place, *, stage):
        return self._maps(variables, images, stage)[:, place[0], place[1]]

    @functools.partial(jax.jit, static_argnums=0, static_argnames=("stage", "rule"))
    def _project(self, variables, images, channels, places, *, stage, rule):
        return units.project(self._network(variables), as_float(images), stage, channels, places, rule=rule)

    @functools.partial(jax.jit, static_argnums=0, static_argnames="stage")
    def _effective_field(self, variables, images, channel, place, *, stage):
        return units.effective_field(self._network(variables), as_float(images), stage, channel, place)

    @functools.partial(jax.jit, static_argnums=0, static_argnames="stage")
    def _answers(self, variables, images, *, stage):
        found = self._network(variables)(images)
        logits, maps = found["logits"].astype(jnp.float32), units.maps(found[stage]).astype(jnp.float32)
        return jax.nn.softmax(logits), jnp.sum(maps, axis=(1, 2))
