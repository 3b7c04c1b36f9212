"""The contact sheet and the verb statistics, on the embedded digits."""

import json

import matplotlib.image
import numpy as np
import pytest

from jaxcnn.augment import OPERATIONS
from jaxcnn.cli import main


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "digits.py"
    path.write_text("from jaxcnn import default_config as get_config\n")
    return f"--config={path}"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Three operations stand for all: each is a compilation, and the layout is one of any number."""
    names = ("rotate", "brightness", "coarse_dropout")
    monkeypatch.setattr("jaxcnn.visualize.augmentations.OPERATIONS", {name: OPERATIONS[name] for name in names})


def test_the_contact_sheet_draws_what_the_config_names(config, tmp_path, capsys):
    arguments = ["--config.augment.flip", "--config.augment.pad_crop=4", "--config.augment.mixup=1.0"]
    output = tmp_path / "sheet.png"
    assert main(["visualize", "augment", config, *arguments, f"--output={output}"]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(output)
    assert "11/11 draws and operations" in printed.err  # a sheet of all takes minutes
    pixels = matplotlib.image.imread(output)[..., :3]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    other = tmp_path / "other.png"
    assert main(["visualize", "augment", config, f"--output={other}"]) == 0
    assert not np.array_equal(pixels, matplotlib.image.imread(other)[..., :3])


def test_a_picture_that_cannot_be_drawn(config, tmp_path, capsys):
    assert main(["visualize", "augment", config, f"--output={tmp_path}/sheet.nothing"]) == 2
    assert "sheet.nothing cannot be drawn" in capsys.readouterr().err


def test_statistics_are_those_of_the_pixels(config, capsys):
    from jaxcnn.data import load

    assert main(["statistics", config, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pca"] == []
    whole = load("digits", "train[:90%]")
    pixels = np.stack([whole[i]["image"] for i in range(len(whole))]) / 255
    assert found["mean"] == pytest.approx([pixels.mean()], rel=1e-5)
    assert found["std"] == pytest.approx([pixels.std()], rel=1e-5)


def test_statistics_can_be_given_back_as_they_are_printed(tmp_path, capsys, user_package):
    user_package(
        "jaxcnn_test_colours",
        "import numpy as np\nfrom jaxcnn.data import Arrays, Records\n\n\n"
        "def load(split, *, data_dir, **options):\n"
        "    draw = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)\n"
        "    splits = {name: (draw, np.arange(40) % 2) for name in ('train', 'test')}\n"
        "    return Records(Arrays('colours', splits, ('a', 'b')), split, **options)\n",
    )
    path = tmp_path / "colours.py"
    path.write_text(
        "from jaxcnn import default_config\n\n\ndef get_config():\n    config = default_config()\n"
        "    config.data.name = 'jaxcnn_test_colours:load'\n    return config\n"
    )
    assert main(["statistics", f"--config={path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("=")[0] for line in lines] == [
        "--config.data.mean",
        "--config.data.std",
        "--config.augment.pca",
    ]
    arguments = [line.replace('"', "") for line in lines]
    assert main(["statistics", f"--config={path}", *arguments]) == 0
    assert capsys.readouterr().out.splitlines() == lines
