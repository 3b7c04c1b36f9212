"""The space of a search: ranges of numbers and choices."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.training.config import plain


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from low to high, uniform, or uniform in their logarithm; whole numbers where both are int.

    Attributes:
      low, high: included.
      log: draw uniformly in the logarithm; low is above 0.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = plain(getattr(self, name))
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"Range: {name} is {value!r}; it is a number.")
            object.__setattr__(self, name, value)
        if self.low > self.high or (self.log and self.low <= 0):
            raise InputError(f"{self}: low is at most high, and above 0 on a logarithmic scale.")

    @property
    def ends(self) -> tuple[float, float]:
        """Values that stand for all of it."""
        return self.low, self.high

    @property
    def scale(self) -> str:
        """How its axis is drawn."""
        return "log" if self.log else "linear"

    def suggest(self, trial: Any, name: str) -> Any:
        """The value of an Optuna trial."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def around(self, value: Any, share: float) -> Range:
        """The Range of `share` of the width of this one, around a value, within this one."""
        to, back = (np.log, np.exp) if self.log else (float, float)
        half = (to(self.high) - to(self.low)) * share / 2
        low, high = max(to(self.low), to(value) - half), min(to(self.high), to(value) + half)
        if isinstance(self.low, int) and isinstance(self.high, int):
            low, high = max(self.low, math.floor(back(low))), min(self.high, math.ceil(back(high)))
            return Range(low, high, self.log)
        return Range(float(back(low)), float(back(high)), self.log)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few values.

    Attributes:
      values: a tuple of numbers, strings or booleans.
    """

    values: tuple

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", plain(self.values))
        if not self.values:
            raise InputError("Choice: it has no values to choose from.")
        for value in self.values:  # a storage keeps no others
            if not isinstance(value, bool | int | float | str):
                raise InputError(
                    f"Choice: {value!r} is a {type(value).__name__}; values are numbers, strings or booleans."
                )

    @property
    def ends(self) -> tuple:
        """Values that stand for all of it: all."""
        return self.values

    @property
    def scale(self) -> tuple:
        """How its axis is drawn: its values, evenly."""
        return tuple(self.values)

    def suggest(self, trial: Any, name: str) -> Any:
        """The value of an Optuna trial."""
        return trial.suggest_categorical(name, list(self.values))

    def around(self, value: Any, share: float) -> Choice:
        """The same choice: values without an order cannot be narrowed."""
        return self
