"""Every image exactly as often, in the same order, however it reaches the devices."""

import json

import jax
import numpy as np
import pytest

from jaxcnn import InputError, data, train
from jaxcnn.population import train_population
from jaxcnn.sweeps.values import set_value
from jaxcnn.training.config import differences, from_json, load_config, to_json
from jaxcnn.training.feed import Feed
from jaxcnn.training.parallel import Replicas
from jaxcnn.training.setup import set_up


@pytest.fixture(scope="module")
def records():
    return data.load("digits", "train[:24]", image_size=(8, 8))


@pytest.fixture
def make_feed(records):
    """make(resident, method, devices) is a Feed of the 24 records."""

    def make(resident, method="pmap", devices=8, **options):
        return Feed(records, Replicas(method, jax.devices()[:devices]), seed=3, resident=resident, **options)

    return make


def taken(feed, *, start, chunks, batch_size=16):
    """The record numbers of steps from `start` on, (steps, batch), in the order of the global batch."""
    inputs = feed.training(start=start, batch_size=batch_size)
    rows = []
    for steps in chunks:
        found = inputs.take(steps)
        ids = np.asarray(found["record" if feed.resident else "index"])
        np.testing.assert_array_equal(np.asarray(found["mask"]), np.ones_like(ids))
        # pmap has (devices, steps, part), shard_map (steps, batch)
        rows.append(np.concatenate(list(ids), axis=1) if ids.ndim == 3 else ids)
    inputs.close()
    return np.concatenate(rows)


@pytest.mark.parametrize("method", ["pmap", "shard_map"])
@pytest.mark.parametrize(("resident", "workers"), [("yes", 0), ("no", 0), ("no", 1)])
def test_every_record_comes_once_an_epoch_across_a_break(resident, workers, method, make_feed):
    feed = make_feed(resident, method, workers=workers)
    before = taken(feed, start=0, chunks=(2, 1, 2))  # 80 records: breaks off in the fourth epoch
    after = taken(make_feed(resident, method, workers=workers), start=5, chunks=(1, 3))
    stream = np.concatenate([before, after]).ravel()
    assert len(stream) == 6 * 24
    for epoch in np.split(stream, 6):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(24))
    np.testing.assert_array_equal(stream, data.Order(24, seed=3).records(0, 6 * 24))
    assert (stream[:24] != stream[24:48]).any()


def test_streamed_and_resident_records_are_the_same_images(make_feed):
    resident, streamed = make_feed("yes"), make_feed("no")
    one = resident.training(start=1, batch_size=16).take(2)
    inputs = streamed.training(start=1, batch_size=16)
    other = inputs.take(2)
    inputs.close()
    for name in ("image", "label", "mask", "index"):
        np.testing.assert_array_equal(np.asarray(resident.data[name])[np.asarray(one["record"])], other[name])
    assert streamed.data == {}


@pytest.mark.parametrize("method", ["pmap", "shard_map"])
@pytest.mark.parametrize("resident", ["yes", "no"])
def test_evaluation_sees_every_record_once_and_masks_the_rest(resident, method, make_feed):
    feed = make_feed(resident, method)
    batches = list(feed.evaluation(batch_size=16))
    name = "record" if feed.resident else "index"
    ids = np.concatenate([np.asarray(batch[name]).ravel() for batch in batches])
    mask = np.concatenate([np.asarray(batch["mask"]).ravel() for batch in batches])
    assert mask.shape == (32,)
    np.testing.assert_array_equal(np.sort(ids[mask == 1]), np.arange(24))


def test_a_set_is_resident_by_its_size(make_feed, monkeypatch):
    assert make_feed("auto").resident
    monkeypatch.setattr("jaxcnn.training.feed.RESIDENT_BYTES", 24 * 64 - 1)
    assert not make_feed("auto").resident


def test_random_crops_are_those_of_the_stream(records, make_feed):
    crop = data.ResizedCrop()
    feed = make_feed("auto", "shard_map", crop=crop)
    assert not feed.resident
    inputs = feed.training(start=1, batch_size=16)
    found = inputs.take(1)
    inputs.close()
    with data.stream(records, data.Order(24, seed=3), batch_size=16, start=16, stop=32, crop=crop) as batches:
        (expected,) = batches
    np.testing.assert_array_equal(np.asarray(found["image"])[0], expected["image"])
    whole = [np.asarray(batch["image"]) for batch in feed.evaluation(batch_size=16)]
    np.testing.assert_array_equal(np.concatenate(whole, axis=1)[0, :24], data.read_all(records)["image"])
    with pytest.raises(ValueError, match="resident is 'no' or 'auto'"):
        make_feed("yes", crop=crop)


