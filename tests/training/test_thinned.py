"""Runs on a thinned class and on added images: config.data.keep and config.data.add."""

import json

import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn import InputError
from jaxcnn.population import train_population
from jaxcnn.sweeps import Study
from jaxcnn.training.config import from_json, load_config, to_json
from jaxcnn.training.setup import set_up

THINNED = {"data.keep": {"3": 4}, "sampler.name": "balanced", "optimizer.ema": 0.9}


@pytest.fixture
def generated(tmp_path):
    """A folder of 6 plain 10x10 images of class 3."""
    (tmp_path / "generated" / "3").mkdir(parents=True)
    for number in range(6):
        Image.new("L", (10, 10), 10 * number).save(tmp_path / "generated" / "3" / f"{number}.png")
    return tmp_path / "generated"


@pytest.fixture
def thinned(tiny_config, generated):
    """make(changes) is the config of a tiny run on a thinned class with images added."""
    return lambda changes=None: tiny_config(
        {"duration": "4 steps", "checkpoint.every": "3 steps", "evaluation.every": "4 steps"}
        | THINNED
        | {"data.add": f"folder:{generated}"}
        | (changes or {})
    )


def test_only_the_training_part_is_another(tiny_config, thinned, one_device):
    whole, setup = (set_up(config, devices=one_device) for config in (tiny_config(), thinned()))
    for split in ("validation", "test"):
        assert len(setup.records(split)) == len(whole.records(split))
    labels = whole.train.labels()
    assert len(setup.train) == len(labels) - np.sum(labels == 3) + 4 + 6
    assert setup.about_data["records"]["train"] == len(setup.train) - 6
    assert setup.about_data["kept"] == {"3": [4, int(np.sum(labels == 3))]}
    kept, added = setup.notes()  # which a dry run and a start print
    assert kept.startswith("train[:90%]: of 3, 4 of ") and kept.endswith("are kept (config.data.keep, keep_seed 0)")
    assert "6 images of folder:" in added and added.endswith("are added: 6 of 3")
    assert setup.about_data["added"]["records"] == 6 and list(setup.about_data["added"]["files"]) == ["3"]


def test_resumed_to_the_same_bits_and_named_in_the_record(
    thinned, tmp_path, one_device, assert_same_bits, rows, terminate_at
):
    crop = {"augment.crop": "scaled", "augment.crop_scale": (1.2, 1.2)}
    config = thinned({"sampler.name": "shuffle", **crop})
    whole = jaxcnn.train(config, tmp_path / "whole", quiet=True, devices=one_device)
    terminate_at(70)
    with pytest.raises(jaxcnn.training.train.Preempted):
        jaxcnn.train(config, tmp_path / "parts", quiet=True, devices=one_device)
    parts = jaxcnn.train(config, tmp_path / "parts", quiet=True, devices=one_device)
    assert_same_bits(whole.state, parts.state)
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")
    kept = json.loads((tmp_path / "whole" / "config.json").read_text())["data"]
    assert (kept["keep"], kept["add"]) == ({"3": 4}, config.data.add)
    about = json.loads((tmp_path / "whole" / "data.json").read_text())
    assert about["kept"]["3"][0] == 4 and about["added"]["name"] == config.data.add


