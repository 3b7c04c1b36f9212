"""The training loop: chunks of steps between evaluations and checkpoints, resumable at every chunk."""

import dataclasses
import math
import pathlib
import time

import jax
import numpy as np

from jaxcnn.errors import InputError, disk_is_full
from jaxcnn.training.checkpoint import Checkpoints
from jaxcnn.training.compilation import compiler_options, use_persistent_cache
from jaxcnn.training.divergence import Diverged, divergence
from jaxcnn.training.evaluate import Evaluator, evaluation_row
from jaxcnn.training.metrics import MetricsLog, Progress
from jaxcnn.training.preemption import Preempted, Termination
from jaxcnn.training.rundir import (
    CONVERTED,
    append_evaluation,
    check_space,
    open_run,
    read_evaluations,
    read_statistics,
    write_data,
    write_environment,
    write_statistics,
)
from jaxcnn.training.schedule import Plateau
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import create_state
from jaxcnn.training.statistics import image_statistics
from jaxcnn.training.step import make_chunk, make_train_step
from jaxcnn.training.trace import Trace


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished run came to.

    Attributes:
      workdir: the run directory.
      step: updates done.
      state: the last State.
      validation: {"step", "top1", "loss"} of the best checkpoint on the held-out slice.
      test: the evaluation of that checkpoint on the test split as a dict, see evaluation_row; None without one.
    """

    workdir: pathlib.Path
    step: int
    state: object
    validation: dict
    test: dict | None


def train(config, workdir, *, quiet=False, devices=None, profile=0, final_test=True, on_evaluation=None):
    """Trains as the config says, or resumes the run that workdir holds, and ends with one evaluation on test.

    Args:
      config: a ConfigDict, see default_config.
      workdir: the run directory; made if it is not there.
      quiet: print nothing.
      devices: the devices to use; None takes all.
      profile: steps of a jax.profiler trace in workdir/profile.
      final_test: end with the test split; a search leaves it alone.
      on_evaluation: called with (step, held-out top-1) after each evaluation; what it raises ends the run.
    Returns:
      A Result.
    Raises:
      InputError: the config, the data or the directory do not fit; nothing was lost.
      Diverged: the loss is not finite; the last good checkpoint is kept.
      Preempted: SIGTERM or Ctrl-C came; everything is saved.
    """
    use_persistent_cache()
    setup = set_up(config, devices=devices)
    workdir = pathlib.Path(workdir)
    if (workdir / CONVERTED).exists():
        raise InputError(f"{workdir} holds converted weights, not a run to resume. Give another --workdir.")
    open_run(workdir, setup.config)
    try:
        with Checkpoints(workdir / "checkpoints", keep=setup.config.checkpoint.keep) as checkpoints:
            return _Run(setup, workdir, checkpoints, quiet, profile, on_evaluation).train(final_test=final_test)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError) or not disk_is_full(error):
            raise
        raise InputError(
            f"the disk of {workdir} is full. Checkpoints that were complete are kept: free some space, and the same "
            "command resumes."
        ) from error


class _Run:
    def __init__(self, setup, workdir, checkpoints, quiet, profile, on_evaluation):
        self.setup, self.config, self.workdir, self.checkpoints = setup, setup.config, workdir, checkpoints
        self.quiet, self.profile = quiet or jax.process_index() > 0, profile
        self.evaluate_every = setup.steps("evaluation.every")
        self.save_every = setup.steps("checkpoint.every")
        self.on_evaluation = on_evaluation
        self.programs, self.plateau = {}, Plateau()
        self.seconds = 0.0  # of training, up to the last row of the log
        self.pending, self.unlogged = [], 0.0  # metrics that no row of the log holds yet, and the seconds they took

    def train(self, *, final_test):
        config, setup = self.config, self.setup
        resumed = max(self.checkpoints.steps(), default=0)
        self.progress = Progress(setup.total, start=resumed, title=config.model.name, quiet=self.quiet)
        self.log = MetricsLog(self.workdir, step=resumed, active=jax.process_index() == 0)
        try:
            write_environment(self.workdir, config, step=resumed)
            self.feed = self._feed("train")
            mean, std = self._statistics()
            self.task = setup.task(mean, std)
            self.state = self._initial(resumed)
            self._announce(resumed)
            validation = Evaluator(setup, self.task, self._feed("validation"))
            with Termination() as termination:
                self._steps(resumed, validation, termination)
            self.checkpoints.wait()
            return self._finish(final_test)
        finally:
            self.log.close()
            self.progress.close()

    def _feed(self, split):
        feed = self.setup.feed(split)
        if feed.unreadable():
            self.progress.line(f"{split}: {feed.unreadable()} records could not be read and are left out")
        return feed

    def _statistics(self):
        found = read_statistics(self.workdir)
        if found is None:
            found = image_statistics(self.config, self.feed)
            write_data(self.workdir, self.setup.classes, self.setup.shape)
            write_statistics(self.workdir, *found)  # last: where it is found, the other is there too
        return found

    def _initial(self, resumed):
        optimizer, replicas = self.setup.optimizer(), self.setup.replicas
        create = jax.jit(
            lambda: create_state(self.config, self.setup.model, optimizer, self.setup.shape),
            out_shardings=replicas.replicated,
        )
        like = jax.eval_shape(create)
        size = sum(math.prod(x.shape) * 4 for x in jax.tree.leaves(like))
        # The latest, the best and the one being written; on resuming most of them are there.
        check_space(self.workdir, size * max(1, self.config.checkpoint.keep + 2 - len(self.checkpoints.steps())))
        if not resumed:
            return create()
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicas.replicated), like)
        memory = self.checkpoints.memory(resumed)
        plateau = memory["plateau"]
        self.plateau = Plateau(
            math.inf if plateau["best"] is None else plateau["best"], plateau["count"], plateau["scale"]
        )
        self.seconds, self.unlogged = memory["seconds"], memory["unlogged"]
        if memory["metrics"]:
            self.pending = [{name: np.asarray(values, np.float32) for name, values in memory["metrics"].items()}]
        self.log.write({"event": "resumed", "step": resumed})
        return self.checkpoints.load(resumed, like)

    def _announce(self, resumed):
        count = sum(math.prod(p.shape) for p in jax.tree.leaves(self.state.params))
        train, kind = self.setup.train, jax.devices()[0].device_kind
        self.progress.line(
            f"{self.config.model.name}: {count:,} parameters; {train.name}: {len(train):,} images of "
            f"{'x'.join(map(str, train.shape))}, {len(train.classes)} classes, "
            f"{'resident' if self.feed.resident else 'streamed'}; "
            f"{self.setup.total} steps of {self.config.batch_size} on {self.setup.replicas.count} x {kind}"
            + (f"; resumed at step {resumed}" if resumed else "")
        )

    def _steps(self, step, validation, termination):
        total, first = self.setup.total, step
        inputs = self.feed.training(start=step, batch_size=self.config.batch_size)
        trace = Trace(self.workdir / "profile", self.profile)
        self.clock = time.monotonic() - self.unlogged
        try:
            steps = self._chunk(step)
            ready = inputs.take(steps) if steps else None
            while steps:
                self._advance(steps, ready)
                before, step = step, step + steps
                # The devices work: meanwhile the inputs of the next chunk are read and brought to them.
                steps = self._chunk(step)
                ready = inputs.take(steps) if steps else None
                if trace.advance(before - first, step - first, self.state):
                    self.progress.line(f"profile of {self.profile} steps: {trace.folder}")
                if step == total or not (step % self.evaluate_every and step % self.save_every):
                    self._event(step, validation)
                elif step // self.config.log_every > before // self.config.log_every:
                    self._flush(step)
                if termination.pending() and step < total:
                    self._stop(step, termination.received)
        finally:
            inputs.close()
            trace.close()

    def _chunk(self, step):
        """The steps of the chunk that begins here: a whole one where no event comes before its end; 0 at the end."""
        per_call = self.config.steps_per_call
        event = min(self.setup.total, *(_next_multiple(step, x) for x in (self.evaluate_every, self.save_every)))
        return per_call if step + per_call <= event else int(step < event)

    def _advance(self, steps, inputs):
        if steps not in self.programs:
            begin = time.monotonic()
            step = make_train_step(
                self.task,
                self.setup.optimizer(),
                self.setup.schedule(),
                ema=self.config.optimizer.ema,
                accumulate=self.config.optimizer.accumulate,
            )
            mapped = self.setup.replicas.map(make_chunk(step, steps=steps))
            options = compiler_options(deterministic=self.config.deterministic)
            self.programs[steps] = mapped.lower(self.state, self.feed.data, inputs).compile(compiler_options=options)
            spent = time.monotonic() - begin
            self.clock += spent
            self.log.write({"event": "compiled", "steps": steps, "seconds": round(spent, 3)})
            self.progress.line(f"compiled in {spent:.1f} s")
        self.state, metrics = self.programs[steps](self.state, self.feed.data, inputs)
        self.pending.append(metrics)
        if len(self.pending) > 1:  # or the inputs of chunks that wait for the devices would fill their memory
            jax.block_until_ready(self.pending[-2])

    def _stop(self, step, signal):
        """Saves where the run stands, with the metrics that no row of the log holds yet."""
        self._fetch(step)
        if step != max(self.checkpoints.steps(), default=0):
            self._save(step)
        self.checkpoints.wait()
        raise Preempted(
            f"told to end ({signal.name}): step {step} of {self.setup.total} is saved in {self.workdir}; "
            "the same command resumes",
            signal,
        )

    def _event(self, step, validation):
        """An evaluation, a checkpoint, or the end; the clock of the images/s stands still."""
        self._flush(step)
        begin = time.monotonic()
        held_out = None
        if step % self.evaluate_every == 0 or step == self.setup.total:
            held_out = self._evaluate(step, validation)
        self._save(step, held_out)
        if held_out and self.on_evaluation:
            self.on_evaluation(step, held_out["top1"])
        self.clock += time.monotonic() - begin

    def _evaluate(self, step, validation):
        result = validation(_network(self.state))
        epoch = round(step / self.setup.steps_per_epoch, 4)
        self.log.write(
            {
                "split": "validation",
                "step": step,
                "epoch": epoch,
                "loss": result.loss,
                "top1": result.top1,
                "top5": result.top5,
            }
        )
        self.progress.line(f"step {step}  epoch {epoch:.2f}  held out: loss {result.loss:.4f}  top1 {result.top1:.4f}")
        if self.config.schedule.name == "plateau":
            scale = self.plateau.scale
            self.plateau = self.plateau.update(
                1 - result.top1, patience=self.config.schedule.patience, factor=self.config.schedule.factor
            )
            if self.plateau.scale != scale:
                self._scale_rate(self.plateau.scale)
        return {"top1": result.top1, "loss": result.loss}

    def _scale_rate(self, scale):
        numbers = {
            **self.state.hyperparameters,
            "learning_rate_scale": self.setup.replicas.replicate(np.float32(scale)),
        }
        self.state = self.state.replace(hyperparameters=numbers)
        self.progress.line(f"plateau: the learning rate is now {self.config.optimizer.learning_rate * scale:g}")

    def _save(self, step, held_out=None):
        best = None if math.isinf(self.plateau.best) else self.plateau.best
        self.checkpoints.save(
            step,
            self.state,
            held_out=held_out,
            memory={
                "seed": self.config.seed,
                "records": step * self.config.batch_size,
                "seconds": self.seconds,
                "unlogged": time.monotonic() - self.clock,
                "metrics": {name: rows.tolist() for name, rows in self.pending[0].items()} if self.pending else {},
                "plateau": {**dataclasses.asdict(self.plateau), "best": best},
                "config": self.config.to_dict(),
            },
        )

    def _fetch(self, step):
        """Fetches the metrics since the last row of the log and checks that they are finite."""
        fetched = jax.device_get(self.pending)
        rows = {name: np.concatenate([m[name] for m in fetched]) for name in fetched[0]} if fetched else {}
        self.pending = [rows] if rows else []
        if rows:
            diverged = divergence(rows, step)
            if diverged:
                self._give_up(*diverged)
        return rows

    def _give_up(self, first, reason):
        self.log.write({"event": "diverged", "step": first})
        self.checkpoints.wait()
        saved = self.checkpoints.steps()
        kept = f"The last good checkpoint is step {saved[-1]} in {self.workdir}." if saved else "None was saved yet."
        raise Diverged(f"{reason} {kept}")

    def _flush(self, step):
        """Logs the mean of the metrics since the last row."""
        rows = self._fetch(step)
        if not rows:
            return
        self.pending = []
        now = time.monotonic()
        spent, self.clock = now - self.clock, now
        self.seconds += spent
        steps, seen = len(rows["seen"]), float(rows["seen"].sum())
        mean = {name: float(rows[name].sum()) / max(seen, 1.0) for name in ("loss", "top1", "top5")}
        row = {
            "split": "train",
            "step": step,
            "epoch": round(step / self.setup.steps_per_epoch, 4),
            **mean,
            "learning_rate": float(rows["learning_rate"][-1]),
            "gradient_norm": float(rows["gradient_norm"][-1]),
            "parameter_norm": float(rows["parameter_norm"][-1]),
            "images_per_second": round(seen / spent, 1),
            "seconds": round(self.seconds, 3),
        }
        if len(self.setup.classes) <= 5:
            row["top5"] = None
        if seen < steps * self.config.batch_size:
            row["unreadable"] = int(steps * self.config.batch_size - seen)
        self.log.write(row)
        self.progress.update(step, row)

    def _finish(self, final_test):
        best = self.checkpoints.resolve("best")
        validation = {"step": best, **self.checkpoints.held_out(best)}
        found = (row for row in read_evaluations(self.workdir) if row.get("final"))
        kept = ("time", "final", "confusion", "wrong")  # in the log alone
        test = next(({k: v for k, v in row.items() if k not in kept} for row in found), None)
        if test is None and final_test and self.config.data.test:
            test = self._test(best)
        return Result(self.workdir, self.setup.total, self.state, validation, test)

    def _test(self, best):
        """The one look at the test split."""
        state = self.checkpoints.load(best, self.state)
        result = Evaluator(self.setup, self.task, self._feed("test"))(_network(state))
        row = evaluation_row(self.config, best, "test", result)
        images = {"confusion": result.confusion.tolist(), "wrong": result.wrong}
        append_evaluation(self.workdir, {**row, "final": True, **images})
        self.progress.line(
            f"test, best checkpoint (step {best}): {result.top1:.2%} of {result.n:,} images right, "
            f"loss {result.loss:.4f}"
        )
        return row


def _network(state):
    """What evaluation reads of a State: its averaged weights where it keeps them."""
    return {"params": state.params if state.ema is None else state.ema, "batch_stats": state.batch_stats}


def _next_multiple(step, every):
    return (step // every + 1) * every
