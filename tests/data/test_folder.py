"""Image folders: layouts, order, and files that are not what they should be."""

import errno
import logging
import os
import re

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import (
    DataError,
    Order,
    ResizedCrop,
    ScaledCrop,
    decode_image,
    default_splits,
    load,
    read_all,
    stream,
)


def open_folder(root, split="train", **options):
    return load(f"folder:{root}", split, image_size=options.pop("image_size", (8, 8)), **options)


def paths(records):
    return [records.describe_record(i) for i in range(len(records))]


def test_split_folders(image_folder):
    root = image_folder({"train/cat": 3, "train/dog": 5, "val/cat": 2, "val/dog": 1})
    train, val = open_folder(root), open_folder(root, "val")
    assert (len(train), len(val), len(open_folder(root, "train+val"))) == (8, 3, 11)
    assert train.classes == ("cat", "dog")
    assert train.shape == train[0]["image"].shape == (8, 8, 3)
    for records in (train, val):
        for i in range(len(records)):
            assert f"/{records.classes[records[i]['label']]}/" in records.describe_record(i)
    data = (root / "val" / "dog" / "000.png").read_bytes()
    (dog,) = [val[i] for i in range(3) if val[i]["label"] == 1]
    np.testing.assert_array_equal(dog["image"], decode_image(data, image_size=(8, 8)))


def test_class_folders_alone_are_the_split_train(image_folder):
    root = image_folder({"b": 2, "a/deep/deeper": 1, "a": 1})
    records = open_folder(root)
    assert records.classes == ("a", "b")
    assert sorted(records[i]["label"] for i in range(4)) == [0, 0, 1, 1]
    with pytest.raises(ValueError, match=r"'test'.*Its splits are train"):
        open_folder(root, "test")


def test_a_class_called_train_is_a_class(image_folder):
    assert open_folder(image_folder({"car": 1, "plane": 1, "train": 1})).classes == ("car", "plane", "train")


def test_other_files_are_ignored_and_extensions_have_any_case(image_folder):
    root = image_folder({"a": 2, ".hidden": 3, "a/.thumbnails": 2})
    (root / "a" / "000.png").rename(root / "a" / "000.PNG")
    for name in ("notes.txt", ".DS_Store", "._001.png", "labels.csv"):
        (root / "a" / name).write_text("text")
    assert [os.path.basename(path) for path in sorted(paths(open_folder(root)))] == ["000.PNG", "001.png"]


def test_every_slice_is_close_to_stratified(image_folder):
    root = image_folder({"many": 40, "few": 10})
    records = open_folder(root, "train[40%:60%]")
    labels = [records[i]["label"] for i in range(len(records))]
    assert labels.count(0) == 2 and labels.count(1) == 8
    first = [path for path in paths(open_folder(root, "train[:50%]")) if "/many/" in path]
    assert max(first) > str(root / "many" / "030.png")  # by a hash: names are often in the order of a camera or a site


def test_order_within_a_class_survives_new_files(image_folder):
    root = image_folder({"a": 8, "b": 8})
    before = paths(open_folder(root))
    image_folder({"a": 12, "b": 8}, root=root)
    after = [path for path in paths(open_folder(root)) if path in before]
    for name in ("a", "b"):
        assert [p for p in before if f"/{name}/" in p] == [p for p in after if f"/{name}/" in p]


def test_the_global_id_does_not_depend_on_the_slice(image_folder):
    root = image_folder({"a": 6, "b": 6})
    whole, part = open_folder(root), open_folder(root, "train[75%:]")
    for i in range(len(part)):
        record = part[i]["index"]
        assert whole.describe_record(record) == part.describe_record(i)
        np.testing.assert_array_equal(whole[record]["image"], part[i]["image"])


def test_default_splits_hold_validation_out_of_train(image_folder, tmp_path):
    two = image_folder({"train/a": 2, "val/a": 1}, root=tmp_path / "two")
    assert default_splits(f"folder:{two}") == {"train": "train[:90%]", "validation": "train[90%:]", "test": "val"}
    three = image_folder({"train/a": 1, "valid/a": 1, "test/a": 1}, root=tmp_path / "three")
    assert default_splits(f"folder:{three}") == {"train": "train", "validation": "valid", "test": "test"}
    one = image_folder({"a": 1}, root=tmp_path / "one")
    assert default_splits(f"folder:{one}") == {
        "train": "train[:80%]",
        "validation": "train[80%:90%]",
        "test": "train[90%:]",
    }
    no_train = image_folder({"val/a": 1}, root=tmp_path / "no_train")
    with pytest.raises(ValueError, match="no split `train`"):
        default_splits(f"folder:{no_train}")


def test_what_is_wrong_with_the_layout_is_said(image_folder, tmp_path):
    with pytest.raises(ValueError, match="not a folder: expected"):
        open_folder(tmp_path / "missing")
    flat = image_folder({".": 2}, root=tmp_path / "flat")
    with pytest.raises(ValueError, match="no class folders: expected"):
        open_folder(flat)
    empty = image_folder({"a": 1, "hollow": 0}, root=tmp_path / "empty")
    with pytest.raises(ValueError, match="hollow holds no images"):
        open_folder(empty)
    unequal = image_folder({"train/a": 1, "train/b": 1, "val/a": 1, "val/c": 1}, root=tmp_path / "unequal")
    with pytest.raises(ValueError, match="val has classes that train lacks: c; train has a, b"):
        open_folder(unequal)
    with pytest.raises(ValueError, match="set image_size"):
        load(f"folder:{flat.parent / 'empty'}", "train")


