import dataclasses
import re

import numpy as np
import pytest

from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Study
from jaxcnn.sweeps.results import named_measures
from jaxcnn.sweeps.verdicts import findings
from jaxcnn.visualize.effects import draw_cells, draw_effects
from jaxcnn.visualize.figure import png_bytes
from jaxcnn.visualize.narrowing import draw_narrowing
from jaxcnn.visualize.study_report import StudyReport, study_report

FACTOR = "model.options.name"
LEVELS = ("a <b>", "single", "none")
CLAIM = Claim("A <b> beats the single one.", {FACTOR: "a <b>"}, {FACTOR: "single"})
PLAIN = {"label": "test loss", "unit": "", "higher_is_better": False}


def report(cells, *, title="depth", docstring="Claim: <deeper> is better.", command="jaxcnn sweep --seed=1", **options):
    study = Study(default_config(), {FACTOR: LEVELS} if cells else {}, (0, 1, 2), **options)
    about = {"jax": "0"}, study.kind, named_measures(study)
    return study_report(StudyReport(title, docstring, command, cells, findings(study, cells), *about))


@pytest.fixture(scope="module")
def cells(rows_of, cell_of):
    images, cost = ("digits", "", "", 9), {"parameters": 61706, "macs": 416520}
    rows = [rows_of(seed=seed) for seed in range(3)]
    values = {"validation_top1": (0.94, 0.95, 0.955), "seconds": (60.0, 66.0, 69.0), "steps": (24, 24, 24)}
    tested = {0: (images, [1, 2, 3, 4, 5, 6])}
    whole = cell_of({FACTOR: LEVELS[0]}, (0.91, 0.93, 0.926), rows=rows, cost=cost, tested=tested, **values)
    left = ["seed 1: <oom>"]
    single = cell_of({FACTOR: "single"}, (0.5,), rows=rows[:1], left=left, tested={0: (images, [])}, steps=(24,))
    return [whole, single, cell_of({FACTOR: "none"}, ())]


@pytest.fixture(scope="module")
def source(cells):
    paper = {"name=a <b>": (99.2, "accuracy, %, table 2")}
    return report(cells, claims=(CLAIM,), baseline={FACTOR: "single"}, paper=paper)


def tables(page, *header):
    return [table for table in page.tables if table[0][: len(header)] == list(header)]


def test_table_has_n_mean_spread_and_interval_of_every_cell(source, read):
    """Student's t of two degrees of freedom at 0.975 is 4.3027."""
    for table, values in zip(tables(read(source), "cell", "n"), ([91, 93, 92.6], [94, 95, 95.5]), strict=True):
        mean, std = np.mean(values), np.std(values, ddof=1)
        half = 4.3027 * std / 3**0.5
        line = ["name=a <b>", "3", f"{mean:.2f}", f"{std:.2f}", f"{mean - half:.2f} to {mean + half:.2f}"]
        assert table[1][:5] == line
    test, held_out = tables(read(source), "cell", "n")
    assert test[1][5:] == ["99.2", "accuracy, %, table 2"] and test[0][5:] == ["paper", "what it is"]
    assert test[2] == ["name=single", "1", "50.00", "n/a", "n/a", "–", "–"]
    assert test[3] == ["name=none", "0", "n/a", "n/a", "n/a", "–", "–"]
    assert held_out[2] == ["name=single", "0", "n/a", "n/a", "n/a"]


def test_the_verdicts_come_first(source, read):
    text = read(source).text
    sentence = (
        "not decided at n = 1: a <b> minus single is 41.00 points of test accuracy (one pair has no interval, p 1)"
    )
    assert text.index("A <b> beats the single one.") < text.index(sentence) < text.index("Claim: <deeper>")
    assert "(2 left out)" in text


def test_every_cell_stands_against_the_baseline(source, read):
    (table,) = tables(read(source), "cell", "pairs")
    assert table[1] == ["name=a <b>", "1", "41.00", "n/a", "n/a", "1", "1", "n/a", "0 : 6", "0.031"]
    assert table[2][:3] == ["name=none", "0", "n/a"] and len(table) == 3
    assert "The baseline is name=single." in read(source).text


def test_cost(source, read):
    (table,) = tables(read(source), "cell", "parameters")
    assert table[1][1:5] == ["61\u202f706", "416\u202f520", "24", "1 min 05 s"]
    assert table[3][1:] == ["–"] * 5


def test_every_run_failures_command_and_claim_are_shown(source, read):
    page = read(source)
    rows = [row for table in page.tables for row in table]
    assert ["name=a <b>", "1", "93.00 %", "95.00 %", "–", "24", "1 min 06 s"] in rows
    assert ["name=single", "seed 1: <oom>"] in rows
    assert "jaxcnn sweep --seed=1" in page.text and "Claim: <deeper> is better." in page.text
    assert len(page.images()) == 3  # effects, every run, curves


def test_the_head_counts_what_is_missing(source, read, cell_of):
    assert "jaxcnn study, 3 cells, 4 of 5 runs have a result" in read(source).text
    assert "jaxcnn study, 1 cells, 2 runs" in read(report([cell_of({FACTOR: "a <b>"}, (0.5, 0.6))])).text


def test_no_cell_is_set_apart(source):
    assert not re.search(r"<(b|strong|mark)\b|class=\"best", source)


