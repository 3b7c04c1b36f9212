import math
import re
import statistics

import pytest

from jaxcnn.visualize.report import Cell, StudyReport, spread, study_report


def study(cells, **changes):
    values = {"title": "depth", "docstring": "Claim: <deeper> is better.", "command": "python -m jaxcnn sweep --seed=1"}
    return StudyReport(**{**values, "cells": cells, "environment": {"jax": "0"}, **changes})


@pytest.fixture(scope="module")
def cells(rows_of):
    return [
        Cell(
            "a <b>",
            [0, 1, 2],
            [0.91, 0.93, 0.926],
            [0.94, 0.95, 0.955],
            [60.0, 66.0, 69.0],
            [],
            [rows_of(seed=s) for s in range(3)],
        ),
        Cell("single", [0], [0.5], [0.6], [30.0], ["seed 1: <oom>"], [rows_of(seed=5)]),
        Cell("none", [], [], [], [], [], []),
    ]


@pytest.fixture(scope="module")
def source(cells):
    return study_report(study(cells))


def test_table_has_n_mean_and_spread_of_every_cell(source, read):
    tables = [table for table in read(source).tables if table[0][:2] == ["cell", "n"]]
    for table, values in zip(tables, ([91, 93, 92.6], [94, 95, 95.5]), strict=True):
        low, high = f"{min(values):.2f}", f"{max(values):.2f}"
        mean, deviation = f"{statistics.fmean(values):.2f} %", f"{statistics.stdev(values):.2f}"
        assert table[1] == ["a <b>", "3", mean, deviation, f"{low} to {high}", "1 min 05 s", "0"]
    assert tables[0][2] == ["single", "1", "50.00 %", "n/a", "n/a", "30.0 s", "1"]
    assert tables[0][3] == ["none", "0", "n/a", "n/a", "n/a", "n/a", "0"]


def test_every_run_failures_command_and_claim_are_shown(source, read):
    page = read(source)
    rows = [row for table in page.tables for row in table]
    assert ["a <b>", "1", "93.00 %", "95.00 %", "1 min 06 s"] in rows
    assert ["single", "seed 1: <oom>"] in rows
    assert "python -m jaxcnn sweep --seed=1" in page.text and "Claim: <deeper> is better." in page.text
    assert len(page.images()) == 2


def test_no_cell_is_set_apart(source):
    assert not re.search(r"<(b|strong|mark)\b|class=\"best", source)


def test_page_fetches_nothing(source, read):
    links = [value for _, name, value in read(source).attributes if name in ("src", "href")]
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in links)
    assert not re.search(r"@import|url\(|https?:", re.sub(r"base64,[^\"]*", "", source))


def test_spread_counts_only_finite_values():
    assert spread([0.5, math.nan, None]) == ("1", "50.00 %", "n/a", "n/a")
    assert spread([0.5, 0.5]) == ("2", "50.00 %", "0.00", "50.00 to 50.00")
    assert spread([]) == ("0", "n/a", "n/a", "n/a")


@pytest.mark.parametrize("cells", [[], [Cell("a", [0, 1], [], [0.5, math.nan], [], [], [[], []])]])
def test_empty_and_untested_studies_give_a_page(cells, read):
    page = read(study_report(study(cells, docstring="", command="")))
    assert "depth" in page.text and "How to repeat" not in page.text
