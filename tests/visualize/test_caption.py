"""The line below a picture of a run."""

import json

import pytest

from jaxcnn.errors import InputError
from jaxcnn.visualize.caption import caption_of, write_caption
from jaxcnn.visualize.figure import new_figure


def test_it_names_run_checkpoint_and_what_was_measured(tiny_run):
    test = json.loads((tiny_run / "evaluations.jsonl").read_text().splitlines()[0])
    name = f"{tiny_run}: convnet on digits, step"
    words = f"{name} {test['step']}; test: accuracy {100 * test['top1']:.2f} %, n = {test['n']}"
    assert caption_of(tiny_run, split="test") == words
    held_out = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    (row,) = (r for r in held_out if r.get("split") == "validation" and r["step"] == 10)
    words = f"{name} 10; validation: accuracy {100 * row['top1']:.2f} %, n = {row['n']}"
    assert caption_of(tiny_run, checkpoint="10", split="validation") == words
    assert caption_of(tiny_run, checkpoint="10", split="train") == f"{name} 10; train"
    assert caption_of(tiny_run, checkpoint="10") == f"{name} 10"
    with pytest.raises(InputError, match="step 11"):
        caption_of(tiny_run, checkpoint="11")


def test_it_stands_below_the_figure():
    figure = new_figure(2, 1)
    write_caption(figure, "runs/a: $x$ on digits")
    (text,) = figure.texts
    assert text.get_text() == r"runs/a: \$x\$ on digits" and text.get_position()[1] < 0