def test_page_fetches_nothing(source, read):
    links = [value for _, name, value in read(source).attributes if name in ("src", "href")]
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in links)
    assert not re.search(r"@import|url\(|https?:", re.sub(r"base64,[^\"]*", "", source))


def test_empty_and_untested_studies_give_a_page(read, cell_of):
    untested = cell_of({FACTOR: "a <b>"}, (None, None), validation_top1=(0.5, None))
    for cells in ([], [untested]):
        page = read(report(cells, docstring="", command=""))
        assert "depth" in page.text and "How to repeat" not in page.text and "Verdicts" not in page.text


def lines(axes, gid):
    return [line.get_xdata().tolist() for line in axes.lines if line.get_gid() == gid]


def test_effects_are_means_with_their_intervals():
    levels = [
        {"level": "a", "n": 3, "mean": 0.5, "interval": (0.4, 0.6)},
        {"level": "b", "n": 1, "mean": 0.7, "interval": None},
        {"level": "c", "n": 0, "mean": None, "interval": None},
    ]
    axes, other = draw_effects({"model.options.x": levels, "y": levels[:1]}, {**PLAIN, "unit": "points"}).axes
    assert lines(axes, "mean") == [[50], [70]] and lines(axes, "interval") == [[40, 60]]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a (n = 3)", "b (n = 1)", "c (n = 0)"]
    assert axes.get_title(loc="left") == "x" and axes.get_xlabel() == "Test loss (%, lower is better)"
    assert lines(other, "mean") == [[50]]
    assert lines(draw_effects({"x": levels}, PLAIN).axes[0], "mean") == [[0.5], [0.7]]


def test_cells_have_a_panel_for_each_metric():
    cells = [
        {
            "cell": "a",
            "metrics": {
                "x": {"n": 3, "mean": 0.5, "interval": (0.4, 0.6)},
                "y": {"n": 0, "mean": None, "interval": None},
            },
        },
        {
            "cell": "b",
            "metrics": {"x": {"n": 1, "mean": 0.7, "interval": None}, "y": {"n": 1, "mean": 8.0, "interval": None}},
        },
    ]
    first, second = draw_cells(cells, {"x": {**PLAIN, "unit": "points"}, "y": PLAIN}).axes
    assert lines(first, "mean") == [[50], [70]] and lines(first, "interval") == [[40, 60]]
    assert lines(second, "mean") == [[8.0]] and not lines(second, "interval")
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["a", "b"]
    assert [[text.get_text() for text in axes.texts] for axes in (first, second)] == [
        ["n = 3", "n = 1"],
        ["n = 0", "n = 1"],
    ]


@pytest.mark.parametrize("count", [1, 4])
def test_every_factor_has_a_panel(count):
    level = {"level": "$a", "n": 2, "mean": 0.5, "interval": (0.4, 0.6)}
    figure = draw_effects({f"factor{index}": [level] for index in range(count)}, PLAIN)
    assert sum(axes.get_visible() for axes in figure.axes) == count
    assert png_bytes(figure)


def test_every_claims_interval_as_it_narrowed(cell_of, read):
    """The margin, and the interval after every pair but the first; a claim of ratios on a logarithmic axis."""
    values = {"seconds": [(60.0, 66.0, 69.0), (30.0, 32.0, 33.0)]}
    cells = [
        cell_of({FACTOR: name}, accuracies, seconds=seconds)
        for name, accuracies, seconds in zip(
            LEVELS, ((0.91, 0.93, 0.926), (0.9, 0.91, 0.93)), values["seconds"], strict=False
        )
    ]
    claims = (dataclasses.replace(CLAIM, margin=0.01), dataclasses.replace(CLAIM, metric="seconds"))
    study = Study(default_config(), {FACTOR: LEVELS[:2]}, (0, 1, 2), claims=claims)
    found = findings(study, cells)
    points, ratio = draw_narrowing(found["claims"], found["metrics"]).axes[:2]
    assert [line.get_ydata()[0] for line in points.lines if line.get_gid() == "margin"] == [-1.0, 1.0]
    (estimates,) = [line for line in points.lines if line.get_gid() == "estimate"]
    np.testing.assert_allclose(estimates.get_ydata(), [1.0, 1.5, 0.8667], atol=1e-4)
    (band,) = [part for part in points.collections if part.get_gid() == "interval"]
    edges = band.get_paths()[0].vertices
    assert set(edges[:, 0]) == {2, 3}
    ends = edges[edges[:, 0] == 3][:, 1]
    assert (min(ends), max(ends)) == pytest.approx(100 * np.array(found["claims"][0]["interval"]))
    assert points.get_ylabel() == "difference (points)" and ratio.get_ylabel() == "ratio"
    assert ratio.get_yscale() == "log" and not [line for line in ratio.lines if line.get_gid() == "margin"]
    text = read(report(cells, claims=claims)).text
    assert "after every pair of runs" in text and "two one-sided tests" in text


def test_a_report_of_added_seeds_says_that_its_verdicts_hold_at_any_stop(cell_of, read):
    cells = [cell_of({FACTOR: name}, (0.9, 0.92, 0.91)) for name in LEVELS]
    text = read(report(cells, claims=(CLAIM,), until={cell.name: 3 for cell in cells})).text
    assert "anytime-valid t test" in text and "paired t test over the seeds" not in text
