"""A trained network without its training: predictions and evaluations from the run directory."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from jaxcnn import InputError, Trained, train
from jaxcnn.data import load
from jaxcnn.evaluation.protocols import evaluate_protocols
from jaxcnn.tasks import CLASSIFICATION
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.evaluations import read_evaluations


@pytest.fixture(scope="module")
def network(tiny_run):
    return Trained(tiny_run)


@pytest.fixture(scope="module")
def test_images():
    records = load("digits", "test", image_size=(8, 8))
    return records.read(range(len(records)))


def test_what_a_run_leaves(network):
    assert network.classes == tuple(str(i) for i in range(10)) and network.shape == (8, 8, 1)
    assert network.parameters() == (3 * 3 * 1 * 4 + 4) + (4 * 4 * 4 * 10 + 10)
    assert network.step in (10, 20)


def test_probabilities_do_not_depend_on_the_batch(network, test_images):
    images = test_images["image"][:50]
    found = network.probabilities(images)
    assert found.shape == (50, 10) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(network.probabilities(images, batch_size=7), found, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(network.probabilities(images[7:8]), found[7:8], rtol=1e-4, atol=1e-6)
    pixels = (images.astype(np.float32) / 255 - network.mean) / network.std
    logits, _ = network.model.apply(network.variables, pixels, train=False)
    np.testing.assert_allclose(found, jax.nn.softmax(logits), rtol=1e-4, atol=1e-6)


def test_evaluation_equals_the_probabilities(tiny_run, tmp_path, test_images):
    workdir = shutil.copytree(tiny_run, tmp_path / "run")
    network, labels = Trained(workdir), test_images["label"]
    probabilities = network.probabilities(test_images["image"]).astype(np.float64)
    result, row = network.evaluate("test")  # on 8 devices, trained on one
    right = probabilities.argmax(axis=1) == labels
    assert row["n"] == result.n == 360
    assert row["loss"] == pytest.approx(-np.log(probabilities[np.arange(360), labels]).mean(), rel=1e-4)
    assert row["top1"] == pytest.approx(right.mean())
    among = (np.argsort(-probabilities, axis=1)[:, :5] == labels[:, None]).any(axis=1)
    assert row["top5"] == pytest.approx(among.mean())
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (labels, probabilities.argmax(axis=1)), 1)
    np.testing.assert_array_equal(result.details["confusion"], expected)
    assert row["per_class"]["3"] == pytest.approx(right[labels == 3].mean())
    logged = json.loads((workdir / "evaluations.jsonl").read_text().splitlines()[-1])
    assert logged.pop("confusion") == expected.tolist() and logged.pop("time")
    assert logged.pop("wrong") == np.flatnonzero(~right).tolist()
    assert logged == row


def test_a_batch_that_does_not_divide_over_the_devices_here(tiny_config, tmp_path):
    config = tiny_config({"batch_size": 10, "duration": "2 steps", "evaluation.batch_size": 9})
    config.schedule.warmup = "2 steps"  # of the whole run, which evaluation lacks
    trained = train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    _, row = Trained(tmp_path / "run").evaluate("test")
    assert row["n"] == 360
    assert row["loss"] == pytest.approx(trained.test["loss"], rel=1e-5) and row["top1"] == trained.test["top1"]


@pytest.fixture
def pictures(tmp_path, test_images):
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for i, place in enumerate(("b.png", "a.png", "deep/c.PNG")):
        Image.fromarray(test_images["image"][i, ..., 0]).save(folder / place, format="png")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_predict_files_and_folders(network, pictures, test_images):
    found = network.predict([pictures / "b.png", pictures])
    files = [pictures / "b.png", pictures / "a.png", pictures / "b.png", pictures / "deep" / "c.PNG"]
    assert [row["file"] for row in found] == [str(path) for path in files]
    expected = network.probabilities(test_images["image"][[0, 1, 0, 2]])
    for row, probabilities in zip(found, expected, strict=True):
        assert set(row) == {"file", "label", "probabilities"}
        assert tuple(row["probabilities"]) == network.classes
        np.testing.assert_allclose(list(row["probabilities"].values()), probabilities, rtol=1e-4, atol=1e-6)
        assert row["label"] == network.classes[probabilities.argmax()]
    json.dumps(found)


def test_predict_names_what_it_cannot_read(network, pictures, tmp_path):
    (pictures / "deep" / "c.PNG").write_bytes(b"no image")
    (pictures / "deep" / "d.png").symlink_to(tmp_path / "nowhere.png")
    *read, bad, gone = network.predict([pictures])
    assert [row["file"] for row in read] == [str(pictures / name) for name in ("a.png", "b.png")]
    assert all(set(row) == {"file", "label", "probabilities"} for row in read)
    assert bad["file"] == str(pictures / "deep" / "c.PNG") and "not an image" in bad["error"]
    assert gone == {
        "file": str(pictures / "deep" / "d.png"),
        "error": "the file cannot be read (No such file or directory)",
    }
    assert [set(row) for row in network.predict([pictures / "deep"])] == [{"file", "error"}] * 2
    with pytest.raises(InputError, match=r"deep/c\.PNG: not an image"):
        network.read_images([pictures])
    with pytest.raises(InputError, match=r"no file or folder .*nowhere"):
        network.predict([pictures / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no image in .*empty"):
        network.predict([tmp_path / "empty"])


def test_predict_looks_into_folders_as_people_have_them(network, pictures, caplog):
    before = network.predict([pictures])
    (pictures / "deep").rename(pictures / "album.jpg")
    for name in ("__MACOSX", ".thumbnails"):
        (pictures / name).mkdir()
        (pictures / name / "a.png").write_bytes(b"no image")
    (pictures / "._a.png").write_bytes(b"no image")
    (pictures / "Thumbs.db").write_bytes(b"no image")
    (pictures / "album.jpg" / "d.heic").write_bytes(b"")
    caplog.clear()
    found = network.predict([pictures])
    assert [row["file"].replace("album.jpg", "deep") for row in found] == [
        str(pictures / name) for name in ("a.png", "deep/c.PNG", "b.png")
    ]
    assert {row["label"] for row in found} == {row["label"] for row in before}
    assert caplog.messages == ["left out: 1 .txt, 1 .heic (not read by jaxcnn: convert them to JPEG or PNG)"]


def test_it_is_a_line_where_it_is_printed(network, tiny_run):
    words = "classification, convnet for 8x8x1, 10 classes, 690 parameters"
    assert repr(network) == f"<Trained of {tiny_run} at step {network.step}: {words}>"


def test_checkpoints_by_name_and_number(tiny_run):
    assert Trained(tiny_run, "latest").step == 20
    assert Trained(tiny_run, "10").step == 10
    with pytest.raises(InputError, match=r"step 11.*10"):
        Trained(tiny_run, "11")
    with pytest.raises(InputError, match=r"config\.json"):
        Trained(tiny_run / "checkpoints")


def test_averaged_weights_are_what_is_evaluated(tiny_config, tmp_path):
    config = tiny_config({"optimizer.ema": 0.9, "duration": "4 steps"})
    result = train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    found = Trained(tmp_path / "run", "latest").variables["params"]
    jax.tree.map(np.testing.assert_array_equal, found, result.state.ema["params"])
    assert not np.array_equal(found["output"]["kernel"], result.state.params["output"]["kernel"])


def test_the_network_outlives_its_data(tiny_config, tmp_path):
    generator = np.random.default_rng(0)
    for name in ("cat", "dog", "eel"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(generator.integers(0, 256, (10, 9, 3), np.uint8)).save(
                tmp_path / "photos" / name / f"{i}.png"
            )
    Image.fromarray(generator.integers(0, 256, (40, 30, 3), np.uint8)).save(tmp_path / "new.jpg")
    config = tiny_config({"data.name": f"folder:{tmp_path / 'photos'}", "batch_size": 8, "duration": "2 steps"})
    train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    before = Trained(tmp_path / "run").predict([tmp_path / "new.jpg"])
    shutil.rmtree(tmp_path / "photos")
    assert Trained(tmp_path / "run").predict([tmp_path / "new.jpg"]) == before
    assert set(before[0]["probabilities"]) == {"cat", "dog", "eel"}
    with pytest.raises(InputError, match="photos"):
        Trained(tmp_path / "run").evaluate("test")


def test_a_checkpoint_that_averaged_the_weights_alone_is_read(tiny_config, tmp_path):
    config = tiny_config({"optimizer.ema": 0.9, "duration": "4 steps"})
    config.model.options.batch_norm = True
    done = train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    folder, older = tmp_path / "run" / "checkpoints", tmp_path / "run" / "older"
    with Checkpoints(folder, read_only=True) as new, Checkpoints(older, rank=CLASSIFICATION.rank) as old:
        old.save(4, done.state.replace(ema=done.state.ema["params"]), memory=new.memory(4), held_out=new.held_out(4))
        old.wait()
    shutil.rmtree(folder)
    older.rename(folder)
    as_it_was = {"params": done.state.ema["params"], "batch_stats": done.state.batch_stats}
    jax.tree.map(np.testing.assert_array_equal, Trained(tmp_path / "run", "latest").variables, as_it_was)
    resumed = train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    jax.tree.map(np.testing.assert_array_equal, resumed.state.ema, as_it_was)


@pytest.fixture
def photographed(tiny_config, tmp_path):
    """(folder, workdir): 15 noisy images each of two colours, and a run of 2 steps on them."""
    generator = np.random.default_rng(0)
    for name, colour in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(15):
            image = np.uint8(np.array(colour) + generator.integers(0, 50, (9, 9, 3)))
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{i:02}.png")
    config = tiny_config({"data.name": f"folder:{tmp_path / 'photos'}", "batch_size": 8, "duration": "2 steps"})
    with config.unlocked():
        config.data.test, config.data.train, config.data.validation = "train[60%:]", "train[:40%]", "train[40%:60%]"
    train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    return tmp_path / "photos", tmp_path / "run"


def test_evaluation_where_the_data_lie_now(photographed, tmp_path, caplog):
    folder, workdir = photographed
    network = Trained(workdir)
    before = network.evaluate("test")[1]
    folder.rename(tmp_path / "disk")
    with pytest.raises(InputError, match=r"photos is not a folder.* evaluate --data folder:PATH"):
        network.evaluate("test")
    assert network.evaluate("test", name=f"folder:{tmp_path / 'disk'}")[1] == before  # by the run's own splits
    # Another folder with these classes: its own splits, and a row that is not taken for one of the run.
    shutil.copytree(tmp_path / "disk", tmp_path / "other" / "train")
    shutil.copytree(tmp_path / "disk" / "red", tmp_path / "other" / "test" / "red")
    other = f"folder:{tmp_path / 'other'}"
    row = network.evaluate("test", name=other)[1]
    assert row["n"] == 15 and row["data"] == other and row["per_class"]["blue"] is None
    assert len(read_evaluations(workdir)) == 3  # the one of training, and the two on its data
    flat = f"folder:{tmp_path / 'other' / 'train'}"
    image = Image.open(tmp_path / "other" / "train" / "red" / "00.png")
    image.save(tmp_path / "other" / "train" / "red" / "more.png")
    assert network.evaluate("test", name=flat)[1]["n"] == 31  # all of it
    table = evaluate_protocols([workdir], "test", name=other)
    assert table.rows[0].n == 15
    assert not caplog.messages
    (tmp_path / "other" / "train" / "red").rename(tmp_path / "other" / "train" / "rot")
    (tmp_path / "other" / "test" / "red").rename(tmp_path / "other" / "test" / "rot")
    with pytest.raises(InputError, match=r"not those that this network was trained on: red, rot"):
        network.evaluate("test", name=other)


def test_evaluation_says_that_the_data_have_changed(photographed, caplog):
    folder, workdir = photographed
    network = Trained(workdir)
    network.evaluate("test")
    assert not caplog.messages
    shutil.copy(folder / "red" / "00.png", folder / "red" / "new.png")
    network.evaluate("test")
    (said,) = caplog.messages
    assert str(folder) in said and "other files lie in red" in said
    assert "train 12, validation 6, test 12 and are train 12, validation 7, test 12" in said
    (folder / "red" / "new.png").unlink()
    (folder / "red").rename(folder / "x")
    (folder / "blue").rename(folder / "red")
    (folder / "x").rename(folder / "blue")
    caplog.clear()
    network.evaluate("test")
    (said,) = caplog.messages
    assert "the files of blue are in red; the files of red are in blue" in said
