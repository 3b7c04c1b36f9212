"""Error against operations: which points there are, and that a picture comes out."""

import json

import pytest

from jaxcnn import cli
from jaxcnn.analysis.published import PUBLISHED
from jaxcnn.architectures import CLAIMS
from jaxcnn.errors import InputError
from jaxcnn.visualize.frontier import Point, count, draw_frontier, frontier, published_points, run_points


def test_published_numbers_are_of_known_networks():
    assert {row.architecture for row in PUBLISHED} <= set(CLAIMS)
    assert len({(row.architecture, row.protocol) for row in PUBLISHED}) == len(PUBLISHED)
    for row in PUBLISHED:
        assert row.source and (row.top1 or row.top5) and (not row.top5 or not row.top1 or row.top5 < row.top1)


def test_a_point_is_of_one_crop_where_there_is_one():
    points = {point.name: point for point in published_points()}
    assert points["resnet152"][1:] == (23.0, CLAIMS["resnet152"].macs, CLAIMS["resnet152"].parameters, "one crop")
    assert points["alexnet"][1] == 40.7 and points["alexnet"].protocol == "10 crops"
    assert points["vgg_d"].protocol == "dense" and "googlenet" not in points  # of which there is no top-1 error


def test_the_frontier_is_what_no_other_beats():
    best, worse, cheap = (
        Point("a1", 20, 9, 1, "one crop"),
        Point("a2", 21, 9, 1, "one crop"),
        Point("b", 30, 2, 1, "one crop"),
    )
    several = Point("c", 10, 1, 1, "10 crops")
    assert frontier([best, worse, cheap, several]) == [cheap, best]


def test_the_picture(tmp_path, capsys):
    path = tmp_path / "made" / "frontier.png"
    assert cli.main(["frontier", "--output", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert path.read_bytes().startswith(b"\x89PNG") and len(found["points"]) > 15
    figure = draw_frontier(published_points(), tmp_path / "again.svg")
    assert {text.get_text() for text in figure.axes[0].texts if text.get_visible()} == {
        p["name"] for p in found["points"]
    }
    draw_frontier([Point("one", 50.0, 10, 10, "test, n 3")], tmp_path / "one.png")


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


def test_mistakes(tmp_path, capsys):
    assert cli.main(["frontier", "--output", str(tmp_path / "x.pgn")]) == 2
    assert "cannot be drawn" in capsys.readouterr().err


def test_counts():
    assert [count(n) for n in (650, 2e3, 5e6, 1.82e9, 15.5e9)] == ["650", "2k", "5M", "1.8G", "16G"]
