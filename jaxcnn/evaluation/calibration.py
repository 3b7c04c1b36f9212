"""How far a classifier's probabilities can be believed: calibration error, and temperature scaling (Guo et al. 2017).

Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Task


BINS = 15  # of equal width, as in the paper
TEMPERATURES = (0.01, 100.0)  # between which one is looked for
ROW = "calibration/"  # before the names of the rows that are measured here


class Believed(NamedTuple):
    """Predictions of n images.

    Attributes:
      confidence: (n,), the probability of the predicted class.
      right: bool (n,), whether it is the true one.
      nll: (n,), the negative log likelihood of the true class, in nats.
    """

    confidence: Any
    right: Any
    nll: Any


def believed(logits: jax.Array | np.ndarray, labels: jax.Array | np.ndarray, temperature: float = 1.0) -> Believed:
    """The Believed of logits (n, K) divided by a temperature, and labels int (n,); pure, for jit too."""
    logs = jax.nn.log_softmax(logits.astype(jnp.float32) / temperature)
    nll = -jnp.take_along_axis(logs, labels[:, None], axis=1)[:, 0]
    return Believed(jnp.exp(logs.max(axis=1)), jnp.argmax(logits, axis=1) == labels, nll)


def reliability(confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS) -> dict[str, Any]:
    """The expected calibration error, and the bins that it is counted in.

      ECE = sum_m |B_m| / n |accuracy(B_m) - confidence(B_m)|,  B_m the images of confidence in ((m - 1) / M, m / M]

    Args:
      confidence: (n,) in (0, 1], n > 0.
      right: bool (n,).
      bins: M, of equal width.
    Returns:
      {"ece": float, "images": [count of a bin], "confidence": [its mean], "accuracy": [its share right]}; the means of
      an empty bin are None.
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    places = np.digitize(confidence, np.arange(1, bins) / bins, right=True)
    counts, *sums = (np.bincount(places, weights, bins) for weights in (None, confidence, right))
    means = [[float(x / n) if n else None for x, n in zip(total, counts, strict=True)] for total in sums]
    ece = float(np.abs(sums[0] - sums[1]).sum() / len(confidence))
    return {"ece": ece, "images": counts.tolist(), "confidence": means[0], "accuracy": means[1]}


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """The T for which softmax(logits / T) has the lowest mean negative log likelihood of the labels.

    That is convex in 1 / T, so T is where its slope is 0. The predicted classes stay.

    Args:
      logits: (n, K).
      labels: int (n,).
    Returns:
      T, or None where none between 0.01 and 100 is the lowest: every image is right for example, and the lower the
      better.
    """
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(logits)), labels].mean()

    def slope(inverse):
        return (scipy.special.softmax(inverse * logits, axis=1) * logits).sum(axis=1).mean() - own

    low, high = (1 / temperature for temperature in reversed(TEMPERATURES))
    if not slope(low) < 0 < slope(high):
        return None
    return 1 / scipy.optimize.brentq(slope, low, high, xtol=1e-12)


def calibration(
    plain: Believed | None, scaled: Believed | None = None, temperature: float | None = None
) -> dict[str, Any] | None:
    """What is logged of how a classifier is calibrated.

    Args:
      plain: Believed of its own probabilities.
      scaled: Believed under the temperature, or None.
      temperature: fitted on the held-out part, or None.
    Returns:
      {"bins", "nll": the mean, **reliability(...), "temperature", "scaled": {"nll", **reliability(...)} or None}; None
      without images, or where a probability is not finite.
    """
    if not len(plain.nll) or not np.isfinite([plain.confidence, plain.nll]).all():
        return None
    return {
        "bins": BINS,
        **_of(plain),
        "temperature": temperature,
        "scaled": None if scaled is None else _of(scaled),
    }


def calibration_of(logits: jax.Array | np.ndarray, labels: Sequence[int] | np.ndarray) -> dict[str, Any] | None:
    """`calibration` of logits (n, K) and labels (n,), with the temperature that fits them."""
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels, np.int32)
    temperature = fit_temperature(logits, labels) if len(labels) else None
    scaled = _on_host(believed(logits, labels, temperature)) if temperature else None
    return calibration(_on_host(believed(logits, labels)), scaled, temperature)


def _on_host(found):
    return Believed(*map(np.asarray, found))


def _of(found):
    return {"nll": float(np.mean(found.nll, dtype=np.float64)), **reliability(found.confidence, found.right)}


def watched(task: Task, *, temperature: float | None = None, fit: bool = False) -> Task:
    """The Task that also says of each image how far its prediction is believed; `calibrated` reads it.

    A task that infers no `logits` and `probabilities` (n, K) for a `label` stays as it is.

    Args:
      task: a Task.
      temperature: by which the logits are divided too, or None.
      fit: keep the logits, on which one is fitted, in place of both.
    """
    return task._replace(score=functools.partial(_score, task, temperature, fit))


def _score(task, temperature, fit, outputs, batch):
    scores = task.score(outputs, batch)
    if not ({"logits", "probabilities"} <= outputs.keys() and "label" in batch):
        return scores
    logits, labels = outputs["logits"], batch["label"]
    rows = {"there": batch["mask"] > 0}
    if fit:
        rows |= {"logits": logits, "label": labels}
    else:
        rows |= _named("plain", believed(logits, labels))
        if temperature:
            rows |= _named("scaled", believed(logits, labels, temperature))
    return scores._replace(rows={**scores.rows, **{ROW + name: row for name, row in rows.items()}})


def _named(name, found):
    return {f"{name}/{field}": value for field, value in found._asdict().items()}


def calibrated(
    rows: Mapping[str, Any], temperature: float | None = None
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """(`calibration` of the rows of an Evaluation of a `watched` task, the rows that are the task's own).

    Args:
      rows: {name: (records, ...)}.
      temperature: as `watched` got it.
    Returns:
      The first is None of a task that gives no class probabilities.
    """
    own = {name: row for name, row in rows.items() if not name.startswith(ROW)}
    found = {name.removeprefix(ROW): row for name, row in rows.items() if name.startswith(ROW)}
    if not found:
        return None, own
    there = found["there"].astype(bool)
    found = {name: row[there] for name, row in found.items()}
    if "logits" in found:
        return calibration_of(found["logits"], found["label"]), own
    plain, scaled = (
        Believed(*(found[f"{name}/{field}"] for field in Believed._fields)) if f"{name}/nll" in found else None
        for name in ("plain", "scaled")
    )
    return calibration(plain, scaled, temperature), own


def logged_temperature(evaluations: Sequence[Mapping[str, Any]], step: int) -> float | None:
    """The temperature that the last evaluation of a checkpoint on the run's held-out part fitted, or None.

    Args:
      evaluations: rows of evaluations.jsonl.
      step: of the checkpoint.
    """
    for row in reversed(evaluations):
        found = row.get("calibration")
        if (row.get("split"), row.get("step")) == ("validation", step) and isinstance(found, dict):
            value = found.get("temperature")
            return value if isinstance(value, float) and 0 < value < math.inf else None
    return None


def scaled_outputs(outputs: Mapping[str, np.ndarray], temperature: float) -> dict[str, np.ndarray]:
    """The outputs of a classifier with softmax(logits / temperature) in place of its own probabilities.

    Args:
      outputs: {name: (n, ...)} on the host; "logits" (n, K) among them.
      temperature: above 0.
    """
    logits = np.asarray(outputs["logits"], np.float64)
    return {**outputs, "probabilities": scipy.special.softmax(logits / temperature, axis=1).astype(np.float32)}
