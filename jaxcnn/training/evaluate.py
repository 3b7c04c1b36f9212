"""Evaluation on exactly the N images of a split, for any batch size and device count: sums of correct over seen."""

import dataclasses

import jax
import numpy as np

from jaxcnn.training.compilation import compiler_options
from jaxcnn.training.step import fetch, make_evaluation_step


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result on one split.

    Attributes:
      n: images seen; those that could not be read are not among them.
      loss: mean.
      top1, top5: fractions; top5 is None where there are 5 classes or fewer.
      confusion: (K, K) int64, rows the true class.
      classes: their names.
      wrong: positions in the split of the images whose top-1 is wrong, ascending; one with a NaN among its logits is
        wrong, one that could not be read is not there.
    """

    n: int
    loss: float
    top1: float
    top5: float | None
    confusion: np.ndarray
    classes: tuple
    wrong: list

    def per_class(self):
        """{class: its accuracy}, None for a class without images."""
        seen = self.confusion.sum(axis=1)
        right = self.confusion.diagonal()
        return {name: (float(r / s) if s else None) for name, r, s in zip(self.classes, right, seen, strict=True)}


class Evaluator:
    """Compiles the evaluation of a Task once, and runs it on as many states as wanted.

    Args:
      setup: a Setup.
      task: its Task.
      feed: the Feed of the split.
    """

    def __init__(self, setup, task, feed):
        self.feed, self.replicas = feed, setup.replicas
        self.batch_size = setup.config.evaluation.batch_size
        self.classes, self.program = setup.classes, None
        step = make_evaluation_step(task)

        def mapped(sums, data, inputs):
            variables, split = data
            batch = fetch(split, jax.tree.map(lambda x: x[0], inputs))
            return step(sums, variables, batch)

        self.mapped = self.replicas.map(mapped)
        self.options = compiler_options(deterministic=setup.config.deterministic)

    def __call__(self, variables):
        """The Evaluation of {"params", "batch_stats"}, laid out on the devices."""
        data = (variables, self.feed.data)
        sums, missed = self.replicas.replicate(no_sums(len(self.classes))), []
        for inputs in self.feed.evaluation(batch_size=self.batch_size):
            if self.program is None:
                self.program = self.mapped.lower(sums, data, inputs).compile(compiler_options=self.options)
            sums, wrong = self.program(sums, data, inputs)
            missed.append(wrong)
        sums, missed = jax.device_get((sums, missed))
        return as_evaluation(sums, np.concatenate(missed), self.classes)


def no_sums(count):
    """What the evaluation step adds to, before the first batch, for a number of classes."""
    sums = dict.fromkeys(("loss", "top1", "top5", "seen"), np.float32(0))
    return {**sums, "confusion": np.zeros((count, count), np.float32)}


def as_evaluation(sums, wrong, classes):
    """The Evaluation of the sums over a split; wrong is True at the positions whose images are, (n or more,)."""
    seen = max(float(sums["seen"]), 1.0)
    mean = {name: float(sums[name]) / seen for name in ("loss", "top1", "top5")}  # in float64: 2 / 3 as Python has it
    return Evaluation(
        int(sums["seen"]),
        mean["loss"],
        mean["top1"],
        mean["top5"] if len(classes) > 5 else None,
        sums["confusion"].astype(np.int64),
        classes,
        np.flatnonzero(wrong).tolist(),
    )


def evaluation_row(config, step, split, evaluation):
    """The evaluation as the JSON object that `evaluate --json` prints and evaluations.jsonl keeps."""
    return {
        "architecture": config.model.name,
        "step": step,
        "split": split,
        "n": evaluation.n,
        "loss": evaluation.loss,
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "per_class": evaluation.per_class(),
    }
