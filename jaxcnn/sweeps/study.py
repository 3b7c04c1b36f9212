"""A study: a base config, factors with their levels, seeds, claims; its runs and their ids."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import itertools
import json
import math
import os
import re
import sys
import traceback
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from jaxcnn import trust
from jaxcnn.errors import InputError, nearest
from jaxcnn.shipped import shipped
from jaxcnn.sweeps.claim import check_claim, check_levels, level_names, matches
from jaxcnn.sweeps.metrics import HELD_OUT, ON_TEST, Metric, kind_of, metrics_of, tabled
from jaxcnn.sweeps.scales import check_scale
from jaxcnn.sweeps.values import set_value
from jaxcnn.training.config import default_config, flatten, is_option, plain, to_json
from jaxcnn.training.rundir.code import code_digest

if TYPE_CHECKING:
    from types import ModuleType

    from jaxcnn.tasks.task import Kind


NAMED = r"^\s*(def |from .*import .*|import .*)?(study|search)\b"  # a line that may give a module either of the two
LONGEST = 150  # characters of a run's levels in its id, which names a folder


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a study.

    Attributes:
      id: its name and a hash of its config: the name of its run directory.
      cell: the levels of its factors, as "activation=tanh".
      seed: its seed.
      config: its config.
      levels: {factor: level} of its cell.
    """

    id: str
    cell: str
    seed: int
    config: Any
    levels: dict


@dataclasses.dataclass(frozen=True)
class Study:
    """The study that `study()` of a file in experiments/ returns.

    Attributes:
      base: a config.
      factors: {config key: its levels}; every combination is a cell. A factor of several keys has a name of its own
        and {level: {config key: value}}; a value may be a function of the seed, a draw for example. NumPy's numbers and
        arrays are taken as Python's.
      seeds: each cell is run once per seed.
      baseline: the levels of the cell that every other is compared with, {factor: level}; None for none.
      claims: Claims, tested together: their p are adjusted for how many they are. Each gets its metric's name.
      measures: {name: Metric} of the study's own, beside those of `metrics_of`.
      paper: {cell: (figure, what it is)}, shown beside ours: {"depth=20": (8.75, "error, %, He et al. table 6")}.
      until: {cell: number of its seeds} in a sweep that adds seeds until its claims are decided (`seeds_of`); verdicts
        are then those that hold at any stop. None, as a study file leaves it: each cell has `seeds`.

    Raises:
      InputError: a claim, the baseline or a paper's figure names a cell or a metric that the study lacks, its task is
        unknown, or a seed or a cell is given twice and would be counted twice.
    """

    base: Any
    factors: dict
    seeds: tuple = (0, 1, 2, 3, 4)
    baseline: dict | None = None
    claims: tuple = ()
    measures: dict = dataclasses.field(default_factory=dict)
    paper: dict = dataclasses.field(default_factory=dict)
    until: dict | None = None

    def __post_init__(self) -> None:
        for name in ("factors", "seeds"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        cells = self.cells()
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds: one is twice in {self.seeds}, and its runs would be the same run.")
        if len(cells) < math.prod(map(len, self.factors.values())):
            raise InputError(f"factors: two levels have one name, and their cells would be one: {self.factors}.")
        self._check_measures()
        claims = tuple(dataclasses.replace(claim, metric=claim.metric or self.main) for claim in self.claims)
        object.__setattr__(self, "claims", claims)
        known = {**metrics_of(self.kind), **self.measures}
        for claim in claims:
            check_claim(claim, list(cells.values()), self.factors, known)
        check_levels(self.baseline or {}, self.factors, where="baseline")
        found = [name for name, levels in cells.items() if self.baseline and matches(self.baseline, levels)]
        if len(found) > 1:
            raise InputError(f"baseline: {len(found)} cells have these levels, it is one of {', '.join(found)}.")
        for name in self.paper:
            if name not in cells:
                raise InputError(f"paper: there is no cell '{name}'; {nearest(name, cells)}")

    def _check_measures(self):
        """Raises InputError for a measure of the study's own that is none, or takes the name of a column."""
        for name, metric in self.measures.items():
            if not isinstance(metric, Metric):
                raise InputError(f"measure '{name}' is a {type(metric).__name__}; it is a jaxcnn.sweeps.Metric.")
            if name in tabled(self.kind):
                raise InputError(f"measure '{name}': every run has one of that name; give it another.")

    @functools.cached_property
    def kind(self) -> Kind:
        """The Kind of the task that its runs learn, by its base."""
        return kind_of(self.base)

    @property
    def main(self) -> str:
        """The name of the metric that it is about: on test, the measure that selects."""
        return ON_TEST + self.kind.main

    @property
    def held_out(self) -> str:
        """The name of the metric that its main one is on held-out images."""
        return HELD_OUT + self.kind.main

    @property
    def metrics(self) -> dict[str, Metric]:
        """{name: Metric} of all that is collected of a run: of its kind those of tables and claims, and its own."""
        names = {*tabled(self.kind), *(claim.metric for claim in self.claims)}
        return {name: metric for name, metric in metrics_of(self.kind).items() if name in names} | self.measures

    def cells(self) -> dict[str, dict[str, Any]]:
        """{cell: {factor: level}}, in the order of the runs."""
        levels = itertools.product(*self.factors.values())
        return {cell_name(cell): cell for cell in (dict(zip(self.factors, row, strict=True)) for row in levels)}

    def seeds_of(self, cell: str) -> tuple[int, ...]:
        """The seeds of a cell, by its name: `seeds`, and where `until` asks for more the whole numbers above them."""
        count = len(self.seeds) if self.until is None else self.until[cell]
        more = range(max(self.seeds, default=-1) + 1, max(self.seeds, default=-1) + 1 + count - len(self.seeds))
        return (*self.seeds[:count], *more)

    def runs(self) -> list[Run]:
        """The runs, cell by cell.

        Raises:
          InputError: a factor is not a key of the config, or has no levels.
        """
        for factor in self.factors:
            self._levels(factor)
        return [self._run(levels, seed) for cell, levels in self.cells().items() for seed in self.seeds_of(cell)]

    def _levels(self, factor):
        levels = self.factors[factor]
        if not levels:
            raise InputError(f"factor '{factor}' has no levels.")
        known = flatten(self.base)
        for key in {key for level in levels for key in self._values(factor, level)}:
            where = f"factor '{factor}'" if key == factor else f"factor '{factor}': '{key}'"
            if key == "seed":
                raise InputError(f"{where}: the seeds of a study are its `seeds`.")
            if key not in known and not is_option(key):
                raise InputError(f"{where} is not a key of the config; {nearest(key, known)}")
        return levels

    def _values(self, factor, level):
        """{config key: value} of one level."""
        levels = self.factors[factor]
        return levels[level] if isinstance(levels, dict) else {factor: level}

    def _run(self, levels, seed):
        config = self.base.copy_and_resolve_references()
        for factor, level in levels.items():
            for key, value in self._values(factor, level).items():
                value = plain(value(seed)) if callable(value) else value
                set_value(config, key, value, where=f"factor '{factor}'")
        config.seed = seed
        digest = _digest(config)
        parts = level_names(levels, levels)
        name = "-".join(parts[key] for key in sorted(parts)) or "base"
        name = "".join(c if c.isalnum() or c in "=.-" else "_" for c in name)
        return Run(f"{name[:LONGEST]}-seed={seed}-{digest}", cell_name(levels), seed, config, levels)


def _digest(config):
    """10 hexadecimal digits of what differs from the defaults: a key that is new and at its default changes no id.

    With the sources of the code that the config names.
    """
    defaults, own = (flatten(json.loads(to_json(c))) for c in (default_config(), config))
    own = {key: value for key, value in own.items() if key not in defaults or value != defaults[key]}
    own.pop("trackers", None)  # whoever else is told of a run, it is the same run
    if code := code_digest(config):  # another version of the user's own network is another run
        own["code"] = code
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:10]


