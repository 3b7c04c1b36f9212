"""Training one run: from a config to its end, or from its last checkpoint on."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.errors import InputError
from jaxcnn.files import local_path
from jaxcnn.progress import hushed
from jaxcnn.training.before import begun, recorded_before
from jaxcnn.training.bounds import check_workers
from jaxcnn.training.compilation import use_persistent_cache
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.drawing import draw
from jaxcnn.training.finetune.start import begin_from_source, source_statistics
from jaxcnn.training.host import HostState, headline, said
from jaxcnn.training.loop import Loop, evaluation_variables
from jaxcnn.training.normalise import image_statistics
from jaxcnn.training.preflight.trace import Trace
from jaxcnn.training.processes.distributed import hold_together
from jaxcnn.training.processes.preemption import Preempted, Termination
from jaxcnn.training.rundir.about import DATA, read_statistics, write_data, write_statistics
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.code import keep_code
from jaxcnn.training.rundir.directory import CONVERTED, check_space, full_disk_named, open_run
from jaxcnn.training.rundir.environment import write_environment
from jaxcnn.training.rundir.extension import check_extension, extension_of
from jaxcnn.training.rundir.log import Progress, read_metrics
from jaxcnn.training.selection import OF_IMAGES, few_images
from jaxcnn.training.setup import Setup, set_up
from jaxcnn.training.state import state_function

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.training.feed import Feed


__all__ = ["Diverged", "Preempted", "Result", "train"]


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a finished run.

    Attributes:
      workdir: the run directory.
      step: updates done.
      state: the last State.
      validation: {"step"} of the best checkpoint and the measures that chose it, on the held-out slice.
      test: the evaluation of that checkpoint on the test split as a dict, see evaluation_row; None without one.
    """

    workdir: pathlib.Path
    step: int
    state: object
    validation: dict
    test: dict | None

    def __repr__(self) -> str:
        words = f"Result of {self.workdir} after {self.step} steps"
        for split, row in (("held out", self.validation), ("test", self.test or {})):
            numbers = [f"{name} {value:.4f}" for name, value in row.items() if isinstance(value, float)]
            words += f"; {split}: {', '.join(numbers)}" if numbers else ""
        return f"<{words}>"


def train(
    config: ConfigDict,
    workdir: str | os.PathLike[str],
    *,
    quiet: bool = False,
    devices: Any = None,
    profile: int = 0,
    final_test: bool = True,
    on_evaluation: Callable[[int, float], object] | None = None,
    extend: bool = False,
    allow_changed_code: bool = False,
) -> Result:
    """Trains as the config says, or resumes the run that workdir holds, and ends with one evaluation on test.

    Args:
      config: a ConfigDict, see default_config.
      workdir: the run directory; made if it is not there.
      quiet: print nothing.
      devices: the devices to use; None takes all.
      profile: steps of a jax.profiler trace in workdir/profile.
      final_test: end with the test split; a search leaves it alone.
      on_evaluation: called with (step, the held-out measure that chooses the best checkpoint) after each evaluation;
        what it raises ends the run.
      extend: the run in workdir may have a shorter config.duration: it resumes from its last state to the new end,
        see Extension. The test split is then looked at once more.
      allow_changed_code: the run in workdir may resume with other sources of the code that its config names; those of
        before stay in workdir/code.
    Returns:
      A Result.
    Raises:
      InputError: the config, the data, the user's own code or the directory do not fit, or another process trains
        there; nothing was lost.
      Diverged: the loss is not finite; the last good checkpoint is kept.
      Preempted: SIGTERM or Ctrl-C came; everything is saved.
    """
    use_persistent_cache()
    if profile < 0:
        raise InputError(f"the steps to profile are {profile}; it is a number of 0 or more.")
    check_workers(config)
    with hushed(quiet):
        setup = set_up(config, devices=devices)
    workdir = local_path(workdir)
    if (workdir / CONVERTED).exists():
        raise InputError(f"{workdir} holds converted weights, not a run to resume. Give another workdir.")
    if extend:
        check_extension(workdir, setup)
    with hold_together(workdir):
        moved = open_run(workdir, setup.config, setup.about_data, extend=extend)
        keep_code(workdir, setup.config, allow_changed=allow_changed_code)
        kept = {"rank": setup.kind.rank, "keep": setup.config.checkpoint.keep}
        with full_disk_named(workdir), Checkpoints(workdir / "checkpoints", **kept) as checkpoints:
            keeper = _Alone(checkpoints, workdir, on_evaluation)
            with hushed(quiet):
                return _train(setup, keeper, quiet=quiet, profile=profile, final_test=final_test, moved=moved)


