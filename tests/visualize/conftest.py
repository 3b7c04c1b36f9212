"""Synthetic runs for the pages: rows as the training loop writes them, images, a confusion matrix."""

import html.parser

import numpy as np
import pytest

from jaxcnn.visualize.report import Example, RunReport

VOID = {"meta", "img", "br", "hr", "link", "input"}


def make_rows(epochs=6, steps_per_epoch=4, seed=0, split="validation"):
    """A train row a step and a held-out row an epoch; random, so that no two numbers agree by accident."""
    generator = np.random.default_rng(seed)
    rows = [{"event": "compiled", "seconds": 12.5}]
    for step in range(1, epochs * steps_per_epoch + 1):
        numbers = {"loss": generator.uniform(0.1, 2), "top1": generator.uniform(0.3, 0.99), "top5": None}
        rates = {"learning_rate": 0.1 / step, "images_per_second": 100.0 + step, "seconds": 2.0 * step}
        position = {"step": step, "epoch": step / steps_per_epoch}
        rows.append({"split": "train", **position, **numbers, **rates})
        if step % steps_per_epoch == 0:
            loss, top1, top5 = generator.uniform((0.5, 0.3, 0.9), (2, 0.9, 1)).tolist()
            rows.append({"split": split, **position, "loss": loss, "top1": top1, "top5": top5})
    return rows


def make_run(rows, classes=("cat", "dog", "<html> & co"), **changes):
    """A RunReport around `rows`: 3 classes, a confusion matrix on test, one right example and one wrong one."""
    count = len(classes)
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    probabilities = np.linspace(1, 2, count) / np.linspace(1, 2, count).sum()
    values = {
        "name": "<run>",
        "config": {"optimizer": {"name": "momentum", "learning_rate": 0.1}, "seed": 7, "augment": {}},
        "environment": {"git_commit": "0123abc", "devices": ["cpu"]},
        "rows": rows,
        "evaluations": [
            {
                "architecture": "lenet_5",
                "step": 24,
                "split": "test",
                "n": 1234,
                "loss": 0.4321,
                "top1": 0.8765,
                "top5": None,
                "per_class": dict.fromkeys(classes, 0.5),
            }
        ],
        "classes": tuple(classes),
        "confusion": np.arange(1, count * count + 1).reshape(count, count),
        "confusion_split": "test",
        "examples": [Example(pixels, count - 1, probabilities), Example(pixels, 0, probabilities)],
        "checkpoint_step": 24,
        "parameters": 61706,
    }
    return RunReport(**{**values, **changes})


class Page(html.parser.HTMLParser):
    """Reads a page, refuses tags that do not nest, and keeps its text, its tables and its attributes."""

    def __init__(self, source):
        super().__init__()
        self.open, self.attributes, self.words, self.tables = [], [], [], []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.words.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def images(self):
        return [value for tag, name, value in self.attributes if (tag, name) == ("img", "src")]


@pytest.fixture
def rows():
    return make_rows()


@pytest.fixture(scope="module")
def rows_of():
    return make_rows


@pytest.fixture(scope="module")
def run_of():
    return make_run


@pytest.fixture(scope="module")
def read():
    return Page