def cell_name(levels: Mapping[str, Any]) -> str:
    """ "activation=tanh, depth=20" of {"model.options.activation": "tanh", "depth": 20}; "base" of none."""
    return ", ".join(level_names(levels, levels).values()) or "base"


def load_module(path: str | os.PathLike[str]) -> ModuleType:
    """The module of a study's file.

    Args:
      path: of the file, or the name of one of jaxcnn's own.
    Raises:
      InputError: no such file (names the nearest), it is a program of its own, or it cannot be read.
    """
    path = shipped("experiments", path)
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise InputError(f"there is no study file {path}; {nearest(path.name, there)}")
    if path.suffix != ".py":
        raise InputError(f"{path} is no study file: its name does not end in .py.")
    text = path.read_text(encoding="utf-8", errors="replace")
    if re.search("^if __name__ == ", text, re.MULTILINE) and not re.search(NAMED, text, re.MULTILINE):
        raise InputError(f"{path} is a program, without study() or search(). Start it by itself: python {path} --help")
    trust.find_here(path)
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)  # ty: ignore[invalid-argument-type]  of a file there is one
    sys.modules[spec.name] = module  # where a dataclass of the file looks its annotations up
    with slips_named(path):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def slips_named(path: Any) -> Generator[None, None, None]:
    """Turns what a study file raises into an InputError with the place of it."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        file, frames = os.path.abspath(path), traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if os.path.abspath(frame.filename) == file]
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        raise InputError(f"{where}: {type(error).__name__}: {error}") from error


def load_study(path: str | os.PathLike[str], scale: str | None = None) -> tuple[Study, str]:
    """(Study, docstring) of a study file.

    Args:
      path: the file.
      scale: a key of SCALES or "folder:PATH", passed on to its study(scale=...); None: as the study has it by itself.
    Raises:
      InputError: no such file, it has no study(), its study() takes no scale or not this one.
    """
    module = load_module(path)
    return study_of(module, scale), module.__doc__ or ""


def study_of(module: ModuleType, scale: str | None = None) -> Study:
    """The Study of a module that load_module returned; scale and errors as in load_study."""
    path = module.__file__
    if scale is not None:
        check_scale(scale)
    if not hasattr(module, "study"):
        raise InputError(f"{path} has no function study() that returns a jaxcnn.sweeps.Study.")
    if scale is not None and "scale" not in inspect.signature(module.study).parameters:
        raise InputError(f"{path} is a study of one scale: its study() takes no argument `scale`. Leave --scale out.")
    with slips_named(path):
        study = module.study() if scale is None else module.study(scale=scale)
        if isinstance(study, Study):
            study.runs()  # its levels may be functions of the seed
    if not isinstance(study, Study):
        raise InputError(f"study() of {path} returns {type(study).__name__}; it returns a jaxcnn.sweeps.Study.")
    return study
