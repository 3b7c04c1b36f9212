"""Chunks of compiled steps between events: what a run alone and a population of runs have in common."""

import abc
import time

import jax

from jaxcnn.data.workers import WorkerDied
from jaxcnn.training.compilation import compiler_options
from jaxcnn.training.processes.preemption import Preempted
from jaxcnn.training.step import make_chunk


class Chunks(abc.ABC):
    """Trains from event to event; a subclass says what an event writes, and where.

    Attributes:
      setup: a Setup.
      progress: its Progress.
      state: what the programs map; `data` is their second argument.
      pending: the metrics of the chunks since the last fetch, on the devices.
      unlogged: seconds that the steps took which no row of the log holds, when an earlier start ended.
      clock: when the time began that the next row of the log accounts for.
      ended: whether the run has come to its end before its last step; an event says so.

    Args:
      setup: a Setup.
      checkpoints: the Checkpoints that a start goes on from.
      where: the folder that the same command resumes.
    """

    def __init__(self, setup, checkpoints, where):
        self.setup, self.checkpoints, self.where = setup, checkpoints, where
        self.evaluate_every, self.save_every = setup.steps("evaluation.every"), setup.steps("checkpoint.every")
        self.programs, self.pending, self.unlogged = {}, [], 0.0
        self.ended = False

    @abc.abstractmethod
    def mapped(self, chunk):
        """The chunk of steps, mapped over devices."""

    @abc.abstractmethod
    def note(self, event):
        """Writes an event into the log."""

    @abc.abstractmethod
    def fetch(self, step):
        """Fetches what is pending and checks that it is finite."""

    @abc.abstractmethod
    def flush(self, step):
        """Logs the metrics since the last row."""

    @abc.abstractmethod
    def evaluate(self, step):
        """Evaluates on the held-out slice."""

    @abc.abstractmethod
    def save(self, step, held_out=None):
        """Starts to save; held_out is what `evaluate` returned of this step."""

    def run(self, step, inputs, termination, *, after=lambda step, steps: None):
        """Trains from `step` to the end; `after` is called with the step and the steps of every chunk."""
        total, log_every = self.setup.total, self.setup.config.log_every
        self.clock = time.monotonic() - self.unlogged
        steps, ready = (0, None) if self.ended else self._take(step, inputs, termination)
        while steps and not self.ended:
            self._advance(step, steps, ready)
            before, step = step, step + steps
            after(step, steps)
            # The devices work: meanwhile the inputs of the next chunk are read and brought to them.
            steps, ready = self._take(step, inputs, termination)
            if step == total or not (step % self.evaluate_every and step % self.save_every):
                self._event(step)
            elif step // log_every > before // log_every:
                self.flush(step)
            if termination.pending() and step < total and not self.ended:
                self._stop(step, termination.received)

    def _take(self, step, inputs, termination):
        """The steps of the chunk that begins here and their inputs."""
        steps = self._chunk(step)
        try:
            return steps, inputs.take(steps) if steps else None
        except WorkerDied:  # of what ends this process too: there is time to save
            if termination.received is None or jax.process_count() > 1:
                raise
            self._stop(step, termination.received)

    def say_damaged(self, step):
        """Says of each checkpoint that was set aside why, and the step that the run resumes from instead."""
        for damaged, reason in self.checkpoints.damaged.items():
            self.note({"event": "damaged", "step": step, "checkpoint": damaged, "reason": reason})
            self.progress.line(f"checkpoint {damaged} is damaged ({reason}); resuming from {step}")

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
        self.state, metrics = self.programs[steps, phase](self.state, self.data, inputs)
        self.pending.append(metrics)
        if len(self.pending) > 1:  # or the inputs of chunks that wait for the devices would fill their memory
            jax.block_until_ready(self.pending[-2])

    def _compile(self, steps, phase, inputs):
        chunk = make_chunk(self.setup.train_step(self.task, phase), steps=steps)
        lowered = self.mapped(chunk).lower(self.state, self.data, inputs)
        return lowered.compile(compiler_options=compiler_options(deterministic=self.setup.config.deterministic))

    def _event(self, step):
        """An evaluation, a checkpoint, or the end; the clock of the images/s stands still."""
        self.flush(step)
        begin = time.monotonic()
        held_out = None
        if step % self.evaluate_every == 0 or step == self.setup.total:
            held_out = self.evaluate(step)
        self.save(step, held_out)
        self.clock += time.monotonic() - begin

    def _stop(self, step, signal):
        """Saves where the run stands, with the metrics that no row of the log holds yet."""
        self.fetch(step)
        if step != max(self.checkpoints.steps(), default=0):
            self.save(step)
        self.checkpoints.wait()
        raise Preempted(
            f"told to end ({signal.name}): step {step} of {self.setup.total} is saved in {self.where}; "
            "the same command resumes",
            signal,
        )


def network(state):
    """The variables that evaluation uses: the averaged network if the State keeps one."""
    return {"params": state.params, "batch_stats": state.batch_stats} if state.ema is None else state.ema


def _next_multiple(step, every):
    return (step // every + 1) * every
