"""The members of a population in one program: how they are laid over devices, mapped, and evaluated together."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcnn.tasks import AXIS

MEMBER = "member"


class Members:
    """Devices that hold some members each; it stands where Replicas stand, whose batches it does not cut.

    A mapped function is `f(state, shared, inputs) -> (state, outputs)` of one member: state, inputs and outputs are its
    own, shared is the same for all. Outside, every array of them has a leading axis of `size`; where the members do not
    divide over the devices, the last places hold copies of the first member.

    Attributes:
      size: places, at least `number`.
      count: replicas that share a batch: 1, so that f may reduce over AXIS as in a run alone.

    Args:
      number: of members.
      devices: the devices to use; None takes all.
    """

    count = 1

    def __init__(self, number: int, devices: Any = None) -> None:
        devices = list(jax.devices() if devices is None else devices)[:number]
        self.size = math.ceil(number / len(devices)) * len(devices)
        grid = np.asarray(devices).reshape(-1, 1)
        self.mesh = jax.sharding.Mesh(grid, (MEMBER, AXIS), axis_types=(AxisType.Auto,) * 2)
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.stacked = NamedSharding(self.mesh, PartitionSpec(MEMBER))

    def replicate(self, tree: Any) -> Any:
        """Puts a pytree of host arrays, the same for all members, on every device."""
        return jax.device_put(tree, self.replicated)

    shard = replicate  # what Replicas cut along the batch is whole here

    def stack(self, trees: Any) -> Any:
        """Puts one pytree a member, with equal structures, on the members' devices."""
        trees = [*trees, *[trees[0]] * (self.size - len(trees))]
        return jax.device_put(jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees), self.stacked)

    def place(self, tree: Any) -> Any:
        """Puts host arrays (number, ...) on the members' devices."""
        return jax.device_put(jax.tree.map(self._filled, tree), self.stacked)

    def _filled(self, rows):
        return np.concatenate([rows, np.repeat(rows[:1], self.size - len(rows), axis=0)])

    def map(self, function: Callable[..., Any], *, donate: bool = True) -> Callable[..., Any]:
        """The jitted, mapped function; `lower(...).compile(...)` gives the program without running it."""
        stacked, replicated = PartitionSpec(MEMBER), PartitionSpec()
        mapped = jax.shard_map(
            _one_program(function),
            mesh=self.mesh,
            in_specs=(stacked, replicated, stacked),
            out_specs=stacked,
            check_vma=False,  # as in Replicas
        )
        return jax.jit(mapped, donate_argnums=(0,) if donate else ())

    def map_chunk(self, chunk: Callable[..., Any]) -> Callable[..., Any]:
        """`map` of a chunk of steps whose inputs say which members are active."""
        return self.map(skip_inactive(chunk))

    def map_evaluation(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The jitted, mapped f(variables, data, inputs) -> (sums, rows); data and inputs are the same for all."""
        stacked, replicated = PartitionSpec(MEMBER), PartitionSpec()

        def each(variables, data, inputs):
            return _one_program(lambda own, shared, _: function(own, *shared))(variables, (data, inputs), ())

        mapped = jax.shard_map(
            each, mesh=self.mesh, in_specs=(stacked, replicated, replicated), out_specs=stacked, check_vma=False
        )
        return jax.jit(mapped)

    def runs(self, tree: Any) -> list[Any]:
        """A pytree of the host for each place."""
        return [jax.tree.map(lambda x: x[place], tree) for place in range(self.size)]  # noqa: B023


def one_after_another(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one member, for those of a device, in a loop."""
    return lambda state, shared, inputs: jax.lax.map(lambda own: function(own[0], shared, own[1]), (state, inputs))


def side_by_side(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one member, for those of a device, as one batch; their convolutions become batched products."""
    return jax.vmap(function, in_axes=(0, None, 0))


def _one_program(function):
    """How the members of one device share a program, per backend.

    Measured on 2 cores with lenet5_common, batch 32, 8 members, as processor time over that of the step alone: in a
    loop 0.9 to 1.1; side by side 1.9 to 2.3, as batched products and as XLA's grouped convolutions; unrolled 0.9 to
    1.1, but it takes twice as long to compile. On a GPU or TPU (not measured) one small network leaves most of the chip
    idle, and products over all members fill it.
    """
    return (one_after_another if jax.default_backend() == "cpu" else side_by_side)(function)


def skip_inactive(chunk: Callable[..., Any]) -> Callable[..., Any]:
    """A chunk of steps whose inputs have `active`, a bool: where it is false the state stays and metrics are 0."""

    def one(state, data, inputs):
        inputs = dict(inputs)
        active = inputs.pop("active")
        metrics = jax.eval_shape(chunk, state, data, inputs)[1]
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), metrics)
        return jax.lax.cond(active, lambda: chunk(state, data, inputs), lambda: (state, nothing))

    return one


class MembersInputs:
    """The record numbers of every member's own order, and which members still train."""

    def __init__(self, members: Any, orders: Any, *, start: int, batch_size: int) -> None:
        self.members, self.orders, self.position, self.batch_size = members, orders, start * batch_size, batch_size
        self.active = np.ones(len(orders), bool)

    def take(self, steps: int) -> Any:
        stop = self.position + steps * self.batch_size
        record = np.stack([order.records(self.position, stop) for order in self.orders]).astype(np.int32)
        self.position = stop
        record = record.reshape(len(self.orders), steps, self.batch_size)
        mask = np.ones(record.shape, np.float32)
        return self.members.place({"record": record, "mask": mask, "active": self.active})

    def close(self) -> None:
        pass
