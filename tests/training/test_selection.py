"""The best checkpoint is one and the same wherever it is named, and few held-out images are not trusted in silence."""

import re

import jaxcnn
from jaxcnn.tasks import kind_allowed
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.training.selection import OF_IMAGES, few_images
from jaxcnn.visualize.history import best_row, read_history


def test_one_best_and_a_word_on_few_images(tiny_config, tmp_path, one_device, on_progress):
    config = tiny_config(
        {"data.train": "train[:100]", "data.validation": "train[100:104]", "evaluation.every": "1 step"}
    )
    lines = []
    on_progress(lines.append)
    done = jaxcnn.train(config, tmp_path / "run", devices=one_device)
    rows = [row for row in read_metrics(done.workdir) if row.get("split") == "validation"]
    best = max(row["top1"] for row in rows)
    assert sum(row["top1"] == best for row in rows) > 1, "no ties to break"
    assert best_row(read_history(rows))["step"] == done.validation["step"] == jaxcnn.Trained(done.workdir).step
    assert any(line.startswith("only 4 images are held out:") for line in lines)
    page = jaxcnn.write_report(done.workdir).read_text()
    assert "Only 4 images are held out:" in page
    assert re.search(rf"epoch [\d.]+, step {done.validation['step']}\b", page)


def test_wilsons_interval():
    """By the formula: (p + z2 / 2n +- z sqrt(p (1 - p) / n + z2 / 4n2)) / (1 + z2 / n) at p = 0.68, n = 25."""
    assert "68.0% of them right could as well be 48.4% or 82.8%" in few_images(0.68, 25)
    assert "100.0% of them right could as well be 72.2% or 100.0%" in few_images(1.0, 10)
    assert few_images(0.68, 100) is None


def test_an_average_precision_is_no_share_of_images():
    selected = {
        name: kind_allowed(name).selects[0] for name in ("classification", "reading", "detection", "multilabel")
    }
    assert {name for name, measure in selected.items() if measure in OF_IMAGES} == {"classification", "reading"}