def test_statistics_are_those_of_the_images_that_are_trained_on(thinned, one_device, tmp_path):
    setup = set_up(thinned(), devices=one_device)
    pixels = setup.train.read(range(len(setup.train)))["image"] / 255
    config = thinned({"duration": "1 steps", "evaluation.every": "1 steps", "checkpoint.every": "1 steps"})
    jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    trained = jaxcnn.Trained(tmp_path / "run")
    np.testing.assert_allclose(trained.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(trained.std, pixels.std(axis=(0, 1, 2)), rtol=1e-5)
    assert trained.evaluate("train")[1]["n"] == len(setup.train)


def test_a_changed_folder_is_refused_and_a_moved_one_is_not(thinned, generated, tmp_path, one_device):
    config = thinned()
    jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    generated.rename(tmp_path / "moved")
    assert jaxcnn.Trained(tmp_path / "run").evaluate("test")[1]["n"] == 360  # without what was added
    with pytest.raises(InputError, match=r"config.data.add: .*generated is not a folder"):
        jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    config.data.add = f"folder:{tmp_path}/moved"
    jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["add"] == config.data.add
    (tmp_path / "moved" / "3" / "0.png").unlink()
    with pytest.raises(InputError, match=r"changed since .* other files lie in 3; .* there were 6 of them"):
        jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)
    config.data.keep["3"] = 5
    with pytest.raises(InputError, match=r"another config. data.keep.3: 4 there, 5 here"):
        jaxcnn.train(config, tmp_path / "run", quiet=True, devices=one_device)


@pytest.mark.long
def test_members_of_a_population_share_what_is_kept(thinned, tmp_path, one_device, assert_same_bits):
    configs = [thinned({"seed": seed, "sampler.name": "shuffle"}) for seed in (0, 1)]
    places = [tmp_path / "a", tmp_path / "b"]
    found = train_population(configs, places, tmp_path / "all", quiet=True, devices=one_device)
    alone = jaxcnn.train(configs[1], tmp_path / "alone", quiet=True, devices=one_device)
    assert_same_bits(found[1].state, alone.state)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"data.add": "digits"}, "config.data.add is 'digits'; it is a folder of class folders, folder:PATH"),
        ({"data.add": "folder:/nowhere"}, "config.data.add: /nowhere is not a folder"),
        ({"data.keep": {"thre": 3}}, "config.data.keep: digits has no class 'thre'"),
        ({"data.keep_seed": -1}, "config.data.keep_seed is -1"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words, tiny_config, one_device):
    with pytest.raises(InputError, match=words):
        set_up(tiny_config(changes), devices=one_device)


def test_images_of_the_set_itself_are_not_added(tiny_config, generated, one_device):
    (generated / "4").mkdir()
    Image.new("L", (10, 10)).save(generated / "4" / "0.png")
    changes = {"data.name": f"folder:{generated}", "data.add": f"folder:{generated.parent}"}
    for one, other in (("data.name", "data.add"), ("data.add", "data.name")):
        config = tiny_config({"data.name": changes[one], "data.add": changes[other]})
        with pytest.raises(InputError, match="one lies within the other"):
            set_up(config, devices=one_device)


def test_keys_at_their_defaults_change_no_id_of_a_study(tiny_config):
    def ids(changes, factors):
        return [run.id for run in Study(tiny_config(changes), factors, seeds=(0,)).runs()]

    assert ids({}, {"batch_size": (32,)}) == ["batch_size=32-seed=0-" + DIGEST]
    shares = ids({}, {"data.keep.3": (0.05, 0.5)}) + ids({"data.keep_seed": 1}, {"data.keep.3": (0.05,)})
    assert len({name.rpartition("-")[2] for name in shares}) == 3
    levels = {"5 %": {"data.keep": {"3": 0.05}, "data.keep_seed": lambda seed: seed}, "all": {"data.keep": {}}}
    (few, whole) = Study(tiny_config(), {"kept": levels}, seeds=(7,)).runs()
    assert (few.config.data.keep.to_dict(), few.config.data.keep_seed) == ({"3": 0.05}, 7)
    assert not whole.config.data.keep


DIGEST = "3b13701ccb"  # as it was before there were such keys


def test_a_class_of_any_name_is_given_by_flags_and_kept(tiny_config, tiny_config_file):
    config = load_config([f"--config={tiny_config_file('1 steps')}", "--config.data.keep={'3': 0.05}"])
    assert config.data.keep.to_dict() == {"3": 0.05}
    config = tiny_config({"data.keep": {"001.Albatross": 0.5, "3": 2}})
    assert from_json(to_json(config)).data.keep.to_dict() == {"001.Albatross": 0.5, "3": 2}
