"""What the options of the task may be."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """What an option may be.

    Attributes:
      fits: f(value) -> whether it may be.
      right: what it is, in words.
    """

    fits: Callable[[Any], bool]
    right: str


def check(options: Mapping[str, Any]) -> None:
    """Raises ValueError where an option is none that the task can learn and find with; it says what would be right."""
    for name, value in options.items():
        if not RULES[name].fits(value):
            raise ValueError(f"{name} is {value!r}; it is {RULES[name].right}")


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_pair(value):
    return isinstance(value, Sequence) and len(value) == 2


def _whole(least):
    return lambda value: _is_number(value) and isinstance(value, int) and value >= least


def _from_zero(value):
    return _is_number(value) and value >= 0


def _share(value):
    return _is_number(value) and 0 <= value <= 1


COUNTS = Rule(
    lambda value: _is_pair(value) and all(map(_whole(1), value)),
    "a pair of whole numbers from 1, as (2000, 300): in training and in use",
)
SWITCH = Rule(lambda value: isinstance(value, bool), "True or False")
PIXELS = Rule(_from_zero, "a number of pixels, from 0")
RULES = {
    "anchors": Rule(_whole(2), "a whole number from 2, as half of them are of objects at most"),
    "border": PIXELS,
    "best_of": COUNTS,
    "proposals": COUNTS,
    "least_side": PIXELS,
    "regions": Rule(_whole(4), "a whole number from 4, as a quarter of them are of objects at most"),
    "background": Rule(
        lambda value: _is_number(value) and 0 <= value < 0.5,
        "an IoU from 0 and below 0.5, from which a proposal is of an object",
    ),
    "detections": Rule(_whole(1), "a whole number from 1"),
    "least_score": Rule(_share, "a probability, from 0 to 1"),
    "overlap": Rule(_share, "an IoU, from 0 to 1"),
    "flip": SWITCH,
    "zoom": Rule(
        lambda value: _is_pair(value) and all(map(_is_number, value)) and 0 < value[0] <= value[1],
        "a pair of factors above 0 that rise, as (0.8, 1.25); (1, 1) is off",
    ),
    "jitter": Rule(_from_zero, "a number from 0, which is off"),
    "measured": Rule(
        lambda value: isinstance(value, Sequence) and not isinstance(value, str),
        "a list of classes, as ('cat', 'dog'); () for all",
    ),
    "coco": SWITCH,
}