def test_every_field_reaches_the_devices_and_counts_for_their_memory(monkeypatch):
    random = np.random.default_rng(0)
    images, masks = random.integers(0, 256, (2, 24, 8, 8, 1), np.uint8)
    values = {"target": masks, "boxes": random.random((24, 3, 4)), "there": np.arange(72).reshape(24, 3) % 2 == 0}
    fields = {"target": "image", "boxes": ((3, 4), np.float32), "there": ((3,), bool), **data.GEOMETRY}
    records = data.Records(data.Arrays("mine", {"train": (images, values)}, fields=fields), "train")
    replicas = Replicas("shard_map")
    resident, streamed = (Feed(records, replicas, seed=3, resident=resident) for resident in ("auto", "no"))
    inputs = streamed.training(start=1, batch_size=16)
    found = inputs.take(2)
    inputs.close()
    record = np.asarray(resident.training(start=1, batch_size=16).take(2)["record"])
    assert found.keys() == {"image", "mask", "index", *fields}
    for name in found:
        np.testing.assert_array_equal(np.asarray(resident.data[name])[record], found[name], strict=True)
    np.testing.assert_array_equal(found["target"], masks[record])
    last = list(streamed.evaluation(batch_size=16))[-1]
    assert not np.asarray(last["boxes"])[0, 8:].any() and np.asarray(last["boxes"])[0, :8].all()
    example = 64 + 64 + 48 + 3 + 16 + 8  # bytes
    for size, fits in ((24 * example, True), (24 * example - 1, False)):
        monkeypatch.setattr("jaxcnn.training.feed.RESIDENT_BYTES", size)
        assert Feed(records, replicas, seed=3).resident == fits


IDENTITIES = {"sampler.name": "identities", "sampler.options": {"identities": 8, "images": 4}}


@pytest.fixture
def sampled_config(tiny_config):
    """make(changes) is a config of 6 steps whose batches are 8 classes of 4 images, of 80 images."""

    def make(changes=None):
        few = {"data.train": "train[:80]", "data.validation": "train[80:120]", "data.test": "test[:40]"}
        config = tiny_config({**few, "duration": "6 steps", "log_every": 1, "evaluation.every": "6 steps"})
        with config.unlocked():
            config.update_from_flattened_dict({**IDENTITIES, **(changes or {})})
        return config

    return make


def test_a_run_takes_its_images_by_its_sampler(sampled_config):
    setups = [set_up(sampled_config({"data.resident": resident})) for resident in ("yes", "no")]
    resident, streamed = (taken(setup.feed("train"), start=3, chunks=(2, 1), batch_size=32) for setup in setups)
    np.testing.assert_array_equal(resident, streamed)
    classes = setups[0].train.labels()[resident].reshape(3, 8, 4)
    assert (classes == classes[:, :, :1]).all()
    assert all(len(set(batch)) == 8 for batch in classes[:, :, 0])
    assert setups[0].steps_per_epoch == 80 / 32
    held_out = [np.asarray(batch["record"]) for batch in setups[0].feed("validation").evaluation(batch_size=40)]
    np.testing.assert_array_equal(np.sort(np.ravel(held_out)), np.arange(40))


def test_a_sampler_and_its_options_come_from_a_file_flags_and_a_study(sampled_config, tiny_config, tiny_config_file):
    flags = ["--config.sampler.name=identities", "--config.sampler.options={'identities': 8, 'images': 4}"]
    given = load_config([f"--config={tiny_config_file('6 steps')}", *flags]).sampler
    wanted = sampled_config().sampler
    assert given.to_dict() == wanted.to_dict() == from_json(to_json(sampled_config())).sampler.to_dict()
    without = json.loads(to_json(tiny_config()))
    del without["sampler"]  # as runs of before have it
    assert differences(from_json(json.dumps(without)), tiny_config()) == []
    set_value(config := tiny_config(), "sampler.options.images", 4, where="factor")
    assert config.sampler.options.to_dict() == {"images": 4}


def test_what_a_sampler_cannot_do_is_said_before_anything_is_compiled(sampled_config):
    for changes, reason in {
        "sampler.name": ("identity", r"config.sampler.name: unknown sampler 'identity'; did you mean 'identities'\?"),
        "batch_size": (48, "8 identities of 4 images are 32, but config.batch_size is 48"),
        "sampler.options": ({"classes": 8}, "identities has no option 'classes'"),
    }.items():
        with pytest.raises(InputError, match=reason[1]):
            set_up(sampled_config({changes: reason[0]}))


@pytest.mark.long
def test_a_member_of_a_population_has_the_sampler_of_the_run_alone(sampled_config, one_device, tmp_path):
    config = sampled_config({"seed": 1, "data.test": ""})
    alone = train(config, tmp_path / "alone", quiet=True, devices=one_device)
    (member,) = train_population([config], [tmp_path / "0"], tmp_path / "all", quiet=True, devices=one_device)
    np.testing.assert_allclose(member.validation["loss"], alone.validation["loss"], rtol=1e-5)


def test_a_batch_that_does_not_divide_names_one_that_does(make_feed):
    with pytest.raises(ValueError, match=r"batch_size is 12, which does not divide over 8 devices; 16 would\."):
        make_feed("yes").training(start=0, batch_size=12)


def test_no_device_is_no_place_to_train(tiny_config):
    with pytest.raises(InputError, match="devices is empty; None takes all that there are"):
        set_up(tiny_config(), devices=[])