class _Alone:
    """The keeper of a run alone, see Loop: its checkpoints are its states."""

    def __init__(self, checkpoints, workdir, on_evaluation):
        self.checkpoints, self.where, self.on_evaluation = checkpoints, workdir, on_evaluation

    def scale(self, host):
        return host.plateau.scale

    def save(self, loop, step, held_out):
        held_out = held_out and held_out[0]
        memory = loop.hosts[0].memory(step, unlogged=loop.elapsed())
        self.checkpoints.save(step, loop.state, held_out=held_out, memory=memory)
        if held_out and self.on_evaluation:
            self.on_evaluation(step, held_out[loop.setup.kind.selects[0]])

    def diverged(self, loop, number, first, reason):
        self.checkpoints.wait()
        raise Diverged(f"{reason} {loop.hosts[number].diverged(first, self.checkpoints.steps())}")


def _train(setup, keeper, *, quiet, profile, final_test, moved):
    """Trains a run alone from the last of its checkpoints to the end; returns a Result."""
    config, workdir = setup.config, keeper.where
    resumed = max(keeper.checkpoints.steps(), default=0)
    shown = {"title": config.model.name, "measures": headline(setup.kind)}
    progress = Progress(setup.total, start=resumed, quiet=quiet or jax.process_index() > 0, **shown)
    host = HostState(setup, config, workdir, step=resumed)
    loop = Loop(setup, setup.replicas, [host], keeper, progress)
    try:
        memory = keeper.checkpoints.memory(resumed) if resumed else None
        extension = extension_of(memory, setup, resumed) if memory else None
        more = {"extended": extension.event()} if extension else {}
        write_environment(workdir, config, step=resumed, **more)
        _say_moved(loop, moved, resumed)
        for note in setup.notes():
            progress.line(note)
        loop.say_damaged(resumed)
        feed = _feed(loop, "train")
        loop.data, loop.task = feed.data, setup.task(*statistics_of(setup, feed, workdir))
        loop.inputs_from = functools.partial(feed.training, batch_size=config.batch_size)
        _set_state(loop, resumed, memory, extension)
        if loop.task.begin is not None and not resumed:
            loop.state = begun(setup, loop.task, feed, loop.state)
        if loop.task.before is not None:
            recorded = recorded_before(setup, loop.task, feed, loop.state, workdir, resumed=resumed > 0)
            loop.data = {**loop.data, **setup.replicas.replicate(recorded)}
        _announce(loop, resumed, feed, extension)
        loop.validation = setup.evaluator(loop.task, _feed(loop, "validation"))
        with Termination() as termination:
            _steps(loop, resumed, termination, profile)
        keeper.checkpoints.wait()
        return _finish(loop, final_test)
    finally:
        host.log.close()
        progress.close()


def _say_moved(loop, moved, step):
    for there, here in moved:
        loop.note({"event": "moved", "step": step, "from": there, "to": here})
        loop.progress.line(f"the data lie in {here} now, before in {there}")


def _feed(loop, split):
    feed = loop.setup.feed(split)
    if feed.unreadable():
        loop.progress.line(f"{split}: {feed.unreadable()} records could not be read and are left out")
    return feed


def _set_state(loop, resumed, memory, extension):
    """The state of the loop: drawn, that of config.finetune.source under a new head, or that of a checkpoint."""
    setup, replicas, (host,) = loop.setup, loop.setup.replicas, loop.hosts
    create = state_function(setup)
    like = jax.eval_shape(create)
    if resumed:
        host.restore(memory, resumed, extension)
        loop.unlogged, loop.ended = memory["unlogged"], host.patience_exhausted()
    if resumed < setup.total and not loop.ended:
        # The latest, the best and the one being written; on resuming most of them are there.
        copies = max(1, setup.config.checkpoint.keep + 2 - len(loop.keeper.checkpoints.steps()))
        check_space(loop.keeper.where, copies * size_of(like))
    if resumed:
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicas.replicated), like)
        loop.state = loop.keeper.checkpoints.load(resumed, like)
        return
    loop.state = draw(create, replicas.replicated)
    if source := setup.config.finetune.source:
        loop.state, step = begin_from_source(loop.state, setup.config, setup.plan, replicas)
        head = sorted(setup.plan.head)
        if not any(row.get("event") == "begun" for row in read_metrics(host.workdir)):  # of a start that saved nothing
            loop.note({"event": "begun", "step": 0, "source": source, "source_step": step, "head": head})
        loop.progress.line(f"the network of {source}, step {step}, under a new head: {', '.join(head)}")


