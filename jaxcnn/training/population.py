"""Runs that differ only in their seed and in numbers, trained together in one program."""

import dataclasses
import pathlib
import time

import jax
import numpy as np

from jaxcnn import data
from jaxcnn.errors import InputError
from jaxcnn.training.checkpoint import Checkpoints, rank
from jaxcnn.training.chunks import Chunks, network
from jaxcnn.training.compilation import use_persistent_cache
from jaxcnn.training.config import flatten
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.feed import Feed
from jaxcnn.training.loop import Result, size_of, statistics_of
from jaxcnn.training.members import Members, MembersEvaluator, unless_frozen
from jaxcnn.training.metrics import Progress
from jaxcnn.training.preemption import Termination
from jaxcnn.training.record import Record
from jaxcnn.training.rundir import check_space, full_disk_named, open_run, write_environment
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import hyperparameters, initial_state

# What the members of a population may differ in, and the value that their common program has in its place: the state
# holds the members' own. At a rate of 1 the learning-rate scale of a member is its rate.
OWN = {
    "seed": 0,
    "model.dropout": 0.0,
    "loss.label_smoothing": 0.0,
    "optimizer.learning_rate": 1.0,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 0.0,
}


def common(config):
    """A config without what is a member's own: runs for which it is equal can be one population."""
    config, flat = config.copy_and_resolve_references(), flatten(config)
    config.update_from_flattened_dict({key: value for key, value in OWN.items() if flat[key] is not None})
    return config


def train_population(configs, workdirs, folder, *, quiet=False, devices=None):
    """Trains runs together, or goes on with them; each ends with a run directory as `train` alone leaves it.

    A member draws the same numbers and sees the same batches as the run alone on one device. Its rows of seconds and
    images/s are its share of the time of all. One that diverges is frozen and changes nothing for the others.

    Args:
      configs: their configs; equal but for the keys of OWN.
      workdirs: the run directory of each.
      folder: where the checkpoints of them all go, from which the same call resumes.
      quiet: print nothing.
      devices: the devices over which the members are laid; None takes all.
    Returns:
      A list with a Result for each member, or the Diverged that it came to.
    Raises:
      InputError: the config, the data or a directory do not fit; nothing was lost.
      Preempted: SIGTERM or Ctrl-C came; everything is saved.
    """
    use_persistent_cache()
    shared = common(configs[0])
    if any(flatten(common(config)) != flatten(shared) for config in configs):
        raise InputError(f"the members of a population differ only in {', '.join(OWN)}.")
    if jax.process_count() > 1:
        raise InputError("a population trains in one process.")
    members = Members(len(configs), devices)
    setup = set_up(shared, devices=list(members.mesh.devices.flat)[:1])
    configs = [_with_own(setup.config, config) for config in configs]
    workdirs, folder = [pathlib.Path(workdir) for workdir in workdirs], pathlib.Path(folder)
    for config, workdir in zip(configs, workdirs, strict=True):
        open_run(workdir, config)
    with full_disk_named(folder), Checkpoints(folder / "checkpoints", keep=1) as checkpoints:
        return _Population(setup, configs, workdirs, folder, members, checkpoints, quiet).train()


def _with_own(resolved, config):
    """The resolved config of the population with a member's own values."""
    flat, own = flatten(config), resolved.copy_and_resolve_references()
    own.update_from_flattened_dict({key: flat[key] for key in OWN if flat[key] is not None})
    return own


@dataclasses.dataclass
class _Member:
    """A run of the population: its Record, what its checkpoints are made of, and why it ended early.

    best and latest: {"step", "held_out", "memory"}, see Checkpoints.save, of the states at the same place of the
    population's best and present state.
    """

    record: Record
    best: dict | None = None
    latest: dict | None = None
    failure: str | None = None


class _Inputs:
    """The record numbers of every member's own order, and which members still train."""

    def __init__(self, members, orders, *, start, batch_size):
        self.members, self.orders, self.position, self.batch_size = members, orders, start * batch_size, batch_size
        self.active = np.ones(len(orders), bool)

    def take(self, steps):
        stop = self.position + steps * self.batch_size
        record = np.stack([order.records(self.position, stop) for order in self.orders]).astype(np.int32)
        self.position = stop
        record = record.reshape(len(self.orders), steps, self.batch_size)
        mask = np.ones(record.shape, np.float32)
        return self.members.place({"record": record, "mask": mask, "active": self.active})


