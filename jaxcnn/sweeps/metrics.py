"""The metrics of a study: the measures of its kind of task on every split, and what training took."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jaxcnn import trust
from jaxcnn.tasks import CLASSIFICATION, Measure
from jaxcnn.training.learning import make_kind

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.tasks.task import Kind


ON_TEST, HELD_OUT, ON_TRAIN = "test_", "validation_", "train_"


@dataclasses.dataclass(frozen=True, init=False)
class Metric:
    """A number of a finished run: a Measure, and where it is read.

    Metric(read, "steps", higher_is_better=False, log=True) takes the fields of the Measure after the function.

    Attributes:
      function: f(rows of metrics.jsonl) -> float, or None where the run has no such number (it never got there, say).
      measure: its Measure; a claim says itself which side it takes to be higher.
      own: whether a study brings it. The function of another gets the row of the run's test too, as the last.
    """

    function: Callable
    measure: Measure
    own: bool

    def __init__(self, function: Callable[..., Any], *measure: Any, own: bool = True, **named: Any) -> None:
        for name, value in (("function", function), ("measure", Measure(*measure, **named)), ("own", own)):
            object.__setattr__(self, name, value)

    def described(self, name: str) -> dict[str, Any]:
        """{"label", "unit", "higher_is_better", "ratio"}, as verdicts.json has it; name: its key."""
        unit, higher_is_better, log, label = with_label(name, self.measure)
        return {"label": label, "unit": unit, "higher_is_better": higher_is_better, "ratio": log}


def kind_of(config: ConfigDict) -> Kind:
    """The Kind of the task of a config that the user has written.

    Raises:
      InputError: there is no such task.
    """
    trust.allow(config.task.name, *config.metrics)
    return make_kind(config)


def with_label(name: str, measure: Measure) -> Measure:
    """A Measure with the words of its name for a label where it has none."""
    return measure._replace(label=measure.label or name.replace("_", " "))


def metrics_of(kind: Kind) -> dict[str, Metric]:
    """{name: Metric} of every run of a Kind.

    They are test_NAME and validation_NAME of each of its measures, of the checkpoint that was tested; train_NAME, of
    the last training images; and the time, the throughput and the number of steps of its training. A run has no value
    where it does not log the measure: training no score of whole splits, evaluation no player's loss.
    """
    splits = ((ON_TEST, "test {}", _of_test), (HELD_OUT, "held-out {}", _of_held_out))
    found, names = {}, dict.fromkeys((*kind.selects, *kind.measures))
    for prefix, words, read in (*splits, (ON_TRAIN, "{} on the last training images", _of_last_train_row)):
        for name in names:
            measure = with_label(name, kind.measures[name])
            found[prefix + name] = Metric(read(name), *measure._replace(label=words.format(measure.label)), own=False)
    return found | TRAINING


def tabled(kind: Kind) -> list[str]:
    """The names of the metrics that every table of a study has; those of its claims join them.

    They are all, but of classification those of what selects: its tables keep the columns that they have always had.
    """
    if kind is not CLASSIFICATION:
        return list(metrics_of(kind))
    of_test, of_train = ([prefix + name for name in kind.selects] for prefix in (ON_TEST, ON_TRAIN))
    return [*of_test, HELD_OUT + kind.selects[0], *of_train, *TRAINING]


def _of_test(key):
    return lambda rows: rows[-1].get(key)


def _of_held_out(key):
    def read(rows):
        step = rows[-1]["step"]
        return next((row.get(key) for row in rows if row.get("split") == "validation" and row["step"] == step), None)

    return read


def _of_last_train_row(key):
    return lambda rows: next((row.get(key) for row in reversed(rows) if row.get("split") == "train"), None)


def _median_rate(rows):
    rates = [row["images_per_second"] for row in rows if row.get("split") == "train"]
    return statistics.median(rates) if rates else None


TRAINING = {
    "seconds": Metric(
        _of_last_train_row("seconds"), "s", higher_is_better=False, log=True, label="training time", own=False
    ),
    "images_per_second": Metric(_median_rate, "images/s", log=True, label="throughput", own=False),
    "steps": Metric(_of_last_train_row("step"), "steps", higher_is_better=False, log=True, own=False),
}
