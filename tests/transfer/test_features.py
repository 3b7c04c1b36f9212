"""Features in a file: what the network computes, row by row, and the same bytes however often the work broke off."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxcnn import InputError, Trained, cli
from jaxcnn.data import load
from jaxcnn.transfer import feature_file
from jaxcnn.transfer.feature_file import read_features, write_features
from jaxcnn.transfer.features import Extractor, split_records
from jaxcnn.transfer.stages import read_stage

KILLED = """
import os, signal, sys
from jaxcnn import Trained
from jaxcnn.transfer.feature_file import write_features
from jaxcnn.transfer.features import Extractor, split_records
trained = Trained(sys.argv[1])
def report(done, total):
    if done >= 200:
        os.kill(os.getpid(), signal.SIGKILL)
write_features(Extractor(trained, "pool1", batch_size=8), *split_records(trained, "test"), sys.argv[2], report=report)
"""


@pytest.fixture(scope="module")
def trained(tiny_run):
    return Trained(tiny_run)


@pytest.fixture(scope="module")
def extractor(trained):
    return Extractor(trained, "pool1", batch_size=8)  # parts of 128 of the 360 test images


@pytest.fixture(scope="module")
def digits(trained):
    return split_records(trained, "test")


@pytest.fixture(scope="module")
def whole(extractor, digits, tmp_path_factory):
    output = tmp_path_factory.mktemp("features") / "whole.npz"
    write_features(extractor, *digits, output)
    return output


def direct(trained, images, stage):
    pixels = (images.astype(np.float32) / 255 - trained.mean) / trained.std
    return np.asarray(read_stage(trained.model, trained.variables, pixels, stage))


def test_a_file_holds_what_the_network_computes(trained, extractor, whole):
    batch = load("digits", "test", image_size=(8, 8)).read(range(360))
    found = read_features(whole)
    assert found.features.shape == (360, 4, 4, 4) and found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, direct(trained, batch["image"], "pool1"), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.label, batch["label"])
    np.testing.assert_array_equal(found.index, batch["index"])
    np.testing.assert_array_equal(found.position, np.arange(360))
    np.testing.assert_array_equal(found.vectors(), found.features.reshape(360, 64))
    assert found.classes == trained.classes
    assert {key: found.meta[key] for key in ("run", "checkpoint", "stage", "pool", "images")} == {
        "run": str(trained.workdir.resolve()),
        "checkpoint": trained.step,
        "stage": "pool1",
        "pool": "none",
        "images": 360,
    }
    assert (found.meta["data"]["name"], found.meta["data"]["split"]) == ("digits", "test")
    assert sorted(p.name for p in whole.parent.iterdir()) == ["whole.npz"]


def test_maps_are_averaged_over_their_places(trained, digits):
    images = digits[0].read(range(5))["image"]
    pooled = Extractor(trained, "/conv1_1", pool="mean", batch_size=8)
    assert pooled.shape == (4,)
    expected = direct(trained, images, "/conv1_1").mean(axis=(1, 2))
    np.testing.assert_allclose(pooled(images), expected, rtol=1e-5, atol=1e-5)


def test_killed_and_started_again_it_writes_the_same_bytes(tiny_run, extractor, digits, whole, tmp_path):
    output, seen = tmp_path / "features.npz", []
    killed = subprocess.run([sys.executable, "-c", KILLED, tiny_run, output], timeout=300)
    assert killed.returncode == -signal.SIGKILL and not output.exists()
    write_features(extractor, *digits, output, report=lambda done, total: seen.append((done, total)))
    assert seen[0] == (128, 360) and seen[-1] == (360, 360)
    assert output.read_bytes() == whole.read_bytes()


def test_broken_off_after_the_parts_were_joined(extractor, digits, whole, tmp_path, monkeypatch):
    output = tmp_path / "features.npz"
    with monkeypatch.context() as broken:
        broken.setattr(feature_file.shutil, "rmtree", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_features(extractor, *digits, output)
    output.write_bytes(b"of another day")
    write_features(extractor, *digits, output)
    assert output.read_bytes() == whole.read_bytes() and not (tmp_path / "features.npz.parts").exists()


@pytest.mark.parametrize("damage", [lambda whole: whole[:-200], lambda whole: b"", lambda whole: b"words" + whole[5:]])
def test_a_damaged_part_is_named_and_what_is_left_serves(damage, extractor, digits, whole, tmp_path, monkeypatch):
    output, part = tmp_path / "features.npz", tmp_path / "features.npz.parts" / "000001.npz"
    with monkeypatch.context() as broken:
        broken.setattr(feature_file.shutil, "rmtree", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_features(extractor, *digits, output)
    part.write_bytes(damage(part.read_bytes()))
    with pytest.raises(InputError, match=r"000001\.npz is damaged .*; remove it, and the same command resumes"):
        write_features(extractor, *digits, output)
    part.unlink()
    write_features(extractor, *digits, output)
    assert output.read_bytes() == whole.read_bytes()


def raise_interrupt(*_):
    raise KeyboardInterrupt


def test_parts_of_other_features_are_not_mixed(trained, extractor, digits, tmp_path):
    output = tmp_path / "features.npz"
    with pytest.raises(KeyboardInterrupt):
        write_features(extractor, *digits, output, report=raise_interrupt)
    with pytest.raises(InputError, match=r"stage: 'pool1' there, 'logits' here.*Remove that folder"):
        write_features(Extractor(trained, "logits", batch_size=8), *digits, output)


def test_where_nothing_can_be_written_is_found_before_the_work(extractor, digits, tmp_path, monkeypatch):
    seen = []
    (tmp_path / "file").write_text("")
    for output, message in ((tmp_path / "file" / "f.npz", "cannot be written"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=message):
            write_features(extractor, *digits, output, report=lambda *counts: seen.append(counts))
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="0 MiB free; these features take 1 MiB"):  # 2 * 360 * 64 * 4 bytes = 0.7 MiB
        large = Extractor(extractor.trained, "pool1", batch_size=8)
        large.shape = (16, 4, 4)
        write_features(large, *digits, tmp_path / "f.npz", report=lambda *counts: seen.append(counts))
    assert not seen


def test_a_disk_that_fills_up_loses_no_part(extractor, digits, whole, tmp_path, monkeypatch):
    output, calls, sync = tmp_path / "features.npz", [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:  # meta, the first part, the second
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"No space left on device\. What was complete is kept"):
            write_features(extractor, *digits, output)
    seen = []
    write_features(extractor, *digits, output, report=lambda done, total: seen.append(done))
    assert seen[0] == 128 and output.read_bytes() == whole.read_bytes()


def test_another_data_set_with_other_classes(trained, tmp_path):
    for number, name in enumerate(("cats", "dogs", "dogs", "cats")):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "cats" / "3.png").write_bytes(b"no image")
    name = f"folder:{tmp_path / 'photos'}"
    records, found_by = split_records(trained, "train", name=name)
    assert records.shape == (8, 8, 1) and found_by["split"] == "train[:80%]" and len(records) == 3
    logits = Extractor(trained, "logits", batch_size=8)
    with pytest.raises(InputError, match=r"cats/3\.png"):
        write_features(logits, load(name, "train", image_size=(8, 8), channels=1), {}, tmp_path / "f")
    records = load(name, "train", image_size=(8, 8), channels=1, on_error="skip")
    write_features(logits, records, {}, tmp_path / "f")
    found, batch = read_features(tmp_path / "f"), records.read(range(4))
    assert found.classes == ("cats", "dogs") and len(found.label) == 3
    np.testing.assert_array_equal(found.position, np.flatnonzero(batch["mask"]))
    kept = batch["image"][batch["mask"] > 0]
    np.testing.assert_allclose(found.features, direct(trained, kept, "logits"), rtol=1e-4, atol=1e-5)


def test_what_is_no_file_of_features(tmp_path):
    (tmp_path / "text").write_text("text")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("text", "other.npz", "empty.npz"):
        with pytest.raises(InputError, match=f"{name} is no file of features"):
            read_features(tmp_path / name)
    with pytest.raises(InputError, match="No such file"):
        read_features(tmp_path / "nowhere")


def test_the_verbs_from_a_run_to_a_table(tiny_run, tmp_path, capsys):
    for split in ("train", "test"):
        arguments = ["--stage", "pool1", "--split", split, "--output", tmp_path / f"{split}.npz"]
        assert call("features", "--workdir", tiny_run, *arguments) == 0
    assert call("features", "--workdir", tiny_run, "--stage", "pool9", "--output", tmp_path / "no.npz") == 2
    assert "Did you mean 'pool1'? Stages: conv1_1, pool1, logits. Layers: " in capsys.readouterr().err
    files = ["--train", tmp_path / "train.npz", "--test", tmp_path / "test.npz"]
    assert call("probe", *files, "--json", "--output", tmp_path / "table.csv") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["classifier"] for row in rows] == ["logistic regression", "linear SVM", "nearest neighbours"]
    assert all(row["n"] == 360 and 0.8 < row["low"] < row["accuracy"] < row["high"] for row in rows)
    assert (tmp_path / "table.csv").read_text().splitlines()[0].startswith("classifier,option,value,held_out,n,right")
    sheet = tmp_path / "sheet.png"
    assert call("neighbours", "--gallery", tmp_path / "test.npz", "--query", 999, "--output", sheet) == 2
    assert call("neighbours", "--gallery", tmp_path / "no.npz", "--query", 3, "--output", tmp_path / "sheet.foo") == 2
    assert "its suffix names the format" in capsys.readouterr().err and not list(tmp_path.glob("sheet.*"))
    assert call("neighbours", "--gallery", tmp_path / "test.npz", "--query", 3, 5, "-k", 4, "--output", sheet) == 0
    assert "leave-one-out 1-NN (cosine): 0." in capsys.readouterr().out
    with Image.open(sheet) as picture:
        width, height = picture.size
    assert width > 5 * 150 and height > 2 * 150  # five pictures in a row, two rows, an inch or more each


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


def test_a_file_whose_words_or_columns_are_others_is_refused_with_why(whole, tmp_path):
    whole = dict(np.load(whole, allow_pickle=False))
    meta = json.loads(whole["meta"].item())
    spoilt = {
        "meta is no object": {"meta": np.array(json.dumps([1]))},
        "meta lacks stage,": {"meta": np.array(json.dumps({k: v for k, v in meta.items() if k != "stage"}))},
        "no floating point": {"features": np.full(whole["features"].shape, "a")},
        "label is no whole number for each row": {"label": whole["label"][:-1]},
    }
    for why, change in spoilt.items():
        np.savez(tmp_path / "f.npz", **{**whole, **change})
        with pytest.raises(InputError, match=f"f.npz is no file of features: .*{why}"):
            read_features(tmp_path / "f.npz")