class _Population(Chunks):
    def __init__(self, setup, configs, workdirs, folder, members, checkpoints, quiet):
        super().__init__(setup, checkpoints, folder)
        self.configs, self.workdirs, self.members, self.quiet = configs, workdirs, members, quiet
        # of a member: the new state where it is the better one; a member's part of a state
        self.keep = members.map(
            lambda best, _, new: (jax.tree.map(lambda b, n: jax.lax.select(new[0], n, b), best, new[1]), ())
        )
        self.part = jax.jit(
            lambda tree, number: jax.tree.map(lambda x: x[number], tree), out_shardings=members.replicated
        )

    def train(self):
        setup, config = self.setup, self.setup.config
        start = max(self.checkpoints.steps(), default=0)
        title = f"{len(self.configs)} x {config.model.name}"
        self.progress = Progress(setup.total, start=start, title=title, quiet=self.quiet)
        pairs = list(zip(self.configs, self.workdirs, strict=True))
        self.runs = [_Member(Record(setup, own, workdir, step=start)) for own, workdir in pairs]
        orders = [data.Order(len(setup.train), seed=own.seed) for own in self.configs]
        self.inputs = _Inputs(self.members, orders, start=start, batch_size=config.batch_size)
        try:
            for own, workdir in pairs:
                write_environment(workdir, own, step=start, population=self.where.name, members=len(pairs))
            feed = self._feed("train")
            self.data = feed.data
            self.task = setup.task(*statistics_of(config, feed, *self.workdirs))
            self.state, self.best = self._initial(start)
            self.validation = MembersEvaluator(setup, self.task, self._feed("validation"), self.members)
            if self._active():
                self._train(start)
            self.checkpoints.wait()
            return self._finish()
        finally:
            for member in self.runs:
                member.record.log.close()
            self.progress.close()

    def _train(self, start):
        try:
            with Termination() as termination:
                self.run(start, self.inputs, termination)
        except Diverged:  # all have
            pass

    def _active(self):
        """(number, member) of those that still train."""
        return [(number, member) for number, member in enumerate(self.runs) if member.failure is None]

    def _feed(self, split):
        settings = self.setup.config.data
        records = self.setup.records(split)
        feed = Feed(records, self.members, seed=0, resident=settings.resident, workers=settings.workers)
        if split == "train" and not feed.resident:
            raise InputError(
                "the members of a population read a training set that lies on the device, each in its own order; this "
                "one is streamed. config.data.resident='yes' puts it there; else run the study with --runner local."
            )
        return feed

    def _initial(self, start):
        """The state of all members, and their best one so far."""
        setup, ema = self.setup, self.setup.config.optimizer.ema > 0
        optimizer, shape = setup.optimizer(), setup.train.shape

        def create(drawn, _, __):
            key, numbers = drawn
            return initial_state(key, numbers, setup.model, optimizer, shape, ema=ema), ()

        create = self.members.map(create, donate=False)
        drawn = self.members.stack([(jax.random.key(c.seed), self._numbers(c)) for c in self.configs])
        like, _ = jax.eval_shape(create, drawn, (), ())
        check_space(self.where, 6 * size_of(like))  # twice state and best while one is saved; those of the members
        if not start:
            return create(drawn, (), ())[0], create(drawn, (), ())[0]
        memory = self.checkpoints.memory(start)
        if memory["places"] != self.members.size:
            raise InputError(
                f"{self.where} holds a population in {memory['places']} places, and these devices make it "
                f"{self.members.size}: take as many devices as it was begun on."
            )
        for number, (member, kept) in enumerate(zip(self.runs, memory["members"], strict=True)):
            member.best, member.latest, member.failure = kept["best"], kept["latest"], kept["failure"]
            self.inputs.active[number] = member.failure is None
            if member.failure is None:
                member.record.restore(kept["record"], start)
        self.unlogged = memory["unlogged"]
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.members.stacked), like)
        loaded = self.checkpoints.load(start, {"state": like, "best": like})
        return loaded["state"], loaded["best"]

    def _numbers(self, config, scale=1.0):
        rate = np.float32(config.optimizer.learning_rate * scale)
        return {**hyperparameters(config, self.setup.model), "learning_rate_scale": rate}

    def mapped(self, chunk):
        return self.members.map(unless_frozen(chunk))

    def note(self, event):
        for _, member in self._active():
            member.record.log.write(event)
        self.progress.line(f"compiled in {event['seconds']:.1f} s")

    def fetch(self, step):
        chunks, self.pending = jax.device_get(self.pending), []
        for number, member in self._active():
            own = [{name: rows[number] for name, rows in chunk.items()} for chunk in chunks]
            if diverged := member.record.add(own, step):
                self._freeze(number, member, *diverged)
        if not self._active():
            raise Diverged("every member diverged")

    def _freeze(self, number, member, first, reason):
        self.inputs.active[number] = False
        saved = self._write(number, [(member.best, self.best)] if member.best else [])
        member.failure = f"{reason} {member.record.diverged(first, saved)}"
        self.progress.line(f"{member.record.workdir.name}: {member.failure}")

    def flush(self, step):
        self.fetch(step)
        active = [member for _, member in self._active() if member.record.rows]
        if not active:
            return
        now = time.monotonic()
        spent, self.clock = now - self.clock, now
        rows = [member.record.train_row(step, spent / len(active)) for member in active]
        mean = {name: float(np.mean([row[name] for row in rows])) for name in ("loss", "top1", "images_per_second")}
        self.progress.update(step, {**rows[0], **mean})

    def evaluate(self, step):
        found = self.validation(network(self.state))
        rows = {number: member.record.held_out_row(step, found[number]) for number, member in self._active()}
        accuracy = [row["top1"] for row in rows.values()]
        self.progress.line(
            f"step {step}  epoch {next(iter(rows.values()))['epoch']:.2f}  held out: top1 {min(accuracy):.4f} to "
            f"{max(accuracy):.4f}"
        )
        if self.setup.config.schedule.name == "plateau":
            scaled = [self._numbers(member.record.config, member.record.plateau.scale) for member in self.runs]
            self.state = self.state.replace(hyperparameters=self.members.stack(scaled))
        return {number: {"top1": row["top1"], "loss": row["loss"]} for number, row in rows.items()}

    def save(self, step, held_out=None):
        unlogged = time.monotonic() - self.clock
        better = np.zeros(len(self.runs), bool)
        for number, member in self._active():
            own = held_out[number] if held_out else None
            memory = member.record.memory(step, unlogged=unlogged / len(self.runs))
            member.latest = {"step": step, "held_out": own, "memory": memory}
            if own and (member.best is None or rank(own) >= rank(member.best["held_out"])):
                member.best, better[number] = member.latest, True
        if better.any():
            self.best, _ = self.keep(self.best, (), (self.members.place(better), self.state))
        memory = {"places": self.members.size, "unlogged": unlogged, "members": [self._kept(m) for m in self.runs]}
        self.checkpoints.save(step, {"state": self.state, "best": self.best}, memory=memory)

    def _kept(self, member):
        about = {"best": member.best, "latest": member.latest, "failure": member.failure}
        return about if member.failure is not None else {**about, "record": member.latest["memory"]}

    def _write(self, number, kept):
        """Writes checkpoints of a member into its run directory, as the run alone has them; returns their steps."""
        with Checkpoints(self.workdirs[number] / "checkpoints", keep=self.setup.config.checkpoint.keep) as own:
            for about, state in kept:
                if about["step"] in own.steps():
                    continue
                own.save(
                    about["step"], self._own(number, about, state), held_out=about["held_out"], memory=about["memory"]
                )
            own.wait()
            return own.steps()

    def _own(self, number, about, state):
        """A member's part of a state, as the run alone has it: there the rate is not in its scale."""
        state = self.part(state, number)
        scale = self.members.replicate(np.float32(about["memory"]["plateau"]["scale"]))
        return state.replace(hyperparameters={**state.hyperparameters, "learning_rate_scale": scale})

    def _finish(self):
        found = None
        if self.setup.config.data.test and any(member.record.tested() is None for _, member in self._active()):
            evaluator = MembersEvaluator(self.setup, self.task, self._feed("test"), self.members)
            found = evaluator(network(self.best))
        return [self._result(number, member, found) for number, member in enumerate(self.runs)]

    def _result(self, number, member, found):
        if member.failure is not None:
            return Diverged(member.failure)
        kept = [(member.best, self.best), (member.latest, self.state)]
        self._write(number, kept[1:] if member.best["step"] == member.latest["step"] else kept)
        test, best = member.record.tested(), member.best
        if test is None and found:
            test = member.record.test_row(best["step"], found[number])
        validation = {"step": best["step"], **best["held_out"]}
        state = self._own(number, member.latest, self.state)
        return Result(self.workdirs[number], self.setup.total, state, validation, test)