def test_symlinks_are_followed_and_loops_end(image_folder, tmp_path):
    root = image_folder({"data/a": 2, "elsewhere": 3})
    (root / "data" / "a" / "loop").symlink_to(root / "data")
    (root / "data" / "a" / "self").symlink_to(root / "data" / "a")
    (root / "data" / "a" / "more").symlink_to(root / "elsewhere")
    (root / "data" / "a" / "link.png").symlink_to(root / "elsewhere" / "000.png")
    names = [os.path.relpath(path, root / "data" / "a") for path in paths(open_folder(root / "data"))]
    assert {"000.png", "001.png", "link.png", "more/000.png", "more/001.png", "more/002.png"} <= set(names)
    assert len(names) == len(set(names))


@pytest.fixture
def damaged(image_folder):
    """One good image, and one of each damage."""
    root = image_folder({"a": 1})
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(root / "a" / "cut.jpg")
    whole = (root / "a" / "cut.jpg").read_bytes()
    (root / "a" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "a" / "empty.jpg").write_bytes(b"")
    (root / "a" / "text.jpg").write_text("hello")
    (root / "a" / "broken.jpg").symlink_to(root / "nowhere.jpg")
    return root


def test_a_damaged_file_is_named_with_the_damage_and_the_remedy(damaged):
    records = open_folder(damaged)
    reasons = {"cut": "truncated", "empty": "0 bytes", "text": "not an image", "broken": "cannot be read"}
    for i in range(len(records)):
        stem = os.path.basename(records.describe_record(i)).split(".")[0]
        if stem in reasons:
            with pytest.raises(DataError, match=rf"{stem}.jpg: .*{reasons[stem]}.*data.on_error='skip'"):
                records[i]
    with pytest.raises(DataError, match="Remove the record"):
        read_all(records)


def test_a_damaged_file_can_be_skipped_and_is_logged_once(damaged, caplog):
    records = open_folder(damaged, on_error="skip")
    with caplog.at_level(logging.WARNING):
        batch = read_all(records)
        read_all(records)
    good = [path.endswith("000.png") for path in paths(records)]
    np.testing.assert_array_equal(batch["mask"], np.array(good, np.float32))
    assert not batch["image"][batch["mask"] == 0].any()
    np.testing.assert_array_equal(batch["index"], range(5))
    assert len(caplog.messages) == 4
    assert any("cut.jpg" in message and "truncated" in message for message in caplog.messages)


def test_a_png_named_jpg_is_read(image_folder):
    root = image_folder({"a": 1})
    expected = open_folder(root)[0]["image"]
    (root / "a" / "000.png").rename(root / "a" / "000.jpg")
    np.testing.assert_array_equal(open_folder(root)[0]["image"], expected)


@pytest.fixture
def wild(image_folder):
    """A photograph of each kind that folders hold, and files that cannot be read."""
    root = image_folder({"a": 1})
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(noise).convert("CMYK").save(root / "a" / "cmyk.jpg")
    Image.fromarray(random.integers(0, 2**16, (40, 30), np.uint16)).save(root / "a" / "deep.png")
    Image.fromarray(noise[:1, :1]).save(root / "a" / "dot.jpg")
    Image.fromarray(noise[:, :1]).save(root / "a" / "line.png")
    Image.fromarray(noise).save(root / "a" / "disguised.jpg", format="PNG")
    Image.fromarray(noise).save(root / "a" / "cut.jpg")
    whole = (root / "a" / "cut.jpg").read_bytes()
    (root / "a" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "a" / "text.jpg").write_text("hello")
    (root / "a" / "text.txt").write_text("hello")
    (root / "a" / "here.jpg").symlink_to(root / "a" / "there.jpg")
    (root / "a" / "there.jpg").symlink_to(root / "a" / "here.jpg")
    (root / "a" / "closed.jpg").write_bytes(whole)
    (root / "a" / "closed.jpg").chmod(0)
    os.mkfifo(root / "a" / "pipe.jpg")
    return root


GOOD = {"000.png", "cmyk.jpg", "deep.png", "dot.jpg", "line.png", "disguised.jpg"}
BAD = {
    "cut.jpg": "truncated",
    "text.jpg": "not an image",
    "here.jpg": "cannot be read",
    "there.jpg": "cannot be read",
    "closed.jpg": r"cannot be read \(Permission denied\)",
    "pipe.jpg": "not a file",
}


@pytest.mark.parametrize("crop", [None, ResizedCrop(), ScaledCrop()])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_file_of_a_wild_folder_is_read_or_named(wild, crop, channels, monkeypatch, caplog):
    def closed(path, *arguments, **options):  # a superuser may open it all the same
        if os.path.basename(os.fsdecode(path)) == "closed.jpg":
            raise PermissionError(errno.EACCES, "Permission denied")
        return builtin(path, *arguments, **options)

    builtin = open
    monkeypatch.setattr("builtins.open", closed)
    records = open_folder(wild, on_error="skip", channels=channels)
    names = [os.path.basename(path) for path in paths(records)]
    assert sorted(names) == sorted({*GOOD, *BAD})
    order = Order(len(records), seed=0)
    with stream(records, order, batch_size=len(records), stop=len(records), crop=crop) as batches:
        (batch,) = batches
    for index, image, mask in zip(batch["index"], batch["image"], batch["mask"], strict=True):
        assert mask == (names[index] in GOOD) == image.any()
    for name, reason in BAD.items():
        assert sum(re.search(f"/{name}: .*{reason}", message) is not None for message in caplog.messages) == 1


def test_imagenette(shared):
    records = load(f"folder:{shared / 'imagenette'}", "train[:5%]", image_size=(64, 64))
    arrays = read_all(records)
    assert arrays["image"].shape == (50, 64, 64, 3)
    np.testing.assert_array_equal(np.bincount(arrays["label"]), [5] * 10)
    assert records.classes[0] == "n01440764"
