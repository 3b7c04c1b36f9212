"""The training loop: chunks of steps between evaluations and checkpoints, resumable at every chunk."""

import dataclasses
import math
import pathlib
import time

import jax
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.files import local_path
from jaxcnn.training.before import recorded_before
from jaxcnn.training.bounds import check_workers
from jaxcnn.training.chunks import Chunks, network
from jaxcnn.training.compilation import use_persistent_cache
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.finetune.start import begin_from_source, source_statistics
from jaxcnn.training.host import Record, headline, said
from jaxcnn.training.normalise import image_statistics
from jaxcnn.training.processes.distributed import hold_together
from jaxcnn.training.processes.preemption import Preempted, Termination
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.code import keep_code
from jaxcnn.training.rundir.directory import (
    CONVERTED,
    DATA,
    check_space,
    full_disk_named,
    open_run,
    read_statistics,
    write_data,
    write_environment,
    write_statistics,
)
from jaxcnn.training.rundir.extension import check_extension, extension_of
from jaxcnn.training.rundir.log import Progress
from jaxcnn.training.selection import few_images
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import create_state
from jaxcnn.training.trace import Trace

__all__ = ["Diverged", "Preempted", "Result", "train"]


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished run came to.

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


def train(
    config,
    workdir,
    *,
    quiet=False,
    devices=None,
    profile=0,
    final_test=True,
    on_evaluation=None,
    extend=False,
    allow_changed_code=False,
):
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
        raise InputError(f"the steps to profile are {profile}; it is a number from 0.")
    check_workers(config)
    setup = set_up(config, devices=devices)
    workdir = local_path(workdir)
    if (workdir / CONVERTED).exists():
        raise InputError(f"{workdir} holds converted weights, not a run to resume. Give another --workdir.")
    if extend:
        check_extension(workdir, setup)
    with hold_together(workdir):
        moved = open_run(workdir, setup.config, setup.about_data, extend=extend)
        keep_code(workdir, setup.config, allow_changed=allow_changed_code)
        kept = {"rank": setup.kind.rank, "keep": setup.config.checkpoint.keep}
        with full_disk_named(workdir), Checkpoints(workdir / "checkpoints", **kept) as checkpoints:
            run = _Run(setup, workdir, checkpoints, quiet, profile, on_evaluation)
            return run.train(final_test=final_test, moved=moved)


