"""A study: a base config, factors with their levels, seeds; its runs and their ids."""

import dataclasses
import hashlib
import importlib.util
import itertools
import pathlib
from typing import Any

from jaxcnn.errors import InputError, nearest
from jaxcnn.training.config import flatten, to_json


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a study.

    Attributes:
      id: its name and a hash of its config: the name of its run directory.
      cell: the levels of its factors, as "activation=tanh".
      seed: its seed.
      config: its config.
    """

    id: str
    cell: str
    seed: int
    config: Any


@dataclasses.dataclass(frozen=True)
class Study:
    """What `study()` of a file in experiments/ returns.

    Attributes:
      base: a config.
      factors: {config key: its levels}; every combination is a cell.
      seeds: each cell is run once per seed.
    """

    base: Any
    factors: dict
    seeds: tuple = (0, 1, 2)

    def runs(self):
        """The runs, cell by cell.

        Raises:
          InputError: a factor is not a key of the config, or has no levels.
        """
        keys = list(self.factors)
        return [
            self._run(dict(zip(keys, levels, strict=True)), seed)
            for levels in itertools.product(*(self._levels(k) for k in keys))
            for seed in self.seeds
        ]

    def _levels(self, key):
        known = flatten(self.base)
        if key == "seed":
            raise InputError("factor 'seed': the seeds of a study are its `seeds`.")
        if key not in known and not key.startswith("model.options."):
            raise InputError(f"factor '{key}' is not a key of the config; {nearest(key, known)}")
        if not self.factors[key]:
            raise InputError(f"factor '{key}' has no levels.")
        return self.factors[key]

    def _run(self, levels, seed):
        config = self.base.copy_and_resolve_references()
        for key, level in levels.items():
            if not key.startswith("model.options."):
                try:
                    config.update_from_flattened_dict({key: level})
                except (TypeError, ValueError) as error:
                    raise InputError(f"factor '{key}': {level!r} is no level of it: {error}") from error
        with config.unlocked():
            for key, level in levels.items():
                if key.startswith("model.options."):
                    config.model.options[key.removeprefix("model.options.")] = level
        config.seed = seed
        short = [key.rpartition(".")[2] for key in levels]
        parts = {
            key: f"{last if short.count(last) == 1 else key}={level}"
            for (key, level), last in zip(levels.items(), short, strict=True)
        }
        digest = hashlib.sha256(to_json(config).encode()).hexdigest()[:10]
        name = "-".join(parts[key] for key in sorted(parts)) or "base"
        name = "".join(c if c.isalnum() or c in "=.-" else "_" for c in name)
        return Run(f"{name}-seed={seed}-{digest}", ", ".join(parts.values()) or "base", seed, config)


def load_study(path):
    """(Study, docstring) of a study file.

    Raises:
      InputError: no such file, or it has no study().
    """
    path = pathlib.Path(path)
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise InputError(f"there is no study file {path}; {nearest(path.name, there)}")
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "study"):
        raise InputError(f"{path} has no function study() that returns a jaxcnn.sweeps.Study.")
    return module.study(), module.__doc__ or ""
