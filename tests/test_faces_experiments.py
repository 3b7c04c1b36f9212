"""The experiments with faces: who is learned from and who is asked, images that are moved, a tiny run of each kind."""

import functools
import importlib
import json
import pathlib

import numpy as np
import pytest

import jaxcnn
from jaxcnn import InputError, data
from jaxcnn.sweeps import load_study
from jaxcnn.training.setup import set_up

EXPERIMENTS = pathlib.Path(__file__).parents[1] / "experiments"


@pytest.fixture
def module(monkeypatch):
    """module(name) is an experiment, imported as its runs do."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    return importlib.import_module


@pytest.fixture
def part(module):
    """part("strangers", "known 0") is (images, names of the people) of a part of the digits."""
    module("_people")

    def load(kind, split):
        records = data.load(f"_people:{kind}", split, data_dir="digits")
        return records.read(range(len(records)))["image"], np.array(records.classes)[records.labels()]

    return load


def pixels(images):
    return {image.tobytes() for image in images}


def test_strangers_are_never_learned_from(part):
    (known, people), (held, same), (others, strangers) = (
        part("strangers", f"{k} 0") for k in ("known", "held", "strangers")
    )
    assert set(people) == set(same) and set(people) | set(strangers) == set("0123456789")
    assert not set(people) & set(strangers) and len(set(people)) == 5
    assert (len(known), len(held), len(others)) == (90, 10, 100)
    assert not pixels(known) & pixels(held)
    assert set(part("strangers", "known 1")[1]) != set(people)


def test_five_images_of_each_are_learned_from_and_the_others_asked(part):
    (learned, people), (asked, others) = (part("images", f"{part_} aligned 0") for part_ in ("learned", "asked"))
    assert np.unique(people, return_counts=True)[1].tolist() == [5] * 10
    assert np.unique(others, return_counts=True)[1].tolist() == [15] * 10
    assert not pixels(learned) & pixels(asked)
    assert pixels(part("images", "learned aligned 1")[0]) != pixels(learned)


def test_shifted_images_are_the_same_ones_moved_by_their_own_numbers(part):
    aligned, people = part("images", "learned aligned 0")
    shifted, same = part("images", "learned shifted 0")
    np.testing.assert_array_equal(people, same)
    padded = np.pad(aligned, ((0, 0), (6, 6), (6, 6), (0, 0)), mode="edge")
    places = np.array(
        [
            next(
                (top, left)
                for top in range(13)
                for left in range(13)
                if (x[top : top + 48, left : left + 48] == y).all()
            )
            for x, y in zip(padded, shifted, strict=True)
        ]
    )
    assert np.ptp(places, axis=0).min() >= 10 and len({*map(tuple, places)}) > 30
    np.testing.assert_array_equal(part("images", "learned shifted 0")[0], shifted)
    assert (part("images", "learned shifted 1")[0] != shifted).any()


def test_the_study_of_registered_faces_compares_weights_of_their_own_with_shared_ones(module):
    study = load_study(EXPERIMENTS / "registered.py")[0]
    assert len(study.runs()) == 32
    for higher, lower in (((True, "aligned"), (False, "aligned")), ((False, "shifted"), (True, "shifted"))):
        assert (
            {"model.options.local": higher[0], "faces": higher[1]},
            {"model.options.local": lower[0], "faces": lower[1]},
        ) in [(claim.higher, claim.lower) for claim in study.claims]
    run = next(run for run in study.runs() if run.levels == {"model.options.local": False, "faces": "shifted"})
    setup = set_up(run.config)
    assert setup.train.shape == (48, 48, 1) and len(setup.train) == 50 and setup.config.data.test == "asked shifted 0"


@pytest.fixture
def verification(module, monkeypatch, one_device):
    """The experiment with a network that is quickly compiled, on one device."""
    found = module("verification")
    monkeypatch.setattr(jaxcnn, "train", functools.partial(jaxcnn.train, devices=one_device))
    for name, value in {"NETWORK": "convnet", "VECTOR": 6, "PAIRS": 20}.items():
        monkeypatch.setattr(found, name, value)
    monkeypatch.setattr(found, "OPTIONS", {"widths": (2,), "convolutions": 1, "hidden": ()})
    return found


@pytest.mark.long
def test_triplets_begin_with_the_network_that_softmax_has_learned(verification, tmp_path):
    found = verification.verified("both", tmp_path, "digits", 0, 4)
    assert (found.same, found.different) == (40, 40) and len(found.by_folds.accuracies) == 2
    first, both = (json.loads((tmp_path / f"{run}-seed=0" / "config.json").read_text()) for run in ("first", "both"))
    assert both["finetune"]["source"] == str(tmp_path / "first-seed=0")
    assert (first["task"]["name"], both["task"]["name"]) == ("classification", "embedding")
    assert first["duration"] == both["duration"] == "2 steps"
    assert both["sampler"]["options"] == {"identities": 5, "images": 8}
    for method in verification.OTHERS:
        assert verification.verified(method, tmp_path, "digits", 0, 4).area > 0.6


@pytest.mark.long
def test_the_record_of_verification(verification, tmp_path):
    verification.main([f"--workdir={tmp_path}", "--seeds=2", "--steps=2"])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {"accuracy, both", "area, softmax", "error, eigenfaces"} <= summary["means"].keys()
    assert summary["comparisons"]["accuracy, both - softmax"]["n"] == 2
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 11 and (tmp_path / "results.png").is_file()


def test_a_folder_that_is_not_there_is_named(verification, tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        verification.main([f"--workdir={tmp_path}", "--data=folder:nowhere"])
