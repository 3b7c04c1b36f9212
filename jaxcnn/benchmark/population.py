"""Training steps of a population: many runs in one program, beside the step of a run alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxcnn.benchmark.steps import first_state, program_and_call
from jaxcnn.benchmark.timing import interleaved, ratio
from jaxcnn.population.layout import Members, MembersInputs, skip_inactive
from jaxcnn.training.config import default_config
from jaxcnn.training.feed import Feed
from jaxcnn.training.normalise import image_statistics
from jaxcnn.training.setup import set_up
from jaxcnn.training.step import make_chunk

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.training.setup import Setup

NETWORKS = {  # images in a batch, numbers of members
    "lenet5_common": (32, (1, 2, 4, 8, 16, 32)),
    "resnet20": (128, (1, 2, 4)),
}


def benchmark_population(
    *,
    only: str = "",
    rounds: int = 7,
    networks: Mapping[str, tuple[int, Sequence[int]]] | None = None,
    report: Callable[[dict[str, Any]], object] = print,
) -> list[dict[str, Any]]:
    """Compiles and times training steps on the digits, on one device.

    Args:
      only: text that the name of the network contains.
      rounds: measurements of each.
      networks: {name: (images in a batch, numbers of members)}; None takes NETWORKS.
      report: called with each row as it is done.
    Returns:
      list of dicts: network, batch, members; compile (seconds, no cache), step (median seconds of one step of all
      members), ratio (time a member over that of the step alone in the same round: median, quartiles), images_s of all
      members together.
    """
    rows = []
    for name, (batch, numbers) in (networks or NETWORKS).items():
        if only in name:
            for row in _measure(name, batch, numbers, rounds):
                rows.append(row)
                report(row)
    return rows


def _measure(name, batch, numbers, rounds):
    setup = set_up(digits_config(name, batch), devices=jax.devices()[:1])
    state, steps = first_state(setup), setup.config.steps_per_call
    compiled = {"alone": _alone(setup, state)}
    for number in numbers:
        compiled[number] = together(setup, state, number)
    times = interleaved({which: call for which, (_, call, _) in compiled.items()}, rounds=rounds)
    for number in numbers:
        step = float(np.median(times[number])) / steps
        yield {
            "network": name,
            "batch": batch,
            "members": number,
            "compile": compiled[number][2],
            "step": step,
            "ratio": ratio(times[number] / number, times["alone"]),
            "images_s": batch * number / step,
        }


def digits_config(name: str, batch: int) -> ConfigDict:
    """The config of a run of this network on the digits."""
    config = default_config()
    config.model.name, config.batch_size, config.augment.pad_crop = name, batch, 2
    return config


def chunk_of(setup: Setup, feed: Feed) -> Callable[..., Any]:
    """The f(state, data, inputs) of the steps of a call, of a Setup and the Feed of its training images."""
    task = setup.task(*image_statistics(setup.config, feed))
    return make_chunk(setup.train_step(task), steps=setup.config.steps_per_call)


def _alone(setup, state):
    feed, replicas = Feed(setup.train, setup.replicas, seed=0), setup.replicas
    inputs = feed.training(start=0, batch_size=setup.config.batch_size).take(setup.config.steps_per_call)
    return program_and_call(replicas.map(chunk_of(setup, feed)), replicas.replicate(state), feed.data, inputs)


def together(setup: Setup, state: Any, number: int) -> tuple[Any, Callable[[], None], float]:
    """`program_and_call` of the step of so many members, all of which begin with this state."""
    members: Any = Members(number, setup.replicas.devices)  # they stand where Replicas stand
    feed = Feed(setup.train, members, seed=0)
    inputs = MembersInputs(members, [feed.order] * number, start=0, batch_size=setup.config.batch_size)
    program, inputs = members.map(skip_inactive(chunk_of(setup, feed))), inputs.take(setup.config.steps_per_call)
    return program_and_call(program, members.stack([state] * number), feed.data, inputs)
