"""The states of a population's members: the best of each, what becomes of one that diverged, their run directories."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.training.rundir.checkpoint import Checkpoints

if TYPE_CHECKING:
    from jaxcnn.training.setup import Setup


@dataclasses.dataclass
class Kept:
    """The states of one member, at its place of the population's best and present state.

    best and latest: {"step", "held_out", "memory"}, see Checkpoints.save.
    """

    best: Any = None
    latest: Any = None


class Keeper:
    """The keeper of a population, see Loop: its checkpoints hold the present and the best state of every member.

    Attributes:
      kept: a Kept for each member.
      best: the best state of every member, laid out as the present one; set before the loop runs.

    Args:
      setup: the Setup that the members share.
      members: the Members.
      inputs: the MembersInputs.
      checkpoints: those of the population.
      where: its folder.
    """

    def __init__(self, setup: Setup, members: Any, inputs: Any, checkpoints: Any, where: Any) -> None:
        self.setup, self.members, self.inputs, self.checkpoints, self.where = setup, members, inputs, checkpoints, where
        self.kept, self.best = [Kept() for _ in inputs.active], None
        self._better = members.map(
            lambda best, _, new: (jax.tree.map(lambda b, n: jax.lax.select(new[0], n, b), best, new[1]), ())
        )
        self._part = jax.jit(
            lambda tree, number: jax.tree.map(lambda x: x[number], tree), out_shardings=members.replicated
        )

    def scale(self, host: Any) -> Any:
        """The learning rate of a member: the common program's is 1."""
        return np.float32(host.config.optimizer.learning_rate * host.plateau.scale)

    def restore(self, memory: Mapping[str, Any], hosts: Sequence[Any], step: int) -> None:
        """Takes what a checkpoint of the population says of its members.

        Raises:
          InputError: the population was begun on another number of devices.
        """
        if memory["places"] != self.members.size:
            raise InputError(
                f"{self.where} holds a population in {memory['places']} places, and these devices make it "
                f"{self.members.size}: take as many devices as it was begun on."
            )
        for number, (host, saved) in enumerate(zip(hosts, memory["members"], strict=True)):
            self.kept[number], host.failure = Kept(saved["best"], saved["latest"]), saved["failure"]
            self.inputs.active[number] = host.failure is None
            if host.failure is None:
                host.restore(saved["record"], step)

    def save(self, loop: Any, step: int, held_out: Any) -> None:
        unlogged = loop.elapsed()
        better = np.zeros(len(loop.hosts), bool)
        for number, host in loop.active():
            own, kept = held_out[number] if held_out else None, self.kept[number]
            memory = host.memory(step, unlogged=unlogged / len(loop.hosts))
            kept.latest = {"step": step, "held_out": own, "memory": memory}
            if own is not None and self._is_best(kept, own):
                kept.best, better[number] = kept.latest, True
        if better.any():
            self.best, _ = self._better(self.best, (), (self.members.place(better), loop.state))
        about = [self._about(kept, host) for kept, host in zip(self.kept, loop.hosts, strict=True)]
        memory = {"places": self.members.size, "unlogged": unlogged, "members": about}
        self.checkpoints.save(step, {"state": loop.state, "best": self.best}, memory=memory)

    def _is_best(self, kept, held_out):
        """Whether a state is the member's best: the latest where nothing chooses."""
        rank = self.setup.kind.rank
        return kept.best is None or rank(held_out) >= rank(kept.best["held_out"])

    def _about(self, kept, host):
        about = {"best": kept.best, "latest": kept.latest, "failure": host.failure}
        return about if host.failure is not None else {**about, "record": kept.latest["memory"]}

    def diverged(self, loop: Any, number: int, first: int, reason: str) -> None:
        """Ends one member, whose state no longer changes; the others train on."""
        self.inputs.active[number] = False
        host, kept = loop.hosts[number], self.kept[number]
        saved = self._write(host, number, [(kept.best, self.best)] if kept.best else [])
        host.failure = f"{reason} {host.diverged(first, saved)}"
        loop.progress.line(f"{host.workdir.name}: {host.failure}")

    def write(self, loop: Any, number: int) -> None:
        """Writes the best and the latest checkpoint of a member into its run directory, as the run alone has them."""
        kept = self.kept[number]
        both = [(kept.best, self.best), (kept.latest, loop.state)]
        self._write(loop.hosts[number], number, both[1:] if kept.best["step"] == kept.latest["step"] else both)

    def _write(self, host, number, states):
        """The steps of the checkpoints of a member's run directory, after these were written there."""
        settings = {"rank": self.setup.kind.rank, "keep": self.setup.config.checkpoint.keep}
        with Checkpoints(host.workdir / "checkpoints", **settings) as own:
            for about, state in states:
                if about["step"] in own.steps():
                    continue
                held_out, memory = about["held_out"], about["memory"]
                own.save(about["step"], self.own(number, about, state), held_out=held_out, memory=memory)
            own.wait()
            return own.steps()

    def own(self, number: int, about: Any, state: Any) -> Any:
        """A member's part of a state, as the run alone has it: there the rate is not in its scale."""
        state = self._part(state, number)
        scale = self.members.replicate(np.float32(about["memory"]["plateau"]["scale"]))
        return state.replace(hyperparameters={**state.hyperparameters, "learning_rate_scale": scale})
