"""A study's summary and table of levels with odd names."""

import io

import rich.console

from jaxcnn.sweeps import Claim, Study
from jaxcnn.sweeps.results import results_table
from jaxcnn.sweeps.summary import summary
from jaxcnn.sweeps.verdicts import findings

ODD = ("a|b", "[red]bad[/red]", "<b>*x*", "c\\d", "`e`", "plain_one")


def test_a_level_is_shown_as_it_is_whatever_it_holds(cell_of, tiny_config):
    cells = [cell_of({"augment.recipe": level}, (0.5, 0.6)) for level in ODD]
    claims = (Claim("One beats another.", {"augment.recipe": ODD[0]}, {"augment.recipe": ODD[1]}),)
    paper = {"recipe=a|b": (8.75, "error | %")}
    study = Study(tiny_config(), {"augment.recipe": ODD}, (0, 1), claims=claims, paper=paper)
    found = findings(study, cells)
    text = summary([], found, {}, title="odd")
    rows = [line for line in text.splitlines() if line.startswith("| recipe=")]
    assert [row.split(" | ")[0] for row in rows] == [
        r"| recipe=a\|b", r"| recipe=\[red]bad\[/red]", r"| recipe=\<b>\*x\*", r"| recipe=c\\d", r"| recipe=\`e\`",
        "| recipe=plain_one",
    ]  # fmt: skip
    assert all(row.replace(r"\\", "").replace(r"\|", "").count("|") == 7 for row in rows)
    assert r"8.75 (error \| %)" in rows[0]
    assert r"**Not decided** at n = 2: a\|b minus \[red]bad\[/red] is" in text

    console = rich.console.Console(file=io.StringIO(), width=200)
    console.print(results_table(study, found))
    assert all(f"recipe={level}" in console.file.getvalue() for level in ODD)


def test_the_command_can_be_pasted_whether_it_was_kept_quoted_or_not():
    start = {
        "git_commit": "0" * 40,
        "devices": ["cpu"],
        "cpu": "c",
        "python": "3",
        "versions": {},
        "time": "2026-11-27T",
    }
    kept = (
        "jaxcnn sweep /home/me/experiments/a.py --workdir '/my runs' --run x-seed=0-1",
        "/home/me/jaxcnn/__main__.py sweep it's.py",
        "/home/me/experiments/b.py --workdir runs",
    )
    text = summary(
        [{**start, "command": command} for command in kept],
        {"claims": [], "cells": [], "metrics": {}, "fixed": True},
        {},
        title="",
    )
    assert "- command: `python -m jaxcnn sweep experiments/a.py --workdir '/my runs'` (1 runs)" in text
    assert "- command: `python -m jaxcnn sweep 'it'\"'\"'s.py'` (1 runs)" in text
    assert "- command: `python experiments/b.py --workdir runs` (1 runs)" in text
    assert "- commit: 000000000 (3 runs)" in text
