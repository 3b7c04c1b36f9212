"""The benchmark of the input: it reads the folder by every loader, and its ratios are those of its rates."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxcnn import cli
from jaxcnn.benchmark.input import CROP, workers_needed


@pytest.fixture
def photographs(tmp_path):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for i in range(3):
            image = Image.fromarray(random.integers(0, 256, (40, 30, 3), np.uint8))
            image.save(tmp_path / "photographs" / name / f"{i}.jpg")
    return tmp_path / "photographs"


def test_verb_prints_the_stages_and_writes_them(photographs, tmp_path, capsys):
    path = tmp_path / "rows.json"
    command = ["benchmark", "input", "--data", f"folder:{photographs}", "--rounds", "2", "--output", str(path)]
    assert cli.main([*command, "--only", "one thread"]) == 0
    printed = capsys.readouterr().out
    record = json.loads(path.read_text())
    names = [row["name"].split(",")[0] for row in record["rows"]]
    assert names == [
        "read bytes",
        "decode whole",
        "decode to a random crop",
        "stack to batches",
        "transfer to the device",
    ]
    assert all(name in printed and row["images_s"]["ours"][0] > 0 for name, row in zip(names, record["rows"]))  # noqa: B905
    assert record["versions"]["simplejpeg"]


def test_a_loader_that_takes_all_cores_is_a_row_of_its_own(photographs, tmp_path):
    path = tmp_path / "rows.json"
    command = ["benchmark", "input", "--data", f"folder:{photographs}", "--rounds", "1", "--output", str(path)]
    assert cli.main([*command, "--only", "all cores"]) == 0
    (row,) = json.loads(path.read_text())["rows"]
    assert row["name"] == "loader, all cores"
    assert row["workers"] is None  # so that --needed counts processes
    assert row["images_s"]["ours"][0] > 0


@pytest.mark.parity
@pytest.mark.parametrize(
    ("package", "module", "axis"), [("torch", "torch_input", 1), ("tensorflow", "tensorflow_input", 3)]
)
def test_other_loaders_do_the_same_work(package, module, axis, photographs):
    pytest.importorskip(package)
    import importlib

    paths = sorted(map(str, photographs.rglob("*.jpg")))
    for path in paths:
        Image.new("RGB", (30, 40), (200, 100, 50)).save(path, quality=95)
    loader = importlib.import_module(f"jaxcnn.benchmark.{module}").loader
    with loader(paths, [7] * len(paths), CROP, (8, 10), batch_size=5, workers=0) as batches:
        images, labels = map(np.asarray, next(batches))
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(labels, [7] * 5)
    images = np.moveaxis(images, axis, 3)
    np.testing.assert_allclose(images, np.broadcast_to([200, 100, 50], (5, 8, 10, 3)), atol=2)


def test_workers_that_a_rate_needs():
    rows = [
        {"workers": None, "images_s": {"ours": (9000.0, None)}},
        {"workers": 1, "images_s": {"ours": (500.0, None)}},
        {"workers": 2, "images_s": {"ours": (800.0, None)}},
    ]
    assert workers_needed(rows, 2500) == (7, 400.0)
    assert workers_needed(rows[:1], 2500) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "digits"), "give folder:PATH"),
        (("--data", "folder:/nowhere"), "/nowhere is not a folder"),
    ],
)
def test_wrong_data_are_named(options, message, capsys):
    assert cli.main(["benchmark", "input", *options]) == 2
    assert message in capsys.readouterr().err
