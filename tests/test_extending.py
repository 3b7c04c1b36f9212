"""docs/extending.md: every file of it is written into a package of a user's, and what its config names trains."""

import ast
import itertools
import json
import pathlib
import re
import sys

import numpy as np
import pytest

import jaxcnn
from jaxcnn.population import train_population
from jaxcnn.sweeps import load_study
from jaxcnn.tasks import Measure
from jaxcnn.training.rundir.about import measures_there

TEXT = (pathlib.Path(__file__).parents[1] / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
FILES = {block.partition("\n")[0].removeprefix("# "): block for block in BLOCKS if block.startswith("# my/")}
LINES = [block for block in BLOCKS if block.startswith("config.")]
TASK = [lines for lines in LINES if "config.task" in lines]
QUICK = {
    "batch_size": 16,
    "duration": "6 steps",
    "evaluation.every": "3 steps",
    "checkpoint.every": "3 steps",
    "log_every": 1,
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of a user, with all files of the page; their modules are forgotten after the test."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("my", "my_config")]:
        del sys.modules[name]


def configured(lines, changes):
    """The config of a user whose get_config() has these lines."""
    with (config := jaxcnn.default_config()).unlocked():
        exec("\n".join(lines), {"config": config})
        config.update_from_flattened_dict({**QUICK, **changes})
    return config


def train_rows(workdir):
    found = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [row for row in found if row.get("split") == "train"]


def test_every_part_is_short():
    sizes = {name: sum(bool(line.strip()) for line in text.splitlines()) for name, text in FILES.items()}
    assert len(sizes) == 10 and max(sizes.values()) < 40, sizes
    assert len(FILES) + len(LINES) == len(BLOCKS) and all(map(ast.parse, BLOCKS))


def test_all_parts_of_a_classifier_train_together_in_a_population(package, one_device):
    lines = [block for block in LINES if block not in TASK]
    rates = (0.003, 0.001)
    configs = [configured(lines, {"optimizer.learning_rate": rate, "optimizer.momentum": 100 * rate}) for rate in rates]
    folders = [package / f"run{number}" for number in range(2)]
    found = train_population(configs, folders, package / "population", quiet=True, devices=one_device)
    assert all(result.step == 6 for result in found)
    for rate, workdir in zip(rates, folders, strict=True):
        found = [row["learning_rate"] for row in train_rows(workdir)]
        factors = [0, *(0.1 + 0.9 * (1 - abs(2 * (step % 2) / 2 - 1)) for step in range(5))]
        np.testing.assert_allclose(found, rate * np.array(factors), rtol=1e-5)
        test = json.loads((workdir / "evaluations.jsonl").read_text().splitlines()[-1])
        confusion = np.array(test["confusion"])
        assert test["balanced_accuracy"] == pytest.approx((confusion.diagonal() / confusion.sum(axis=1)).mean())
        assert 0.5 <= test["confidence"] <= 1 and 0 <= test["thin_accuracy"] <= 1
    name, measures, _ = measures_there(folders[0])
    assert name == "classification" and measures["balanced_accuracy"] == Measure("points", label="balanced accuracy")
    assert [*measures] == ["loss", "top1", "top5", "confidence", "thin_accuracy", "balanced_accuracy"]


def test_the_task_trains(package, one_device):
    result = jaxcnn.train(
        configured(TASK, {"data.image_size": (8, 8)}), package / "run", quiet=True, devices=one_device
    )
    assert result.step == 6 and set(result.test) >= {"loss"} and "top1" not in result.test


def test_the_study_is_read_and_its_runs_differ_in_the_option(package):
    lines = "\n".join(f"    {line}" for block in LINES if block not in TASK for line in block.splitlines())
    header = "from jaxcnn import default_config\n\ndef get_config():\n    config = default_config()\n"
    (package / "my_config.py").write_text(f"{header}{lines}\n    return config\n")
    study, _ = load_study(package / "my" / "margins.py")
    found = [(run.config.loss.options.margin, run.config.optimizer.learning_rate, run.seed) for run in study.runs()]
    assert found == [*itertools.product((0.1, 1.0), (0.001, 0.003), (0, 1))]
    assert len({run.id for run in study.runs()}) == 8
    rows = [{"split": "train", "gradient_norm": norm} for norm in (1, 3, 2)] + [{"split": "validation"}]
    assert study.measures["largest_gradient"].function(rows) == 3