class _Run(Chunks):
    def __init__(self, setup, workdir, checkpoints, quiet, profile, on_evaluation):
        super().__init__(setup, checkpoints, workdir)
        self.on_evaluation = on_evaluation
        self.config, self.workdir = setup.config, workdir
        self.quiet, self.profile = quiet or jax.process_index() > 0, profile

    def train(self, *, final_test, moved):
        config, setup = self.config, self.setup
        resumed = max(self.checkpoints.steps(), default=0)
        shown = {"title": config.model.name, "measures": headline(setup.kind)}
        self.progress = Progress(setup.total, start=resumed, quiet=self.quiet, **shown)
        self.record = Record(setup, config, self.workdir, step=resumed)
        try:
            memory = self.checkpoints.memory(resumed) if resumed else None
            self.extension = extension_of(memory, setup, resumed) if memory else None
            more = {"extended": self.extension.event()} if self.extension else {}
            write_environment(self.workdir, config, step=resumed, **more)
            self._say_moved(moved, resumed)
            for note in setup.notes():
                self.progress.line(note)
            self.say_damaged(resumed)
            feed = self._feed("train")
            self.data = feed.data
            self.task = setup.task(*statistics_of(setup, feed, self.workdir))
            self.state = self._initial(resumed, memory)
            if self.task.before is not None:
                recorded = recorded_before(setup, self.task, feed, self.state, self.workdir, resumed=resumed > 0)
                self.data = {**self.data, **setup.replicas.replicate(recorded)}
            self._announce(resumed, feed)
            self.validation = setup.evaluator(self.task, self._feed("validation"))
            with Termination() as termination:
                self._steps(resumed, feed, termination)
            self.checkpoints.wait()
            return self._finish(final_test)
        finally:
            self.record.log.close()
            self.progress.close()

    def _say_moved(self, moved, step):
        if moved:
            there, here = moved
            self.record.log.write({"event": "moved", "step": step, "from": there, "to": here})
            self.progress.line(f"the data lie in {here} now, before in {there}")

    def _feed(self, split):
        feed = self.setup.feed(split)
        if feed.unreadable():
            self.progress.line(f"{split}: {feed.unreadable()} records could not be read and are left out")
        return feed

    def _initial(self, resumed, memory):
        replicas = self.setup.replicas
        create = jax.jit(lambda: create_state(self.setup), out_shardings=replicas.replicated)
        like = jax.eval_shape(create)
        if resumed:
            self.record.restore(memory, resumed, self.extension)
            self.unlogged, self.ended = memory["unlogged"], self.record.waited()
        if resumed < self.setup.total and not self.ended:
            # The latest, the best and the one being written; on resuming most of them are there.
            copies = max(1, self.config.checkpoint.keep + 2 - len(self.checkpoints.steps()))
            check_space(self.workdir, copies * size_of(like))
        if not resumed:
            return self._begun(create())
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicas.replicated), like)
        return self.checkpoints.load(resumed, like)

    def _begun(self, state):
        """The state as it was drawn, or with the network of config.finetune.source."""
        source = self.config.finetune.source
        if not source:
            return state
        state, step = begin_from_source(state, self.config, self.setup.plan, self.setup.replicas)
        head = sorted(self.setup.plan.head)
        self.record.log.write({"event": "begun", "source": source, "step": step, "head": head})
        self.progress.line(f"the network of {source}, step {step}, under a new head: {', '.join(head)}")
        return state

    def _announce(self, resumed, feed):
        count = sum(math.prod(p.shape) for p in jax.tree.leaves(self.state.params))
        train, kind = self.setup.train, jax.devices()[0].device_kind
        self.progress.line(
            f"{self.config.model.name}: {count:,} parameters; {train.name}: {len(train):,} images of "
            f"{'x'.join(map(str, train.shape))}, {len(train.classes)} classes, "
            f"{'resident' if feed.resident else 'streamed'}; "
            f"{self.setup.total} steps of {self.config.batch_size} on {self.setup.replicas.count} x {kind}"
            + (f"; resumed at step {resumed}" if resumed else "")
        )
        if self.extension:
            self._announce_extension()

    def _announce_extension(self):
        longer, scale = self.extension, self.record.plateau.scale
        self.progress.line(
            f"made longer: '{longer.old}' ({longer.old_steps} steps) is now '{longer.new}' ({longer.new_steps} steps); "
            f"from step {longer.step} on the schedule is that of the new duration: the learning rate there is "
            f"{longer.new_rate * scale:g}, it was {longer.old_rate * scale:g}"
            + ("; evaluation.patience, which had ended the run, counts anew" if self.record.reopened else "")
        )

    def _steps(self, start, feed, termination):
        inputs = feed.training(start=start, batch_size=self.config.batch_size)
        trace = Trace(self.workdir / "profile", self.profile)

        def after(step, steps):
            if trace.advance(step - steps - start, step - start, self.state):
                self.progress.line(f"profile of {self.profile} steps: {trace.folder}")

        try:
            self.run(start, inputs, termination, after=after)
        finally:
            inputs.close()
            trace.close()

    def mapped(self, chunk):
        return self.setup.replicas.map(chunk)

    def note(self, event):
        self.record.log.write(event)
        if event["event"] == "compiled":
            self.progress.line(f"compiled in {event['seconds']:.1f} s")

    def fetch(self, step):
        diverged = self.record.add(jax.device_get(self.pending), step)
        self.pending = []
        if diverged:
            first, reason = diverged
            self.checkpoints.wait()
            raise Diverged(f"{reason} {self.record.diverged(first, self.checkpoints.steps())}")

    def flush(self, step):
        self.fetch(step)
        if self.record.rows:
            now = time.monotonic()
            spent, self.clock = now - self.clock, now
            self.progress.update(step, self.record.train_row(step, spent))

    def evaluate(self, step):
        scale = self.record.plateau.scale
        (result,) = self.validation(network(self.state))
        row = self.record.held_out_row(step, result)
        self.progress.line(f"step {step}  epoch {row['epoch']:.2f}  held out: {said(self.setup.kind, row)}")
        if self.record.plateau.scale != scale:
            self._scale_rate(self.record.plateau.scale)
        self.ended = self.record.waited()
        return self.record.chosen_by(row)

    def _scale_rate(self, scale):
        numbers = {
            **self.state.hyperparameters,
            "learning_rate_scale": self.setup.replicas.replicate(np.float32(scale)),
        }
        self.state = self.state.replace(hyperparameters=numbers)
        self.progress.line(f"plateau: the learning rate is now {self.config.optimizer.learning_rate * scale:g}")

    def save(self, step, held_out=None):
        memory = self.record.memory(step, unlogged=time.monotonic() - self.clock)
        self.checkpoints.save(step, self.state, held_out=held_out, memory=memory)
        if held_out and self.on_evaluation:
            self.on_evaluation(step, held_out[self.setup.kind.selects[0]])

    def _finish(self, final_test):
        best = self.checkpoints.resolve("best")
        validation = {"step": best, **self.checkpoints.held_out(best)}
        first = self.setup.kind.selects[0] if self.setup.kind.selects else None
        if first and self.setup.kind.measures[first].unit == "points":
            if few := few_images(validation[first], len(self.setup.records("validation"))):
                self.progress.line(few)
        test = self.record.tested()
        if test is None and final_test and self.config.data.test:
            test = self._test(best)
        return Result(self.workdir, max(self.checkpoints.steps()), self.state, validation, test)

    def _test(self, best):
        """The look at the test split, one at each end that the run had."""
        state = self.checkpoints.load(best, self.state)
        looks = self.record.looks() + 1
        (result,) = self.setup.evaluator(self.task, self._feed("test"))(network(state))
        row = self.record.test_row(best, result)
        self.progress.line(
            f"test, best checkpoint (step {best}): {row['n']:,} images, {said(self.setup.kind, row)}"
            + (f"; look number {looks} at the test split: the run was made longer after it was tested" * (looks > 1))
        )
        return row


def statistics_of(setup, feed, *workdirs):
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


def size_of(tree):
    """Bytes of a pytree of shapes, all of float32."""
    return sum(math.prod(x.shape) * 4 for x in jax.tree.leaves(tree))
