"""python -m jaxcnn visualize KIND on a trained network, and what it refuses before any work."""

import base64
import json
import shutil

import matplotlib.image
import numpy as np
import pytest
from PIL import Image

from jaxcnn.cli import main


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return str(path)


@pytest.fixture
def drawn(tmp_path, capsys):
    def call(kind, *arguments):
        output = tmp_path / "made" / f"{kind}.png"
        code = main(["visualize", kind, *map(str, arguments), f"--output={output}"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        assert captured.out.splitlines()[-1] == str(output)
        pixels = matplotlib.image.imread(output)
        assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20
        return pixels

    return call


@pytest.fixture
def refused(tmp_path, capsys, monkeypatch):
    """The error of a call that stops before its picture is saved."""

    def call(kind, *arguments, output=None):
        output = output or tmp_path / "picture.png"
        assert main(["visualize", kind, *map(str, arguments), f"--output={output}"]) == 2
        assert not (tmp_path / "picture.png").exists()
        return " ".join(capsys.readouterr().err.split())

    return call


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("curves", []),
        ("filters", ["--layer=conv1_1"]),
        ("activations", ["--index=3"]),
        ("cam", ["--index", 3, 4, "--class", "7", "--stage", "conv1_1", "pool1"]),
        ("confusion", ["--split=test"]),
        ("mistakes", ["--split=test", "--limit=3"]),
    ],
)
def test_every_kind_draws(kind, arguments, tiny_run, drawn):
    drawn(kind, f"--workdir={tiny_run}", *arguments)


def test_without_output_the_picture_goes_into_the_report(tiny_run, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    command = ["visualize", "filters", f"--workdir={run}", "--layer=conv1_1"]
    monkeypatch.setattr("sys.argv", ["jaxcnn", *command])
    assert main() == 0
    assert capsys.readouterr().out.splitlines() == [f"{run}/report.html", f"{run}/pictures/filters.png"]
    encoded = base64.b64encode((run / "pictures" / "filters.png").read_bytes()).decode()
    report = (run / "report.html").read_text()
    assert encoded in report and f"python -m jaxcnn {' '.join(command)}" in report
    (run / "pictures" / "half.png").write_bytes((run / "pictures" / "filters.png").read_bytes()[:300])
    assert main(["report", f"--workdir={run}"]) == 2
    assert "half.png is no whole PNG" in " ".join(capsys.readouterr().err.split())


def test_no_folder_is_made_where_there_is_no_run(tmp_path, capsys):
    assert main(["visualize", "filters", f"--workdir={tmp_path}/nowhere"]) == 2
    assert "nowhere is not a run directory" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "nowhere").exists()


def test_image_files_are_taken_as_the_network_takes_them(tiny_run, drawn, photograph):
    drawn("activations", f"--workdir={tiny_run}", f"--images={photograph}")


def test_tsne_and_its_page_are_one_for_a_seed(tiny_run, drawn, tmp_path):
    arguments = [f"--workdir={tiny_run}", "--stage=pool1", "--count=60", "--perplexity=10", f"--html={tmp_path}/a.html"]
    first = drawn("tsne", *arguments)
    page = (tmp_path / "a.html").read_text()
    np.testing.assert_array_equal(drawn("tsne", *arguments), first)
    assert (tmp_path / "a.html").read_text() == page
    drawn("tsne", *arguments, "--seed=1")
    assert (tmp_path / "a.html").read_text() != page


def test_the_logged_confusion_is_drawn_without_an_evaluation(tiny_run, drawn, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    drawn("confusion", f"--workdir={run}", "--split=validation")
    lines = (run / "evaluations.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["split"] == "validation"
    drawn("confusion", f"--workdir={run}", "--split=validation")
    assert (run / "evaluations.jsonl").read_text().splitlines() == lines


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("filters", ["--layer=conv1_2"], "--layer: there is no convolution 'conv1_2'; did you mean 'conv1_1'?"),
        ("filters", ["--layer=pool1"], "stage 'pool1' is made by pool1 (max_pool), which is no convolution"),
        ("filters", ["--filters=0"], "--filters is 0; it is at least 1"),
        ("activations", ["--index", 3, 4], "of one image, not of 2"),
        ("activations", ["--index=9999"], "there is no image 9999 in validation; they are counted from 0 to"),
        ("activations", ["--images=nowhere.png"], "there is no file or folder nowhere.png"),
        ("cam", ["--index=3", "--stage=conv1"], "unknown map 'conv1'; did you mean 'conv1_1'?"),
        ("cam", ["--index=3", "--class=ten"], "there is no class 'ten'"),
        ("cam", ["--index=3", "--method=cam"], "need a head of global average pooling"),
        ("cam", ["--index=3", "--method=cam", "--stage=pool1"], "--stage is for grad_cam"),
        ("tsne", ["--stage=pool2"], "tsne: there is no stage or layer 'pool2'. Did you mean 'pool1'"),
        ("tsne", ["--stage=pool1", "--count=20"], "perplexity is 30; for 20 images it is at least 1 and below 20"),
    ],
)
def test_mistakes_are_named(kind, arguments, words, tiny_run, refused):
    assert words in refused(kind, f"--workdir={tiny_run}", *arguments)


def test_a_file_that_is_no_image(tiny_run, refused, tmp_path):
    (tmp_path / "text.png").write_text("words")
    assert "text.png" in refused("cam", f"--workdir={tiny_run}", f"--images={tmp_path}/text.png")


def test_runs_that_cannot_be_drawn(tiny_run, refused, tmp_path):
    assert "is not a run directory" in refused("curves", "--workdir", tiny_run, tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("config.json", "data.json"):
        shutil.copy(tiny_run / name, tmp_path / "empty")
    assert "empty has no curves" in refused("curves", f"--workdir={tmp_path}/empty")
    assert "there are no checkpoints" in refused("filters", f"--workdir={tmp_path}/empty")


def test_an_output_that_cannot_be_written_is_found_first(tiny_run, refused, tmp_path, monkeypatch):
    def work(*_):
        raise AssertionError("it worked before it looked where to write")

    monkeypatch.setattr("jaxcnn.evaluation.trained.Trained.__init__", work)
    monkeypatch.setattr("jaxcnn.visualize.augmentations.contact_sheet", work)
    (tmp_path / "file").write_text("")
    run = f"--workdir={tiny_run}"
    assert "file: not a folder" in refused("filters", run, output=tmp_path / "file" / "a.png")
    assert "its suffix names the format, one of" in refused("filters", run, output=tmp_path / "a.docx")
    assert "its suffix names the format, one of" in refused("augment", output=tmp_path / "a.docx")
    assert "cannot be written" in refused("tsne", run, "--stage=pool1", f"--html={tmp_path}/file/a.html")