def _announce(loop, resumed, feed, extension):
    setup, kind = loop.setup, jax.devices()[0].device_kind
    count, train = sum(math.prod(p.shape) for p in jax.tree.leaves(loop.state.params)), setup.train
    loop.progress.line(
        f"{setup.config.model.name}: {count:,} parameters; {train.name}: {len(train):,} images of "
        f"{'x'.join(map(str, train.shape))}, {len(train.classes)} classes, "
        f"{'resident' if feed.resident else 'streamed'}; "
        f"{setup.total} steps of {setup.config.batch_size} on {setup.replicas.count} x {kind}"
        + (f"; resumed at step {resumed}" if resumed else "")
    )
    if extension:
        scale = loop.hosts[0].plateau.scale
        loop.progress.line(
            f"made longer: '{extension.old}' ({extension.old_steps} steps) is now '{extension.new}' "
            f"({extension.new_steps} steps); from step {extension.step} on the schedule is that of the new duration: "
            f"the learning rate there is {extension.new_rate * scale:g}, it was {extension.old_rate * scale:g}"
            + ("; evaluation.patience, which had ended the run, counts anew" if loop.hosts[0].reopened else "")
        )


def _steps(loop, start, termination, profile):
    inputs = loop.inputs_from(start=start)
    trace = Trace(loop.keeper.where / "profile", profile)

    def after(step, steps):
        if trace.advance(step - steps - start, step - start, loop.state):
            loop.progress.line(f"profile of {profile} steps: {trace.folder}")

    try:
        loop.run(start, inputs, termination, after=after)
    finally:
        inputs.close()
        trace.close()


def _finish(loop, final_test):
    setup, checkpoints, (host,) = loop.setup, loop.keeper.checkpoints, loop.hosts
    best = checkpoints.resolve("best")
    validation = {"step": best, **checkpoints.held_out(best)}
    for name in setup.kind.selects[:1]:
        if name in OF_IMAGES and (few := few_images(validation[name], len(setup.records("validation")))):
            loop.progress.line(few)
    test = host.test_result()
    if test is None and final_test and setup.config.data.test:
        test = _test(loop, best)
    return Result(loop.keeper.where, max(checkpoints.steps()), loop.state, validation, test)


def _test(loop, best):
    """The look at the test split, one at each end that the run had."""
    setup, (host,) = loop.setup, loop.hosts
    state = loop.keeper.checkpoints.load(best, loop.state)
    looks = host.looks() + 1
    (result,) = setup.evaluator(loop.task, _feed(loop, "test"))(evaluation_variables(state))
    row = host.test_row(best, result)
    loop.progress.line(
        f"test, best checkpoint (step {best}): {row['n']:,} images, {said(setup.kind, row)}"
        + (f"; look number {looks} at the test split: the run was made longer after it was tested" * (looks > 1))
    )
    return row


def statistics_of(setup: Setup, feed: Feed, *workdirs: Any) -> tuple[Any, Any]:
    """(mean, std) that the images of runs are normalised by: what the first directory or the source keeps, or computed.

    All directories keep it; what a directory keeps already stays as it is.
    """
    found = (
        read_statistics(workdirs[0])
        or source_statistics(setup.config, setup.shape)
        or image_statistics(setup.config, feed)
    )
    for workdir in workdirs:
        if not (workdir / DATA).exists():
            write_data(workdir, setup.about_data)
        if read_statistics(workdir) is None:  # last: where it is found, the other is there too
            write_statistics(workdir, *found)
    return found


def size_of(tree: Any) -> int:
    """Bytes of a pytree of shapes, all of float32."""
    return sum(math.prod(x.shape) * 4 for x in jax.tree.leaves(tree))
