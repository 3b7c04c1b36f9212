"""Training the members of a population: one loop, one state of all, a run directory of each."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.errors import InputError
from jaxcnn.population.keeper import Keeper
from jaxcnn.population.layout import MembersInputs
from jaxcnn.training.compilation import compiled
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.feed import Feed, training_order
from jaxcnn.training.host import HostState, headline
from jaxcnn.training.loop import Loop, evaluation_variables
from jaxcnn.training.processes.preemption import Termination
from jaxcnn.training.rundir.directory import check_space
from jaxcnn.training.rundir.environment import write_environment
from jaxcnn.training.rundir.log import Progress
from jaxcnn.training.state import hyperparameters, initial_state
from jaxcnn.training.train import Result, size_of, statistics_of

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.training.setup import Setup


def train_members(
    setup: Setup,
    configs: Sequence[ConfigDict],
    workdirs: Sequence[pathlib.Path],
    folder: Any,
    members: Any,
    checkpoints: Any,
    *,
    quiet: bool,
) -> list[Any]:
    """Trains the members of `train_population` on from the population's last checkpoint.

    Args:
      setup: the Setup that they share.
      configs, workdirs: of each.
      folder: of the population.
      members: the Members.
      checkpoints: the Checkpoints in the folder.
      quiet: print nothing.
    Returns:
      A list with a Result for each member, or the Diverged that it came to.
    """
    start = max(checkpoints.steps(), default=0)
    orders = [training_order(setup.config, setup.train, seed=own.seed) for own in configs]
    inputs_from = functools.partial(MembersInputs, members, orders, batch_size=setup.config.batch_size)
    inputs = inputs_from(start=start)
    title = f"{len(configs)} x {setup.config.model.name}"
    progress = Progress(setup.total, start=start, title=title, quiet=quiet, measures=headline(setup.kind))
    hosts = [HostState(setup, own, workdir, step=start) for own, workdir in zip(configs, workdirs, strict=True)]
    keeper = Keeper(setup, members, inputs, checkpoints, folder)
    loop = Loop(setup, members, hosts, keeper, progress)
    loop.inputs_from = inputs_from
    try:
        for host in hosts:
            write_environment(host.workdir, host.config, step=start, population=folder.name, members=len(hosts))
        for note in setup.notes():
            progress.line(note)
        loop.say_damaged(start)
        feed = _feed(loop, "train")
        loop.data, loop.task = feed.data, setup.task(*statistics_of(setup, feed, *workdirs))
        _set_states(loop, start)
        loop.validation = setup.evaluator(loop.task, _feed(loop, "validation"))
        if loop.active():
            _run(loop, start, inputs)
        checkpoints.wait()
        return _finish(loop)
    finally:
        for host in hosts:
            host.log.close()
        progress.close()


def _run(loop, start, inputs):
    try:
        with Termination() as termination:
            loop.run(start, inputs, termination)
    except Diverged:  # all have
        pass


def _feed(loop, split):
    setup, settings = loop.setup, loop.setup.config.data
    crop = setup.crop if split == "train" else None
    options = {"resident": settings.resident, "workers": settings.workers, "crop": crop}
    feed = Feed(setup.records(split), loop.layout, seed=0, **options)
    if split == "train" and not feed.resident:
        raise InputError(
            "the members of a population read a training set that lies on the device, each in its own order; this "
            "one is streamed. config.data.resident='yes' puts it there; else run the study with --runner local."
        )
    return feed


def _set_states(loop, start):
    """The state of all members, and the best one of each so far."""
    setup, members, keeper = loop.setup, loop.layout, loop.keeper

    def create(drawn, _, __):
        return initial_state(*drawn, setup), ()

    create = members.map(create, donate=False)
    drawn = members.stack([(jax.random.key(host.config.seed), _numbers(loop, host)) for host in loop.hosts])
    like, _ = jax.eval_shape(create, drawn, (), ())
    check_space(keeper.where, 8 * size_of(like))  # state and best: two, and the one being saved; those of the members
    if not start:
        program = compiled(create, drawn, (), (), once=True)
        loop.state, keeper.best = program(drawn, (), ())[0], program(drawn, (), ())[0]
        return
    memory = keeper.checkpoints.memory(start)
    keeper.restore(memory, loop.hosts, start)
    loop.unlogged = memory["unlogged"]
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=members.stacked), like)
    loaded = keeper.checkpoints.load(start, {"state": like, "best": like})
    loop.state, keeper.best = loaded["state"], loaded["best"]


def _numbers(loop, host):
    numbers = hyperparameters(host.config, loop.setup.kind, loop.setup.model)
    return {**numbers, "learning_rate_scale": loop.keeper.scale(host)}


def _finish(loop):
    found = None
    if loop.setup.config.data.test and any(host.test_result() is None for _, host in loop.active()):
        evaluator = loop.setup.evaluator(loop.task, _feed(loop, "test"))
        found = evaluator(evaluation_variables(loop.keeper.best))
    return [_result(loop, number, host, found) for number, host in enumerate(loop.hosts)]


def _result(loop, number, host, found):
    if host.failure is not None:
        return Diverged(host.failure)
    loop.keeper.write(loop, number)
    kept, test = loop.keeper.kept[number], host.test_result()
    if test is None and found:
        test = host.test_row(kept.best["step"], found[number])
    validation = {"step": kept.best["step"], **kept.best["held_out"]}
    state = loop.keeper.own(number, kept.latest, loop.state)
    return Result(host.workdir, loop.setup.total, state, validation, test)
