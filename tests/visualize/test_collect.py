"""The report of a real run, with its data set and without it."""

import io
import json
import re
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from jaxcnn import InputError, train, write_report
from jaxcnn.visualize.curves import draw_curves
from jaxcnn.visualize.figure import png_bytes

DATA = """
import numpy as np
from jaxcnn.data import Arrays, Records

def load(split, *, data_dir, **options):
    images = np.load(data_dir + "/images.npy")
    labels = np.arange(len(images)) % 3
    sets = {"train": (images, labels), "test": (images[:9], labels[:9])}
    return Records(Arrays("shapes", sets, ("circle", "square", "<star>")), split, **options)
"""


def fetched(source):
    """The addresses that a browser would fetch: those outside the page."""
    references = re.findall(r"""(?:src|href|srcset|action|data|poster)\s*=\s*["']([^"']*)""", source)
    outside = [r for r in references if not r.startswith(("data:", "#"))]
    text = re.sub(r"base64,[A-Za-z0-9+/=]*", "", source)
    return outside + re.findall(r"@import|url\(|fetch\(|XMLHttpRequest", text)


def test_report_of_a_run(tiny_run, tmp_path, read):
    workdir = shutil.copytree(tiny_run, tmp_path / "run")
    (workdir / "report.html").unlink(missing_ok=True)
    path = write_report(workdir)
    assert path == workdir / "report.html"
    source = path.read_text()
    page, test = read(source), json.loads((workdir / "evaluations.jsonl").read_text())
    assert fetched(source) == []
    low, high = binomtest(round(360 * test["top1"]), 360).proportion_ci(method="wilson")
    words = f"n = 360, step {test['step']}; 95 % interval {100 * low:.2f} to {100 * high:.2f} %"
    assert f"Test accuracy {100 * test['top1']:.2f} % {words}" in page.text
    assert "convnet on digits" in page.text and "690" in page.text
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    held_out = [row for row in rows if row.get("split") == "validation"]
    best = max(row["top1"] for row in held_out)
    assert f"Held-out accuracy {100 * best:.2f} %" in page.text and f"; n = {held_out[0]['n']}; 95 % int" in page.text
    for name, right in test["per_class"].items():
        assert f"{name} {100 * right:.1f} %" in page.text
    assert "held-out images right" in page.text  # held-out images with their predictions
    assert ["optimizer.learning_rate", "0.1"] in [row for table in page.tables for row in table]
    with Image.open(workdir / "curves.png") as curves:
        curves.verify()
        bare = Image.open(io.BytesIO(png_bytes(draw_curves(rows))))
        assert curves.width == bare.width and curves.height > bare.height  # by the line of the run


@pytest.fixture
def shapes_run(tiny_config, tmp_path, user_package):
    """A run on a data set that a test can take away."""
    user_package("jaxcnn_test_collect", DATA)
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    config = tiny_config({"data.name": "jaxcnn_test_collect:load", "data.data_dir": str(tmp_path), "batch_size": 8})
    config.duration = "2 steps"
    train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    return tmp_path / "run"


def test_report_without_the_data_set(shapes_run, tmp_path, read):
    assert "held-out images right" in read(write_report(shapes_run).read_text()).text
    (tmp_path / "images.npy").unlink()
    page = read(write_report(shapes_run).read_text())
    assert "Test accuracy" in page.text and "n = 9" in page.text
    assert all(name in page.text for name in ("circle", "square", "<star>"))
    assert "held-out images right" not in page.text


def test_there_must_be_a_run(tmp_path, tiny_run):
    with pytest.raises(InputError, match=r"no config\.json"):
        write_report(tmp_path)
    shutil.copy(tiny_run / "config.json", tmp_path)
    with pytest.raises(InputError, match="no checkpoints"):
        write_report(tmp_path)
