"""Folders of images without classes, and pairs of images in two folders."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import DataError, decode_image, default_splits, load, located
from jaxcnn.errors import InputError
from jaxcnn.training.rundir.data_changes import about_data, data_changes


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def pages(tmp_path):
    """A folder of 12 pairs, 1.png to 12.png; the page of a number has it at all places of its red, dirt 100 more."""
    for number in range(1, 13):
        page = np.full((20, 30, 3), number, np.uint8)
        page[:, :, 1] = 8 * np.arange(30)[None]
        page[:, :, 2] = 8 * np.arange(20)[:, None]
        write(tmp_path / "pages" / "clean" / f"{number}.png", page)
        write(tmp_path / "pages" / "dirty" / f"{number}.png", page + np.array([100, 0, 0], np.uint8))
    return tmp_path / "pages"


def test_images_of_a_folder_are_its_train_split_in_the_order_of_their_numbers(image_folder):
    root = image_folder({"": 3, "deep/er": 2})
    for number in (10, 9):
        shutil.copy(root / "000.png", root / f"page {number}.png")
    (root / "notes.txt").touch()
    records = load(f"images:{root}", "train", image_size=(8, 8))
    names = [os.path.relpath(records.describe_record(i), root) for i in range(len(records))]
    assert names == ["000.png", "001.png", "002.png", "deep/er/000.png", "deep/er/001.png", "page 9.png", "page 10.png"]
    assert records.classes == () and records.notes() == [f"{root}: left out: 1 .txt"]
    data = (root / "001.png").read_bytes()
    np.testing.assert_array_equal(records[1]["image"], decode_image(data, image_size=(8, 8)))
    assert default_splits(f"images:{root}")["test"] == "train[90%:]"


def test_folders_of_images_are_splits(image_folder):
    root = image_folder({"Train400": 4, "Set12": 2})
    assert len(load(f"images:{root}", "Train400[:50%]+Set12", image_size=(8, 8))) == 4
    assert default_splits(f"images:{root}") == {}
    with pytest.raises(ValueError, match=r"'test'.*Its splits are Set12, Train400"):
        load(f"images:{root}", "test", image_size=(8, 8))
    assert set(default_splits(f"images:{image_folder({'a/train': 2, 'a/test': 1}) / 'a'}")) == {
        "train",
        "validation",
        "test",
    }


def test_pairs_lie_side_by_side_and_are_cut_alike(pages):
    records = load(f"pairs:{pages}", "train[2:]", image_size=(16, 16))
    batch = records.read(range(10), cuts=[lambda size, image_size: (1.0, 5.0, 13.0, 17.0)] * 10)
    np.testing.assert_array_equal(batch["target"][:, 0, 0, 0], np.arange(3, 13))
    np.testing.assert_array_equal(batch["image"] - batch["target"], np.broadcast_to([100, 0, 0], (10, 16, 16, 3)))
    assert records.fields == {"target": ((16, 16, 3), np.uint8)}
    assert located(f"pairs:{os.path.relpath(pages)}") == f"pairs:{pages}"


def test_pairs_of_the_names_of_kaggle_and_in_splits(pages, tmp_path):
    (pages / "dirty").rename(pages / "train")
    (pages / "clean").rename(pages / "train_cleaned")
    assert len(load(f"pairs:{pages}", "train", image_size=(8, 8))) == 12
    root = tmp_path / "splits"
    for split in ("train", "test"):
        shutil.copytree(pages / "train", root / split / "dirty")
        shutil.copytree(pages / "train_cleaned", root / split / "clean")
    assert default_splits(f"pairs:{root}") == {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}
    assert load(f"pairs:{root}", "test", image_size=(8, 8))[0]["target"][0, 0, 0] == 1


def test_a_file_without_a_partner_is_named(pages):
    (pages / "clean" / "7.png").unlink()
    (pages / "dirty" / "9.png").unlink()
    with pytest.raises(InputError) as found:
        load(f"pairs:{pages}", "train", image_size=(8, 8))
    assert f"{pages}/dirty/7.png, {pages}/clean/9.png. Add the missing files" in str(found.value)


def test_pairs_of_two_sizes_are_named(pages):
    write(pages / "clean" / "7.png", np.zeros((20, 31, 3), np.uint8))
    records = load(f"pairs:{pages}", "train", image_size=(8, 8))
    with pytest.raises(DataError, match=r"dirty/7.png: its target: it is 20x31, and the image 20x30"):
        records.read([6])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pairs:{root}/clean", "holds no pairs of folders: expected PATH/dirty/NAME"),
        ("pairs:{root}/absent", "absent is not a folder"),
        ("images:{root}/absent", "absent is not a folder"),
        ("pair:{root}", "Did you mean pairs:"),
        ("image:{root}", "Did you mean images:"),
    ],
)
def test_other_layouts_and_names_are_refused(name, words, pages):
    with pytest.raises(ValueError, match=words):
        load(name.format(root=pages), "train", image_size=(8, 8))


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds no images .*, but 1 .txt"):
        load(f"images:{tmp_path}", "train", image_size=(8, 8))


def test_a_run_does_not_resume_on_other_pairs(pages):
    def now():
        return about_data({"train": load(f"pairs:{pages}", "train", image_size=(8, 8))}, shape=(8, 8, 3))

    before = now()
    assert data_changes(before, now()) == []
    write(pages / "clean" / "3.png", np.zeros((20, 30, 3), np.uint8))
    assert data_changes(before, now()) == ["other files lie in train"]
