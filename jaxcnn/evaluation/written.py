"""Texts, or labels, that a trained network gives images of a split, beside the true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxcnn.data.labels import LABELS
from jaxcnn.data.text.captions import CAPTIONS
from jaxcnn.data.text.tokens import FRAMING, TEXT
from jaxcnn.tasks.writing import without_end

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


class Written(NamedTuple):
    """Examples of a split.

    Attributes:
      split: its name.
      images: uint8 (n, h, w, c).
      texts: n strings, the answers.
      references: n lists of strings, the true texts.
    """

    split: str
    images: np.ndarray
    texts: list
    references: list


def written_examples(trained: Trained, split: str, *, count: int) -> Written:
    """The first images of a split with what the network says of them.

    Args:
      trained: a Trained, of a task whose answer is the output "text".
      split: "validation", "test" or "train".
      count: how many at most; those that cannot be read are left out.
    Raises:
      InputError: the data set is not there.
    """
    records = trained.open(split).records
    batch = records.read(range(min(count, len(records))))
    there = batch["mask"] > 0
    images, true = batch["image"][there], batch[CAPTIONS if CAPTIONS in batch else TEXT][there]
    true = np.asarray(without_end(true)) if trained.classes[:2] == FRAMING else true
    answers = trained.map(trained.infer, images)[TEXT] if len(images) else []
    found = [[_said(trained, row) for row in rows.reshape(-1, rows.shape[-1])] for rows in true]
    references = [[text for text in own if text] for own in found]
    return Written(split, images, [_said(trained, row) for row in answers], references)


def labelled_examples(trained: Trained, split: str, *, count: int) -> Written:
    """The first images of a split with the labels that the network gives them, as "sea, sky".

    Args, errors: as of `written_examples`, of a task whose answer is a list "labels".
    """
    records = trained.open(split).records
    batch = records.read(range(min(count, len(records))))
    there = batch["mask"] > 0
    images = batch["image"][there]
    outputs = trained.map(trained.infer, images) if len(images) else {}
    describe: Any = trained.task.describe  # not None: the task labels
    answers = [describe({"scores": row})["labels"] for row in outputs.get("scores", ())]
    references = [[", ".join(np.array(trained.classes)[row])] for row in batch[LABELS][there]]
    return Written(split, images, list(map(", ".join, answers)), references)


def _said(trained, tokens):
    return trained.task.describe({TEXT: tokens})[TEXT]
