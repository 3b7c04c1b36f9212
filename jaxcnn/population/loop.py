"""The loop of a population: one state of all members, a record and a run directory of each."""

import dataclasses
import time

import jax
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.population.layout import MembersInputs, unless_frozen
from jaxcnn.training.chunks import Chunks, network
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.feed import Feed, training_order
from jaxcnn.training.host import Record, headline
from jaxcnn.training.loop import Result, size_of, statistics_of
from jaxcnn.training.processes.preemption import Termination
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.directory import check_space, write_environment
from jaxcnn.training.rundir.log import Progress
from jaxcnn.training.state import hyperparameters, initial_state


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


class Together(Chunks):
    """The loop of `train_population`, whose arguments it has, resolved; `train` returns what that does."""

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
        measures = headline(setup.kind)
        self.progress = Progress(setup.total, start=start, title=title, quiet=self.quiet, measures=measures)
        pairs = list(zip(self.configs, self.workdirs, strict=True))
        self.runs = [_Member(Record(setup, own, workdir, step=start)) for own, workdir in pairs]
        orders = [training_order(config, setup.train, seed=own.seed) for own in self.configs]
        self.inputs = MembersInputs(self.members, orders, start=start, batch_size=config.batch_size)
        try:
            for own, workdir in pairs:
                write_environment(workdir, own, step=start, population=self.where.name, members=len(pairs))
            for note in setup.notes():
                self.progress.line(note)
            self.say_damaged(start)
            feed = self._feed("train")
            self.data = feed.data
            self.task = setup.task(*statistics_of(setup, feed, *self.workdirs))
            self.state, self.best = self._initial(start)
            self.validation = setup.evaluator(self.task, self._feed("validation"))
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
        crop = self.setup.crop if split == "train" else None
        feed = Feed(records, self.members, seed=0, resident=settings.resident, workers=settings.workers, crop=crop)
        if split == "train" and not feed.resident:
            raise InputError(
                "the members of a population read a training set that lies on the device, each in its own order; this "
                "one is streamed. config.data.resident='yes' puts it there; else run the study with --runner local."
            )
        return feed

    def _initial(self, start):
        """The state of all members, and their best one so far."""
        setup = self.setup

        def create(drawn, _, __):
            return initial_state(*drawn, setup), ()

        create = self.members.map(create, donate=False)
        drawn = self.members.stack([(jax.random.key(c.seed), self._numbers(c)) for c in self.configs])
        like, _ = jax.eval_shape(create, drawn, (), ())
        check_space(self.where, 8 * size_of(like))  # state and best: two, and the one being saved; those of the members
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
        return {**hyperparameters(config, self.setup.kind, self.setup.model), "learning_rate_scale": rate}

    def mapped(self, chunk):
        return self.members.map(unless_frozen(chunk))

    def note(self, event):
        for _, member in self._active():
            member.record.log.write(event)
        if event["event"] == "compiled":
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
        shown = [name for name in (*headline(self.setup.kind), "images_per_second") if rows[0].get(name) is not None]
        mean = {name: float(np.mean([row[name] for row in rows])) for name in shown}
        self.progress.update(step, {**rows[0], **mean})

    def evaluate(self, step):
        found = self.validation(network(self.state))
        rows = {number: member.record.held_out_row(step, found[number]) for number, member in self._active()}
        kind, some = self.setup.kind, next(iter(rows.values()))
        first = next(name for name in (*kind.selects, *kind.measures) if some.get(name) is not None)
        values = [row[first] for row in rows.values()]
        self.progress.line(
            f"step {step}  epoch {some['epoch']:.2f}  held out: {first} {min(values):.4f} to {max(values):.4f}"
        )
        if self.setup.config.schedule.name == "plateau":
            scaled = [self._numbers(member.record.config, member.record.plateau.scale) for member in self.runs]
            self.state = self.state.replace(hyperparameters=self.members.stack(scaled))
        return {number: self.runs[number].record.chosen_by(row) for number, row in rows.items()}

    def save(self, step, held_out=None):
        unlogged = time.monotonic() - self.clock
        better = np.zeros(len(self.runs), bool)
        for number, member in self._active():
            own = held_out[number] if held_out else None
            memory = member.record.memory(step, unlogged=unlogged / len(self.runs))
            member.latest = {"step": step, "held_out": own, "memory": memory}
            if own is not None and self._is_best(member, own):
                member.best, better[number] = member.latest, True
        if better.any():
            self.best, _ = self.keep(self.best, (), (self.members.place(better), self.state))
        memory = {"places": self.members.size, "unlogged": unlogged, "members": [self._kept(m) for m in self.runs]}
        self.checkpoints.save(step, {"state": self.state, "best": self.best}, memory=memory)

    def _is_best(self, member, held_out):
        """Whether a state is the member's best: the latest where nothing chooses."""
        rank = self.setup.kind.rank
        return member.best is None or rank(held_out) >= rank(member.best["held_out"])

    def _kept(self, member):
        about = {"best": member.best, "latest": member.latest, "failure": member.failure}
        return about if member.failure is not None else {**about, "record": member.latest["memory"]}

    def _write(self, number, kept):
        """Writes checkpoints of a member into its run directory, as the run alone has them; returns their steps."""
        settings = {"rank": self.setup.kind.rank, "keep": self.setup.config.checkpoint.keep}
        with Checkpoints(self.workdirs[number] / "checkpoints", **settings) as own:
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
            found = self.setup.evaluator(self.task, self._feed("test"))(network(self.best))
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
