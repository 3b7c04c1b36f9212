"""The line below a picture of a run."""

import json

import pytest
from PIL import Image

from jaxcnn.errors import InputError
from jaxcnn.visualize.caption import caption_of, caption_of_runs, names_of, write_caption
from jaxcnn.visualize.figure import new_figure, png_bytes


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
    assert caption_of(tiny_run, checkpoint="10", drawn="a.png") == f"{name} 10; drawn: a.png"
    with pytest.raises(InputError, match="step 11"):
        caption_of(tiny_run, checkpoint="11")


def test_it_stands_below_the_figure():
    figure = new_figure(2, 1)
    write_caption(figure, "runs/a: $x$ on digits")
    (text,) = figure.texts
    assert text.get_text() == r"runs/a: \$x\$ on digits" and text.get_position()[1] < 0


def test_it_is_no_wider_than_the_figure():
    figure = new_figure(5, 1)
    write_caption(figure, "runs/a: faster_rcnn on scenes, step 450; validation: AP at 0.5 89.18 %, n = 200; it\nb")
    text, places = figure.texts[0], []
    figure.canvas.mpl_connect("draw_event", lambda event: places.append(text.get_window_extent(event.renderer)))
    png_bytes(figure)
    assert len(text.get_text().splitlines()) == 3 and text.get_text().endswith("\nb")
    assert places[0].width < figure.bbox.width


def test_no_legend_lies_on_it():
    figure = new_figure(4, 2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="line")
    axes.set_xlabel("epoch")
    legend = figure.legend(loc="outside lower center")
    write_caption(figure, "runs/a: convnet on digits, step 300; validation: accuracy 97.50 %, n = 360")
    places = {}

    def note(event):
        boxes = {"legend": legend, "caption": figure.texts[-1], "label": axes.xaxis.label}
        places.update({name: drawn.get_window_extent(event.renderer) for name, drawn in boxes.items()})

    figure.canvas.mpl_connect("draw_event", note)
    png_bytes(figure)
    assert not places["legend"].overlaps(places["caption"]) and not places["legend"].overlaps(places["label"])


def test_runs_have_a_line_each(tiny_run):
    line = caption_of(tiny_run, split="validation")
    assert caption_of_runs([tiny_run, tiny_run]) == f"{line}\n{line}"
    assert caption_of_runs([tiny_run / "checkpoints"]) == ""


def test_files_are_named_or_counted(tmp_path):
    for number in range(4):
        Image.new("L", (2, 2)).save(tmp_path / f"{number}.png")
    assert names_of([tmp_path / "0.png", tmp_path / "2.png"]) == "0.png, 2.png"
    assert names_of([tmp_path]) == "0.png ... 3.png, n = 4"
