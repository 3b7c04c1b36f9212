"""The loop: chunks of compiled steps between events, for one run or for several in one program."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxcnn.data.workers import WorkerDied
from jaxcnn.training.compilation import compiled
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.host import headline, said
from jaxcnn.training.processes.preemption import Preempted, Termination
from jaxcnn.training.samples import Sampler, Samples, keep_samples
from jaxcnn.training.step import make_chunk

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Kind
    from jaxcnn.training.setup import Setup
    from jaxcnn.training.state import State


STATISTICS_BATCHES = 50


class Loop:
    """Trains from event to event: a log row, an evaluation, a checkpoint, the end.

    The layout says how runs lie on the devices (`Replicas` of one run, `Members` of a population); the keeper says what
    their checkpoints are made of and what follows a divergence. A keeper has

      checkpoints, where: the Checkpoints that a start resumes from, and the folder that the same command resumes
      scale(host): the learning-rate scale that the state of a run holds
      save(loop, step, held_out): starts to save; held_out is what `evaluate` returned of this step, or None
      diverged(loop, number, first, reason): a run diverged at step `first`

    Attributes:
      setup: a Setup.
      layout: the Replicas or Members.
      hosts: a HostState for each run.
      progress: a Progress.
      task, data, state, validation: the Task, the resident split, the State on the devices and the Evaluator of the
        held-out slice; set before `run`.
      inputs_from: f(start=step) -> an iterator object of training inputs, see Feed.training; set before `run`.
      unlogged: training seconds since the last log row of an interrupted start.
      ended: whether the runs have come to their end before their last step.
    """

    task: Any
    data: Any
    state: Any
    validation: Any
    inputs_from: Any

    def __init__(self, setup: Setup, layout: Any, hosts: Any, keeper: Any, progress: Any) -> None:
        self.setup, self.layout, self.hosts, self.keeper, self.progress = setup, layout, hosts, keeper, progress
        self.evaluate_every, self.save_every = setup.steps("evaluation.every"), setup.steps("checkpoint.every")
        self.task = self.data = self.state = self.validation = self.inputs_from = None
        self.programs, self.pending, self.unlogged, self.ended = {}, [], 0.0, False
        self.sampler = None

    def active(self) -> list[tuple[int, Any]]:
        """[(number, host)] of the runs that still train."""
        return [(number, host) for number, host in enumerate(self.hosts) if host.failure is None]

    def run(
        self,
        step: int,
        inputs: Any,
        termination: Termination,
        *,
        after: Callable[[int, int], object] = lambda step, steps: None,
    ) -> None:
        """Trains from `step` to the end.

        Args:
          step: updates done.
          inputs: an iterator object of training inputs, see Feed.training.
          termination: a Termination.
          after: called with the step and the steps of every chunk.
        Raises:
          Diverged: all runs did.
          Preempted: a signal came; everything is saved.
        """
        total, log_every = self.setup.total, self.setup.config.log_every
        self.clock = time.monotonic() - self.unlogged  # when the time began that the next log row accounts for
        steps, ready = (0, None) if self.ended else self._take(step, inputs, termination)
        while steps and not self.ended:
            self._advance(step, steps, ready)
            before, step = step, step + steps
            after(step, steps)
            # The devices work: meanwhile the inputs of the next chunk are read and brought to them.
            steps, ready = self._take(step, inputs, termination)
            if self._has_event(step):
                self._event(step)
            elif step // log_every > before // log_every:
                self._flush(step)
            if termination.pending() and step < total and not self.ended:
                self._stop(step, termination.received)

    def note(self, event: Mapping[str, Any]) -> None:
        """Writes an event into the log of every run."""
        for _, host in self.active():
            host.log.write(event)

    def say_damaged(self, step: int) -> None:
        """Says of each checkpoint that was set aside why, and the step that the run resumes from instead."""
        for damaged, reason in self.keeper.checkpoints.damaged.items():
            self.note({"event": "damaged", "step": step, "checkpoint": damaged, "reason": reason})
            self.progress.line(f"checkpoint {damaged} is damaged ({reason}); resuming from {step}")

    def elapsed(self) -> float:
        """Seconds of training that no row of the log holds yet."""
        return time.monotonic() - self.clock

    def _take(self, step, inputs, termination):
        """The steps of the chunk that begins here and their inputs."""
        steps = self._chunk(step)
        try:
            return steps, inputs.take(steps) if steps else None
        except WorkerDied:  # of what ends this process too: there is time to save
            if termination.received is None or jax.process_count() > 1:
                raise
            if self.pending and self._has_event(step):  # it comes before the end, as where no worker dies
                self._event(step)
            self._stop(step, termination.received)

    def _has_event(self, step):
        return step == self.setup.total or not (step % self.evaluate_every and step % self.save_every)

    def _chunk(self, step):
        """The steps of the chunk that begins here: a whole one where no event comes before its end; 0 at the end."""
        per_call = self.setup.config.steps_per_call
        events = [_next_multiple(step, every) for every in (self.evaluate_every, self.save_every)]
        event = min(self.setup.total, self.setup.plan.end(step) or self.setup.total, *events)
        return per_call if step + per_call <= event else int(step < event)

    def _advance(self, step, steps, inputs):
        phase = self.setup.plan.phase(step)
        if (steps, phase) not in self.programs:
            begin = time.monotonic()
            self.programs[steps, phase] = self._compile(steps, phase, inputs)
            spent = time.monotonic() - begin
            self.clock += spent
            self.note({"event": "compiled", "steps": steps, "seconds": round(spent, 3)})
            more = ", for more layers learn from here" if step in self.setup.plan.boundaries else ""
            self.progress.line(f"compiled in {spent:.1f} s{more}")
        self.state, metrics = self.programs[steps, phase](self.state, self.data, inputs)
        self.pending.append(metrics)
        if len(self.pending) > 1:  # or the inputs of chunks that wait for the devices would fill their memory
            jax.block_until_ready(self.pending[-2])

    def _compile(self, steps, phase, inputs):
        return self._compiled(make_chunk(self.setup.train_step(self.task, phase), steps=steps), inputs)

    def _compiled(self, chunk, inputs):
        chunk, deterministic = self.layout.map_chunk(chunk), self.setup.config.deterministic
        return compiled(chunk, self.state, self.data, inputs, deterministic=deterministic)

    def _fetch(self, step):
        """Brings the metrics of the steps up to `step` to the host and checks that they are finite."""
        chunks, self.pending = [self.layout.runs(chunk) for chunk in jax.device_get(self.pending)], []
        for number, host in self.active():
            if diverged := host.add([chunk[number] for chunk in chunks], step):
                self.keeper.diverged(self, number, *diverged)
        if not self.active():
            raise Diverged("every member diverged")

    def _flush(self, step):
        """Logs the metrics since the last row, whose time the runs share."""
        self._fetch(step)
        waiting = [host for _, host in self.active() if host.rows]
        if not waiting:
            return
        now = time.monotonic()
        spent, self.clock = now - self.clock, now
        rows = [host.train_row(step, spent / len(waiting)) for host in waiting]
        shown = [name for name in (*self.progress.measures, "images_per_second") if rows[0].get(name) is not None]
        self.progress.update(step, {**rows[0], **{name: float(np.mean([row[name] for row in rows])) for name in shown}})

    def _event(self, step):
        """An evaluation, a checkpoint, or the end; the clock of the images/s stands still."""
        self._flush(step)
        begin = time.monotonic()
        self._renew_statistics(step)
        held_out = None
        if step % self.evaluate_every == 0 or step == self.setup.total:
            held_out = self._evaluate(step)
        self.clock += time.monotonic() - begin  # before saving: a checkpoint keeps what it says
        begin = time.monotonic()
        self.keeper.save(self, step, held_out)
        self.clock += time.monotonic() - begin

    def _renew_statistics(self, step):
        """Gives the mean of config.optimizer.swa running statistics of its own: batches go forward through it.

        They begin with those of the last step: batch norm with a momentum of 0.9 keeps half a percent (0.9**50).
        """
        since = self.setup.averages_since
        if since is None or step <= since or not jax.tree.leaves(self.state.batch_stats):
            return
        inputs, key = self.inputs_from(start=step), ("statistics", self.setup.plan.phase(step))
        for _ in range(STATISTICS_BATCHES):
            batch = inputs.take(1)
            if key not in self.programs:
                made = make_chunk(self.setup.statistics_step(self.task, key[1]), steps=1)
                self.programs[key] = self._compiled(made, batch)
            self.state, _ = self.programs[key](self.state, self.data, batch)
        inputs.close()
        self.state = self.state.replace(step=self.layout.stack([np.int32(step) for _ in self.hosts]))

    def _evaluate(self, step):
        """Evaluates on the held-out slice; {number: {measure: value} of those that choose the best state}."""
        variables = evaluation_variables(self.state)
        found = self.validation(variables)
        scales = [host.plateau.scale for host in self.hosts]
        rows = {number: host.held_out_row(step, found[number]) for number, host in self.active()}
        self.progress.line(held_out_line(self.setup.kind, step, list(rows.values())))
        self._say(step, {number: list(self.task.notices(row)) for number, row in rows.items()})
        if self.task.sample is not None:
            self._sample(step, variables)
        if [host.plateau.scale for host in self.hosts] != scales:
            self._scale_rates()
        self.ended = all(host.patience_exhausted() for _, host in self.active())
        if self.ended and step < self.setup.total:
            ended = (
                f"ended at step {step} of {self.setup.total}: {self.setup.config.evaluation.patience} evaluations in a "
                "row brought no lower held-out error (config.evaluation.patience)"
            )
            self._say(step, {number: [ended] for number in rows})
        return {number: self.hosts[number].chosen_by(row) for number, row in rows.items()}

    def _sample(self, step, variables):
        """Keeps the images that the networks make of fixed codes."""
        self.sampler = self.sampler or Sampler(self.setup, self.task, self.layout)
        images = self.sampler(variables)
        for number, host in self.active():
            keep_samples(host.workdir, Samples(step, self.sampler.classes, images[number]))
        self._say(step, {number: self.sampler.notices(images[number]) for number, _ in self.active()})

    def _say(self, step, notices):
        """Prints and logs sentences on the runs, {number: sentences}."""
        for number, sentences in notices.items():
            for text in sentences:
                self.hosts[number].log.write({"event": "notice", "step": step, "text": text})
                self.progress.line(text if len(self.hosts) == 1 else f"{self.hosts[number].workdir.name}: {text}")

    def _scale_rates(self):
        scale = self.layout.stack([np.float32(self.keeper.scale(host)) for host in self.hosts])
        self.state = self.state.replace(hyperparameters={**self.state.hyperparameters, "learning_rate_scale": scale})
        if len(self.hosts) == 1:
            rate = self.setup.config.optimizer.learning_rate * self.hosts[0].plateau.scale
            self.progress.line(f"plateau: the learning rate is now {rate:g}")

    def _stop(self, step, signal):
        """Saves where the runs stand, with the metrics that no row of the log holds yet."""
        self._fetch(step)
        checkpoints = self.keeper.checkpoints
        if step != max(checkpoints.steps(), default=0):
            self.keeper.save(self, step, None)
        checkpoints.wait()
        raise Preempted(
            f"told to end ({signal.name}): step {step} of {self.setup.total} is saved in {self.keeper.where}; "
            "the same command resumes",
            signal,
        )


def held_out_line(kind: Kind, step: int, rows: Sequence[Mapping[str, Any]]) -> str:
    """A line of progress about the held-out rows of all runs at a step."""
    text = f"step {step}  epoch {rows[0]['epoch']:.2f}  held out: "
    if len(rows) == 1:
        return text + said(kind, rows[0])
    first = next(name for name in (*kind.selects, *headline(kind), *kind.measures) if rows[0].get(name) is not None)
    values = [row[first] for row in rows]
    return f"{text}{first} {min(values):.4f} to {max(values):.4f}"


def evaluation_variables(state: State) -> Any:
    """Variables for evaluation: the averaged network if the State keeps one."""
    return {"params": state.params, "batch_stats": state.batch_stats} if state.ema is None else state.ema


def _next_multiple(step, every):
    return (step // every + 1) * every
