"""Error against operations: which points there are, and that a picture comes out."""

import itertools
import json
import shutil

import numpy as np
import pytest

from jaxcnn import cli
from jaxcnn.analysis.ledger import ILSVRC, LEDGER
from jaxcnn.architectures import CLAIMS
from jaxcnn.errors import InputError
from jaxcnn.visualize.frontier import DRAWN, Point, count, draw_frontier, frontier, published_points, run_points


def test_what_is_drawn_is_the_printed_number_of_the_ledger():
    points = {point.name: point for point in published_points()}
    assert set(points) <= set(CLAIMS) and len(points) == sum(map(len, DRAWN.values()))
    assert points["resnet152"][1:5] == (23.0, CLAIMS["resnet152"].macs, CLAIMS["resnet152"].parameters, "one crop")
    assert points["alexnet"][1] == 40.7 and points["alexnet"].protocol == "10 crops"  # Krizhevsky et al., table 2
    assert points["resnet34"][1] == 24.52 and points["resnet34"].protocol == "10 crops"  # He et al., table 3, B
    assert points["vgg_d"][1] == 25.6 and points["vgg_d"].protocol == "dense"  # Simonyan and Zisserman, table 3
    assert points["inception_resnet_v2"][1] == 19.9  # Szegedy et al. 2016, table 2


def test_every_error_of_one_crop_is_drawn_but_those_of_copies():
    printed = {e.subject for e in LEDGER if e.data == ILSVRC and e.protocol == "one crop" and e.value[0]}
    assert printed - set(DRAWN["one crop"]) == {"alexnet"}  # Caffe's; the paper prints 10 crops
    assert set(DRAWN["one crop"]) <= printed


def test_the_released_network_costs_as_much_as_inception_v4():
    macs = {name: CLAIMS[name].macs for name in CLAIMS if name.startswith("inception")}
    released, drawn = macs["inception_resnet_v2"], macs["inception_resnet_v2_paper"]
    assert abs(released / macs["inception_v4"] - 1) < 0.1 and drawn / macs["inception_v4"] < 0.8


def test_the_frontier_is_what_no_other_beats():
    best, worse, cheap = (
        Point("a1", 20, 9, 1, "one crop"),
        Point("a2", 21, 9, 1, "one crop"),
        Point("b", 30, 2, 1, "one crop"),
    )
    several = Point("c", 10, 1, 1, "10 crops")
    assert frontier([best, worse, cheap, several]) == [cheap, best]
    again = Point("a3", 20, 9, 2, "one crop")  # another seed that is as good
    assert frontier([best, worse, again, cheap]) == [cheap, best, again]


def test_the_picture(tmp_path, capsys):
    path = tmp_path / "made" / "frontier.png"
    assert cli.main(["frontier", "--output", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert path.read_bytes().startswith(b"\x89PNG") and len(found["points"]) > 15
    figure = draw_frontier(published_points(), tmp_path / "again.svg")
    assert {text.get_text() for text in figure.axes[0].texts if text.get_visible()} == {
        p["name"] for p in found["points"]
    }
    side = {text.get_text(): text.get_ha() for text in figure.axes[0].texts if text.get_visible()}
    for left, right in (("inception_v4", "inception_resnet_v2"), ("plain18", "resnet18")):  # one circle on the other
        assert (side[left], side[right]) == ("right", "left")  # of the text: it ends, or begins, at its circle
    figure = draw_frontier([Point("one", 50.0, 10, 10, "test, n 3")], tmp_path / "one.png")
    assert "test, n 3: one" in [text.get_text() for text in figure.texts]


def test_of_ones_own_runs(tiny_run, tmp_path, capsys):
    (point,) = run_points([tiny_run])
    assert point.name == "convnet (tiny)" and point.parameters == 690 and point.macs == 64 * 9 * 4 + 640
    row = json.loads((tiny_run / "evaluations.jsonl").read_text().splitlines()[-1])
    assert point.error == pytest.approx(100 * (1 - row["top1"])) and point.protocol == f"test, n {row['n']}"
    path = str(tmp_path / "mine.png")
    assert cli.main(["frontier", "--output", path, "--workdir", str(tiny_run), str(tiny_run)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    with pytest.raises(InputError, match="not a run directory"):
        run_points([tmp_path])


def test_the_error_is_that_of_the_runs_task(tiny_run, tmp_path):
    """By data.json alone, without the code of the task."""

    def run(name, selects, **scores):
        folder = shutil.copytree(tiny_run, tmp_path / name, ignore=shutil.ignore_patterns("checkpoints"))
        measures = {"mse": ["", False, False, "squared error"], "psnr": ["dB", True, False, ""]}
        measures["map"] = ["points", True, False, "mAP"]
        about = {**json.loads((folder / "data.json").read_text()), "task": "a.b:C", "measures": measures}
        (folder / "data.json").write_text(json.dumps({**about, "selects": selects}))
        row = {**json.loads((folder / "evaluations.jsonl").read_text().splitlines()[-1]), **scores}
        (folder / "evaluations.jsonl").write_text(json.dumps(row) + "\n")
        return folder

    found = [(["mse"], "Squared error (lower is better)", 0.25), (["psnr"], "Minus psnr (dB)", -30.0)]
    for selects, what, error in [*found, (["map"], "100 % minus mAP (%)", 40.0)]:
        (point,) = run_points([run(selects[0], selects, mse=0.25, psnr=30.0, map=0.6)])
        assert (point.what, point.error) == (what, pytest.approx(error))
        axes = draw_frontier([point], tmp_path / "a.png").axes[0]
        assert axes.get_ylabel() == what
    with pytest.raises(InputError, match=r"share no axis: their errors are top-1 error \(%\), Squared error"):
        run_points([tiny_run, tmp_path / "mse"])
    with pytest.raises(InputError, match="lacks has no squared error on test"):
        run_points([run("lacks", ["mse"], mse=None)])


def test_mistakes(tmp_path, capsys):
    assert cli.main(["frontier", "--output", str(tmp_path / "x.pgn")]) == 2
    assert "cannot be drawn" in capsys.readouterr().err


def test_counts():
    assert [count(n) for n in (650, 2e3, 5e6, 1.82e9, 15.5e9)] == ["650", "2k", "5M", "1.8G", "16G"]


def test_no_name_covers_another_or_a_circle(tmp_path):
    axes = draw_frontier(published_points(), tmp_path / "figure.png").axes[0]
    names = [text.get_window_extent() for text in axes.texts if text.get_visible()]
    circles = [
        (axes.transData.transform(found.get_offsets()[0]), np.sqrt(found.get_sizes()[0] / np.pi) * axes.figure.dpi / 72)
        for found in axes.collections
        if len(found.get_offsets())
    ]
    assert len(names) == len(published_points())
    assert not any(one.overlaps(other) for one, other in itertools.combinations(names, 2))
    for name in names:
        for centre, radius in circles:
            assert np.hypot(*(np.clip(centre, name.min, name.max) - centre)) >= radius
