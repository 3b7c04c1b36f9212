"""Data parallelism: maps a per-replica function over the devices of all processes, by jax.pmap or jax.shard_map."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcnn.tasks import AXIS


class Replicas:
    """The devices of a run, and how arrays and functions are laid over them.

    A mapped function is `f(state, data, inputs) -> (state, outputs)`: state and data are the same on every replica
    and never stacked; every array of inputs is cut along its second axis (steps, batch, ...); outputs are the same on
    every replica, because f has reduced them over AXIS.

    Args:
      method: "pmap" or "shard_map"; both lower to the same program.
      devices: the devices of the run, all processes'; None takes all there are.
    """

    def __init__(self, method: str, devices: Any = None) -> None:
        self.method = method
        self.chosen = None if devices is None else list(devices)
        self.devices = np.asarray(devices if devices is not None else jax.devices())
        self.mesh = jax.sharding.Mesh(self.devices, (AXIS,), axis_types=(AxisType.Auto,))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())

    @property
    def count(self) -> int:
        """The number of replicas."""
        return self.devices.size

    def replicate(self, tree: Any) -> Any:
        """Puts a pytree of host arrays, equal in every process, on every device."""
        return jax.device_put(tree, self.replicated)

    def shard(self, tree: Any) -> Any:
        """Puts this process's part (steps, batch / processes, ...) of every array on its devices."""
        local = sum(d.process_index == jax.process_index() for d in self.devices)
        if self.method == "shard_map":
            sharding = NamedSharding(self.mesh, PartitionSpec(None, AXIS))
            return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))

        def stack(x):  # pmap wants (devices, steps, batch / devices, ...)
            parts = np.stack(np.split(np.asarray(x), local, axis=1))
            return jax.make_array_from_process_local_data(sharding, parts)

        return jax.tree.map(stack, tree)

    def map(self, function: Callable[..., Any], *, donate: bool = True) -> Any:
        """The jitted, mapped function; `lower(...).compile(...)` gives the program without running it."""
        donated = (0,) if donate else ()
        if self.method == "pmap":
            return jax.pmap(
                function,
                axis_name=AXIS,
                in_axes=(None, None, 0),
                out_axes=None,
                devices=self.chosen,
                donate_argnums=donated,
            )
        replicated, cut = PartitionSpec(), PartitionSpec(None, AXIS)
        # Unchecked: with the checks, the gradient of replicated parameters arrives already summed over replicas.
        mapped = jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=(replicated, replicated, cut),
            out_specs=(replicated, replicated),
            check_vma=False,
        )
        return jax.jit(mapped, donate_argnums=donated)

    map_chunk = map

    def map_evaluation(self, function: Callable[..., Any]) -> Any:
        """`map` of f(variables, data, inputs) -> (sums, rows), which changes no state."""
        return self.map(function, donate=False)

    def runs(self, tree: Any) -> list[Any]:
        """A pytree of the host for each run that the devices hold: one."""
        return [tree]

    def stack(self, trees: Sequence[Any]) -> Any:
        """Puts a pytree for each run on the devices: one."""
        return self.replicate(trees[0])


def hold_back(results: list[Any]) -> None:
    """Waits, with each program that is given to the devices, for an earlier one: few are in flight, and their inputs.

    Two are, so that a device always has work. Of several simulated devices of a CPU it is one: they have a thread each,
    and replicas of a second program would hold those that the first one's wait for, until XLA ends the process; the
    smallest sum is such a program. Only programs that do not need one another's results have to be held back so.

    Args:
      results: what the programs return, in order, the last one's too.
    """
    few = 1 if jax.default_backend() == "cpu" and jax.local_device_count() > 1 else 2
    if len(results) >= few:
        jax.block_until_ready(results[-few])
