"""Image folders as people have them: leavings, files beside the images, splits that are classes, classes that lack."""

import errno
import os
import re
import shutil

import jax
import pytest

from jaxcnn import cli, train
from jaxcnn.data import load
from jaxcnn.data.equal_files import equal_files, say_equal_files
from jaxcnn.data.prepare_folder import prepare_folder
from jaxcnn.errors import InputError
from jaxcnn.training.preflight.dry_run import describe
from jaxcnn.training.setup import set_up

LEAVINGS = ("__MACOSX", ".ipynb_checkpoints", ".git", "@eaDir", "lost+found")


def open_folder(root, split="train"):
    return load(f"folder:{root}", split, image_size=(8, 8))


@pytest.fixture
def config_of(tiny_config):
    """config_of(root): the config of a short run on a folder."""
    return lambda root: tiny_config({"data.name": f"folder:{root}", "batch_size": 8, "duration": "2 steps"})


def litter(root):
    """Leaves behind, in every folder of a tree, what archives, desktops and servers do."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for name in LEAVINGS:
            (folder / name / "deep").mkdir(parents=True)
            (folder / name / "deep" / "000.png").write_bytes(b"no image")
        for name in ("._000.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"no image")


def test_leavings_are_passed_over(image_folder, config_of, tmp_path):
    root = image_folder({"photos/train/cat/more": 3, "photos/train/dog": 9, "photos/val/cat": 4}) / "photos"
    before = [open_folder(root, split).describe_record(i) for split, n in (("train", 12), ("val", 4)) for i in range(n)]
    litter(root)
    setup = set_up(config_of(root), devices=jax.devices()[:1])
    assert setup.classes == ("cat", "dog")
    assert [
        open_folder(root, split).describe_record(i) for split, n in (("train", 12), ("val", 4)) for i in range(n)
    ] == before
    assert setup.notes() == ["val has no images of dog"]
    prepare_folder(root, data_dir=tmp_path / "tfds", quiet=True)
    assert load("tfds:photos", "train+val", data_dir=tmp_path / "tfds", image_size=(8, 8)).classes == ("cat", "dog")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_named_like_a_split_is_a_question(split, image_folder):
    root = image_folder({"bus": 2, "car": 2, f"{split}/2019": 2, f"{split}/2020": 2})
    with pytest.raises(
        ValueError, match=rf"read in two ways: {split} would be a split .* bus, car beside it"
    ) as raised:
        open_folder(root)
    assert "another name" in str(raised.value)


def test_folders_beside_the_splits_that_hold_no_images_are_said(image_folder):
    root = image_folder({"train/a": 2, "train/b": 2, "labels": 0})
    (root / "labels" / "a.txt").write_text("text")
    records = open_folder(root)
    assert records.classes == ("a", "b")
    assert records.notes() == [f"{root}: left out: labels beside train"]


def test_splits_under_other_names_are_a_question(image_folder):
    root = image_folder({"Training/a": 1, "Training/b": 1, "Test/a": 1, "Test/b": 1})
    with pytest.raises(ValueError, match="rename Test to test, Training to train"):
        open_folder(root)
    flat = image_folder({"flat/train": 2, "flat/test": 2}) / "flat"
    with pytest.raises(ValueError, match="train, test hold images, but no class folders"):
        open_folder(flat)


def test_one_class_is_refused_with_the_folder_that_was_meant(image_folder, config_of, tmp_path, one_device):
    root = image_folder({"n/ph/blue": 10, "n/ph/red": 10, "one/cat": 10, "split/train/ph/a": 9, "split/train/ph/b": 9})
    litter(root)
    for name, question in (
        ("n", rf" Did you mean folder:{root}/n/ph\?$"),
        ("split", rf" Did you mean folder:{root}/split/train/ph\?$"),
        ("one", r"cat: there is nothing to tell apart\.$"),
    ):
        with pytest.raises(InputError, match=rf"config\.data\.name: .*{name} has one class, .*{question}"):
            train(config_of(root / name), tmp_path / "run", quiet=True, devices=one_device)
        assert not (tmp_path / "run").exists()
        assert len(open_folder(root / name).classes) == 1  # which can be looked at


def test_a_split_may_lack_classes_and_must_not_add_some(image_folder, config_of):
    root = image_folder({"train/a": 8, "train/b": 8, "train/c": 8, "val/c": 2, "val/b": 0, "test/a": 1, "test/c": 2})
    val, test = open_folder(root, "val"), open_folder(root, "test")
    assert val.classes == test.classes == ("a", "b", "c")
    for records in (val, test):
        for i, name in ((i, records.classes[records[i]["label"]]) for i in range(len(records))):
            assert f"/{name}/" in records.describe_record(i)
    notes = set_up(config_of(root)).notes()
    assert notes == ["val has no images of a, b", "test has no images of b"]
    image_folder({"val/C": 1, "val/d": 1}, root=root)
    with pytest.raises(ValueError, match="val has classes that train lacks: C, d; train has a, b, c"):
        open_folder(root, "val")


def test_names_that_a_person_would_take_for_one(image_folder, tmp_path):
    root = image_folder({"photos/Cats": 2, "photos/cats": 2, "photos/ dogs": 2, "photos/dogs": 2}) / "photos"
    assert open_folder(root).notes() == [
        "the classes ' dogs' and 'dogs' differ only in case or in blanks: are they one?",
        "the classes 'Cats' and 'cats' differ only in case or in blanks: are they one?",
    ]
    assert len(open_folder(root).classes) == 4
    with pytest.raises(InputError, match=r"' dogs' .* blanks around its name"):
        prepare_folder(root, data_dir=tmp_path / "tfds", quiet=True)
    (root / " dogs").rename(root / "do\ngs")
    with pytest.raises(InputError, match=r"'do\\ngs'"):
        prepare_folder(root, data_dir=tmp_path / "tfds", quiet=True)
    (root / "do\ngs").rename(root / "do,gs [x]")
    prepare_folder(root, data_dir=tmp_path / "tfds", quiet=True)
    assert (
        load("tfds:photos", "train", data_dir=tmp_path / "tfds", image_size=(8, 8)).classes == open_folder(root).classes
    )


def test_what_is_left_out_is_counted_and_named_once(image_folder, config_of, tmp_path, one_device, capsys):
    root = image_folder({"photos/a": 12, "photos/b": 12, "photos": 3}) / "photos"
    for number in range(4):
        (root / "a" / f"{number:03}.png").rename(root / "a" / f"{number}.{('jfif', 'JPE', 'jpe', 'JFIF')[number]}")
    for number in range(5):
        (root / "ab"[number % 2] / f"{number}.HEIC").write_bytes(b"")
    (root / "a" / "notes.txt").write_text("text")
    (root / "a" / "LICENSE").write_text("text")
    said = (
        f"{root}: left out: 5 .heic (not read by jaxcnn: convert them to JPEG or PNG), 1 without an extension, 1 .txt\n"
        f"{root}: left out: 3 images beside the class folders\n"
    )
    assert len(open_folder(root)) == 24
    train(config_of(root), tmp_path / "run", devices=one_device)
    assert capsys.readouterr().err.count(said) == 1
    assert said in "\n".join(describe(config_of(root)))
    prepare_folder(root, data_dir=tmp_path / "tfds")
    assert capsys.readouterr().err.count(said) == 1


def test_equal_files_are_counted(image_folder, tmp_path, capsys):
    root = image_folder({"photos/blue": 20, "photos/red": 0}) / "photos"
    for path in (root / "blue").iterdir():  # other bytes, equal sizes
        (root / "red" / path.name).write_bytes(path.read_bytes() + b"red")
    assert equal_files({"train": open_folder(root)}) == []
    shutil.copy(root / "blue" / "003.png", root / "red" / "mistaken.png")
    held_out = load(f"folder:{root}", "train[90%:]", image_size=(8, 8))
    held_out = next(path for name, path in held_out.files() if name == "red")
    shutil.copy(held_out, root / "red" / "copy.png")
    file = tmp_path / "config.py"
    file.write_text(
        "from jaxcnn import default_config\n\n\ndef get_config():\n    config = default_config()\n"
        f"    config.data.name, config.data.image_size = {f'folder:{root}'!r}, (8, 8)\n    return config\n"
    )
    assert cli.main(["statistics", f"--config={file}"]) == 0
    out, err = capsys.readouterr()
    assert "--config.data.mean=" in out and "equal" not in out
    (pair,) = re.findall(r"jaxcnn: 1 image lies in more than one class, as equal files: (.*)", err)
    assert sorted(pair.split(" = ")) == [str(root / "blue" / "003.png"), str(root / "red" / "mistaken.png")]
    assert str(root / "red" / "copy.png") in err
    assert say_equal_files([[("train", "a", "a/1"), ("test", "a", "a/2")]] * 4) == [
        "4 images lie both in train and held out, as equal files: a/1 = a/2; a/1 = a/2; a/1 = a/2, ..."
    ]


def test_what_a_broken_preparation_left_is_named(image_folder, tmp_path):
    root = image_folder({"photos/a": 1, "photos/b": 1}) / "photos"
    prepare_folder(root, data_dir=tmp_path / "tfds", quiet=True)
    (tmp_path / "tfds" / "photos" / "1.0.1").mkdir()
    with pytest.raises(ValueError, match=r"photos/1\.0\.1 is left of a preparation .* name tfds:photos:1\.0\.0"):
        load("tfds:photos", "train", data_dir=tmp_path / "tfds", image_size=(8, 8))
    assert len(load("tfds:photos:1.0.0", "train", data_dir=tmp_path / "tfds", image_size=(8, 8))) == 2


def test_a_folder_that_cannot_be_read_is_named(image_folder, monkeypatch):
    root = image_folder({"a": 1, "b/closed": 1})

    def closed(path):  # a superuser may open it all the same
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(InputError, match=r"b/closed cannot be read: Permission denied"):
        open_folder(root)
