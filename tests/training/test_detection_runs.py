"""A detector trains on boxes of one's own as any task does: resumed, on eight devices, on exactly the images there."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.data.detection.scenes import scenes
from jaxcnn.errors import InputError
from jaxcnn.evaluation.detected import detected_examples
from jaxcnn.training.setup import set_up
from jaxcnn.training.train import Preempted
from jaxcnn.transfer import rcnn
from jaxcnn.visualize.collect import write_report

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
OPTIONS = {"anchors": 16, "border": 16.0, "best_of": (40, 30), "proposals": (12, 10), "least_side": 2.0}
OPTIONS |= {"regions": 8, "detections": 5, "zoom": (0.8, 1.2), "jitter": 0.2, "measured": ("3", "7")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scenes of 32x32 in VOC's layout, 32 and 24 of them; one of test cannot be read."""
    root = tmp_path_factory.mktemp("voc")
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    source = scenes(size=32, counts={"train": 32, "test": 24})
    for split in source.split_names:
        rows = source.fetch(split, range(sum(source.shard_lengths(split))))
        names = [f"{split}{number:03d}" for number in range(len(rows))]
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names))
        for name, (image, values) in zip(names, rows, strict=True):
            Image.fromarray(image).save(root / "JPEGImages" / f"{name}.png")
            there = values["box_mask"]
            objects = [
                OBJECT.format(source.classes[label], int(x1) + 1, int(y1) + 1, int(x2), int(y2))
                for (x1, y1, x2, y2), label in zip(values["boxes"][there], values["box_label"][there], strict=True)
            ]
            size = "<size><width>32</width><height>32</height></size>"
            (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{''.join(objects)}</annotation>")
    (root / "JPEGImages" / "test005.png").write_bytes(b"damaged")
    return root


@pytest.fixture
def config(tiny_config, folder):
    """make({"task.options": ...}) is the config of 6 steps of a detector of 2,000 parameters or so."""

    def make(changes=None):
        config = tiny_config()
        with config.unlocked():
            config.data.name, config.data.image_size, config.data.fit = f"voc:{folder}", (32, 32), "inside"
            config.data.train, config.data.validation, config.data.on_error = "train[:24]", "train[24:]", "skip"
            config.task.name, config.task.options = "detection", OPTIONS
            config.model.name, config.model.dropout = "faster_rcnn", 0.1
            config.model.options = {
                "backbone": "convnet",
                "backbone_options": {"widths": (4, 6), "convolutions": 1, "hidden": ()},
                **{"stage": "pool2", "scales": (6, 10), "ratios": (1.5,), "rpn_width": 4, "hidden": (8,), "size": 3},
            }
            config.batch_size, config.duration, config.log_every = 8, "6 steps", 2
            config.evaluation.every = config.checkpoint.every = "3 steps"
            config.optimizer.learning_rate = 0.01
        config.update_from_flattened_dict(changes or {})
        return config

    return make


def test_a_config_of_a_detector_fits_together(config):
    """Traced, not compiled: every function of the task on the network and the data of the config."""
    setup = set_up(config(), devices=jax.devices()[:1])
    assert setup.kind.main == "ap50" and len(setup.classes) == 10
    assert setup.steps_per_epoch == 3


def test_an_option_that_does_not_fit_is_named_with_its_place(config):
    with pytest.raises(InputError, match=r"config.task.options: regions is 0; it is a whole number from 4"):
        set_up(config({"task.options.regions": 0}), devices=jax.devices()[:1])


BACKBONE = {"backbone": "convnet", "backbone_options": {"widths": (4, 6), "convolutions": 1, "hidden": ()}}
BACKBONE |= {"stage": "pool2", "hidden": (8,)}
GIVEN = {
    "fast_rcnn": {**BACKBONE, "size": 3},
    "rcnn": {
        **BACKBONE,
        "backbone_options": {**BACKBONE["backbone_options"], "batch_norm": True},
        "size": 12,
        "context": 1,
    },
}


@pytest.fixture
def with_proposals(config, tmp_path, monkeypatch):
    """make("fast_rcnn") is the config of a detector that is given its regions."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(name):
        made = config()
        with made.unlocked():
            made.model.name, made.model.options = name, GIVEN[name]
            made.data.proposals = {"count": 12, "scales": (20,), "colours": ("rgb",), "measures": ("ctsf",)}
        return made

    return make


@pytest.mark.parametrize("name", GIVEN)
def test_a_config_of_given_regions_fits_together(with_proposals, name):
    setup = set_up(with_proposals(name), devices=jax.devices()[:1])
    assert setup.fields["proposals"] == ((12, 4), np.float32)
    lacking = with_proposals(name)
    lacking.data.proposals = {}
    with pytest.raises(InputError, match=r"set config.data.proposals, as \{'count': 2000\}"):
        set_up(lacking, devices=jax.devices()[:1])


@pytest.mark.long
@pytest.mark.parametrize("name", GIVEN)
def test_a_detector_of_given_regions_trains_and_is_fitted_with_svms(with_proposals, folder, tmp_path, capsys, name):
    result = jaxcnn.train(with_proposals(name), tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    assert 0 < result.test["proposal_recall"] <= 1 and 0 <= result.test["ap50"] <= 1
    assert "Found objects" in write_report(tmp_path / "run").read_text()
    capsys.readouterr()
    assert main(["evaluate", "--workdir", str(tmp_path / "run"), "--split", "test"]) == 0
    said = capsys.readouterr().out
    assert "AP at IoU 0.5" in said and "accuracy" not in said
    trained = jaxcnn.Trained(tmp_path / "run")
    _check_that_files_give_what_the_split_does(trained, folder)
    with pytest.raises(InputError, match="cannot be exported: it takes proposals, proposal_mask, view beside images"):
        trained.export(tmp_path / "program")
    fitted = rcnn.fit(trained, trained.open("train").records)
    values = rcnn.evaluate(trained, fitted, trained.open("test").records)
    assert values["proposal_recall"] == pytest.approx(result.test["proposal_recall"]) and 0 <= values["ap50"] <= 1


def _check_that_files_give_what_the_split_does(trained, folder):
    """The proposals of a file that is predicted are found then, those of a record were kept: they are the same."""
    found = detected_examples(trained, "test", count=3, shown=1, mistakes=0).found
    rows = trained.predict([folder / "JPEGImages" / f"test{number:03d}.png" for number in range(3)])
    for row, there, scores, boxes in zip(rows, found.there, found.scores, found.boxes, strict=True):
        assert there.any()
        np.testing.assert_allclose([one["score"] for one in row["objects"]], scores[there], rtol=1e-5)
        np.testing.assert_allclose([one["box"] for one in row["objects"]], boxes[there], atol=0.006)  # hundredths


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.name": "convnet", "model.options": {}}, "convnet is no detector of 10 classes: rcnn, fast_rcnn and"),
        ({"data.name": "digits"}, "lacks boxes"),
        ({"task.options": {"regoins": 3}}, "unknown option 'regoins'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_compiled(config, changes, said):
    made = config()
    with made.unlocked():
        for key, value in changes.items():
            section, name = key.split(".")
            made[section][name] = value
        if "data.name" in changes:
            made.data.train = made.data.validation = ""
    with pytest.raises(InputError, match=said):
        set_up(made, devices=jax.devices()[:1])


@pytest.mark.long
def test_killed_and_resumed_a_detector_ends_with_the_same_bits(config, tmp_path, terminate_at, rows, assert_same_bits):
    changes = {"optimizer.ema": 0.9}
    whole = jaxcnn.train(config(changes), tmp_path / "whole", quiet=True, devices=jax.devices()[:1])
    terminate_at(2 * 8)
    with pytest.raises(Preempted):
        jaxcnn.train(config(changes), tmp_path / "broken", quiet=True, devices=jax.devices()[:1])
    resumed = jaxcnn.train(config(changes), tmp_path / "broken", quiet=True, devices=jax.devices()[:1])
    assert_same_bits(whole.state, resumed.state)
    assert rows(whole.workdir) == rows(resumed.workdir) and whole.test == resumed.test
    logged = [json.loads(line) for line in (tmp_path / "whole" / "evaluations.jsonl").read_text().splitlines()]
    (test,) = [row for row in logged if row["split"] == "test"]
    assert test["n"] == 23 and set(test["per_class"]) == set("0123456789")


@pytest.mark.long
def test_eight_devices_train_a_detector_as_one_does(config, tmp_path):
    one, eight = (
        jaxcnn.train(config(), tmp_path / str(count), quiet=True, devices=jax.devices()[:count]) for count in (1, 8)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one.state.params, eight.state.params
    )
    measured = [name for name, value in one.test.items() if isinstance(value, float)]
    assert {"ap50", "ap50_2007", "proposal_recall"} <= set(measured)
    assert [one.test[name] for name in measured] == pytest.approx([eight.test[name] for name in measured], abs=1e-3)
