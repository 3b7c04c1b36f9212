"""Image folders as sets of tensorflow-datasets: what is read from them, and how a preparation stops and resumes."""

import io
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image, ImageOps, JpegImagePlugin

from jaxcnn.cli import main
from jaxcnn.data import decode_image, default_splits, load, read_all
from jaxcnn.data.prepare import prepare
from jaxcnn.data.prepare_folder import prepare_folder
from jaxcnn.errors import InputError

ORIENTATION = 0x0112
FOUR_SHARDS = 3000  # bytes of image files in a shard: see `several`


@pytest.fixture
def several(image_folder, tmp_path):
    """20 PNG of 12x10, about 430 bytes each: shards of at most FOUR_SHARDS bytes are 3 of train and 1 of val."""
    return image_folder({"train/cat": 9, "train/dog": 5, "val/cat": 2, "val/dog": 4}, root=tmp_path / "several")


def save(path, *, mode="RGB", size=(12, 10), **options):
    """Writes an image of smooth colours and returns its path; mode is Pillow's, size (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: size[1], : size[0]]
    array = np.stack([255 * x // size[0], 255 * y // size[1], 100 + 0 * x], -1).astype(np.uint8)
    Image.fromarray(array).convert(mode).save(path, **options)
    return path


def turned():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return exif


@pytest.fixture
def every_kind(tmp_path):
    """A folder with one image of each kind; those of class "kept" are what TFDS decodes as we do."""
    root = tmp_path / "Every kind"
    save(root / "kept" / "colour.jpg")
    save(root / "kept" / "grey.jpeg", mode="L")
    save(root / "kept" / "colour.PNG")
    save(root / "kept" / "grey.png", mode="L")
    save(root / "kept" / "png_by_content.jpg", format="PNG")
    save(root / "turned" / "turned.jpg", exif=turned())
    save(root / "other" / "ink.jpg", mode="CMYK")
    save(root / "other" / "palette.png", mode="P")
    save(root / "other" / "transparent.png", mode="RGBA").touch()
    Image.fromarray(np.arange(120, dtype=np.uint16).reshape(10, 12) * 500).save(root / "other" / "deep.png")
    for suffix in ("webp", "gif", "bmp", "tiff"):
        save(root / "other" / f"any.{suffix}")
    return root


def files_of(directory):
    return {file.name: file.read_bytes() for file in pathlib.Path(directory).iterdir()}


def stored(directory, split="train"):
    """The encoded images of a prepared set, as plain TFDS gives them."""
    builder = tfds.builder_from_directory(directory)
    source = builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    return [bytes(source[i]["image"]) for i in range(len(source))]


@pytest.mark.parametrize("shard_bytes", [FOUR_SHARDS, 2**20])
def test_the_set_equals_the_folder(several, tmp_path, shard_bytes):
    data_dir = tmp_path / "data"
    directory = prepare_folder(several, data_dir=data_dir, shard_bytes=shard_bytes, quiet=True)
    assert directory == str(data_dir / "several" / "1.0.0")
    for split in ("train", "val", "train[30%:]+val[:2]"):
        folder = load(f"folder:{several}", split, image_size=(8, 8))
        prepared = load("tfds:several", split, data_dir=data_dir, image_size=(8, 8))
        assert folder.classes == prepared.classes == ("cat", "dog") and folder.shape == prepared.shape
        expected, found = read_all(folder), read_all(prepared)
        for key in ("image", "label", "mask", "index"):
            np.testing.assert_array_equal(found[key], expected[key])
    assert default_splits(f"folder:{several}") == default_splits("tfds:several", data_dir=data_dir)
    splits = tfds.builder_from_directory(directory).info.splits
    assert (splits["train"].num_examples, splits["val"].num_examples) == (14, 6)
    assert (splits["train"].num_shards, splits["val"].num_shards) == ((3, 1) if shard_bytes == FOUR_SHARDS else (1, 1))


def test_plain_tfds_reads_every_kind_of_image(every_kind, tmp_path):
    directory = prepare_folder(every_kind, data_dir=tmp_path / "data", quiet=True)
    assert directory == str(tmp_path / "data" / "every_kind" / "1.0.0")
    folder = load(f"folder:{every_kind}", "train", image_size=(8, 8))
    decoded = tfds.builder_from_directory(directory).as_data_source(split="train")
    for i, data in enumerate(stored(directory)):
        path = pathlib.Path(folder.describe_record(i))
        expected = decode_image(path.read_bytes(), channels=3)
        np.testing.assert_array_equal(decode_image(data, channels=3), expected, err_msg=path.name)
        if path.parent.name == "other":
            assert data.startswith(b"\x89PNG"), path.name
        else:
            assert data == path.read_bytes(), path.name
        if path.parent.name != "turned":  # TFDS does not turn
            # Pillow's and simplejpeg's libjpeg may round differently.
            image = np.asarray(decoded[i]["image"], int)
            assert image.shape == expected.shape and abs(image - expected).max() <= 3, path.name


def test_size_shrinks_larger_images_only(tmp_path):
    root = tmp_path / "photos"
    large = save(root / "a" / "large.png", size=(60, 45))
    grey = save(root / "a" / "grey.jpg", mode="L", size=(90, 60), quality=100)
    on_its_side = save(root / "a" / "side.jpg", size=(60, 45), quality=100, subsampling=0, exif=turned())
    small = save(root / "a" / "small.jpg", size=(80, 30), quality=30)
    directory = prepare_folder(root, data_dir=tmp_path / "data", size=30, quiet=True)
    folder = load(f"folder:{root}", "train", image_size=(8, 8))
    found = {folder.describe_record(i): data for i, data in enumerate(stored(directory))}
    assert found[str(small)] == small.read_bytes()
    like_95 = Image.open(io.BytesIO(save(tmp_path / "like.jpg", quality=95).read_bytes()))
    for path, size in ((large, (40, 30)), (grey, (45, 30)), (on_its_side, (30, 40))):
        image = Image.open(io.BytesIO(found[str(path)]))
        assert (image.format, image.size, image.mode) == ("JPEG", size, "L" if path == grey else "RGB")
        assert image.quantization[0] == like_95.quantization[0]
        assert path == grey or JpegImagePlugin.get_sampling(image) == 2  # 4:2:0
        assert image.getexif().get(ORIENTATION, 1) == 1
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(path.read_bytes()))).resize(
            size, Image.Resampling.BILINEAR
        )
        assert np.abs(np.asarray(image, int) - np.asarray(expected, int)).mean() < 2, path.name


KILLED = """
import os, pathlib, signal, sys
from jaxcnn.data.prepare_folder import prepare_folder

replace, left = pathlib.Path.replace, [int(sys.argv[3])]

def replace_or_die(self, target):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return replace(self, target)

pathlib.Path.replace = replace_or_die
prepare_folder(sys.argv[1], data_dir=sys.argv[2], shard_bytes=int(sys.argv[4]), quiet=True)
"""


@pytest.mark.parametrize("renames", [2, 6])  # the plan and one of four shards; all shards and one file of the metadata
def test_killed_and_resumed_it_ends_with_the_same_bytes(several, tmp_path, renames):
    arguments = [str(several), str(tmp_path / "killed"), str(renames), str(FOUR_SHARDS)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], stderr=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    killed = tmp_path / "killed" / "several" / "1.0.0"
    shards = {
        file.name: file.stat().st_ino for file in killed.iterdir() if file.name.endswith(("-of-00003", "-of-00001"))
    }
    assert len(shards) == min(renames - 1, 4)
    with pytest.raises(ValueError, match="is not prepared"):
        load("tfds:several", "train", data_dir=tmp_path / "killed")
    for data_dir in ("killed", "whole"):
        prepare_folder(several, data_dir=tmp_path / data_dir, shard_bytes=FOUR_SHARDS, quiet=True)
    whole = files_of(tmp_path / "whole" / "several" / "1.0.0")
    assert files_of(killed) == whole and sum("array_record" in name for name in whole) == 4
    for name, inode in shards.items():
        assert (killed / name).stat().st_ino == inode  # not written again


def test_a_complete_set_is_left_alone_and_a_lost_shard_is_made_again(several, tmp_path, capsys):
    directory = pathlib.Path(prepare_folder(several, data_dir=tmp_path / "data", shard_bytes=FOUR_SHARDS))
    assert "has 20 of 20 images" in capsys.readouterr().err
    before, times = files_of(directory), {file: file.stat().st_mtime_ns for file in directory.iterdir()}
    prepare_folder(several, data_dir=tmp_path / "data", shard_bytes=FOUR_SHARDS)
    assert "is complete" in capsys.readouterr().err
    assert times == {file: file.stat().st_mtime_ns for file in directory.iterdir()}
    lost, damaged = sorted(directory.glob("*-train.array_record*"))[:2]
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-10000])
    prepare_folder(several, data_dir=tmp_path / "data", shard_bytes=FOUR_SHARDS)
    assert "2 of 4 shards are there" in capsys.readouterr().err
    assert files_of(directory) == before


def test_a_changed_folder_is_an_error(several, tmp_path):
    options = {"data_dir": tmp_path / "data", "quiet": True}
    directory = prepare_folder(several, **options)
    with pytest.raises(InputError, match=r"made with size None, not 8.*--name"):
        prepare_folder(several, size=8, **options)
    save(several / "train" / "dog" / "new.png")
    with pytest.raises(
        InputError, match=f"train 14, val 6 images then, train 15, val 6 images now.*remove {directory}"
    ):
        prepare_folder(several, **options)
    (several / "train" / "dog" / "new.png").unlink()
    prepare_folder(several, **options)
    with (several / "val" / "cat" / "000.png").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="other files"):
        prepare_folder(several, **options)
    (pathlib.Path(directory) / "preparation.json").unlink()
    with pytest.raises(InputError, match="another data set"):
        prepare_folder(several, **options)


def test_unreadable_files_are_named_or_left_out(several, tmp_path, capsys):
    (several / "train" / "cat" / "text.jpg").write_text("hello")
    (several / "val" / "dog" / "gone.png").symlink_to(several / "nowhere.png")
    cut = several / "val" / "dog" / "000.png"
    cut.write_bytes(cut.read_bytes()[:200])
    options = {"data_dir": tmp_path / "data", "shard_bytes": 400}  # shards of one image or two
    with pytest.raises(InputError, match=r"(?s)3 images cannot be read.*text\.jpg.*--on_error skip") as caught:
        prepare_folder(several, **options)
    assert "gone.png: the file cannot be read" in str(caught.value) and "000.png" in str(caught.value)
    with pytest.raises(ValueError, match="is not prepared"):
        load("tfds:several", "train", data_dir=tmp_path / "data")
    capsys.readouterr()
    directory = prepare_folder(several, on_error="skip", **options)
    assert "has 20 of 22 images" not in (text := capsys.readouterr().err) and "has 19 of 22 images" in text
    for split, count in (("train", 14), ("val", 5)):
        folder = load(f"folder:{several}", split, image_size=(8, 8), on_error="skip")
        prepared = load("tfds:several", split, data_dir=tmp_path / "data", image_size=(8, 8))
        expected, found = read_all(folder), read_all(prepared)
        readable = expected["mask"] == 1
        assert len(prepared) == count == readable.sum()
        np.testing.assert_array_equal(found["image"], expected["image"][readable])
        np.testing.assert_array_equal(found["label"], expected["label"][readable])
        assert len(tfds.builder_from_directory(directory).as_data_source(split=split)) == count


def test_a_full_disk_says_so_and_the_same_command_goes_on(several, tmp_path):
    options = {"data_dir": tmp_path / "data", "shard_bytes": FOUR_SHARDS, "quiet": True}
    directory = tmp_path / "data" / "several" / "1.0.0"
    directory.mkdir(parents=True)
    full = directory / "several-train.array_record-00002-of-00003.tmp"
    full.symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"the disk of .* is full.*resumes"):
        prepare_folder(several, **options)
    assert len(list(directory.glob("*array_record*"))) == 2 and not os.path.lexists(full)
    prepare_folder(several, **options)
    assert len(stored(directory)) == 14


def test_wrong_arguments(several, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    cases = {
        (f"folder:{several}", f"--data_dir={file}"): "cannot be written",
        (f"folder:{several}", f"--data_dir={several}/train"): "would be one of its classes",
        (f"folder:{tmp_path}/gone",): "not a folder: expected",
        (f"folder:{several}", "--name=Big Cats"): "'Big Cats'",
        (f"folder:{several}", "--name=imagenette"): "a set imagenette of its own: give --name",
        (f"folder:{several}", "--size=0"): "at least 1",
        (f"folder:{several}", "--manual_dir=x"): "manual_dir",
        ("tfds:cifar10", "--size=8"): "of folders",
        (str(several),): "folder:PATH",
    }
    for arguments, words in cases.items():
        assert main(["prepare", f"--data_dir={tmp_path / 'data'}", *arguments]) == 2, arguments
        assert words in capsys.readouterr().err, arguments
    assert not (tmp_path / "data").exists()
    with pytest.raises(InputError, match="'raise', 'skip'"):
        prepare_folder(several, on_error="ignore", data_dir=tmp_path / "data")


def test_from_the_command_line(several, tmp_path, capsys):
    code = main(
        ["prepare", f"folder:{several}", f"--data_dir={tmp_path}", "--name=pets", "--size=8", "--on_error=skip"]
    )
    out, err = capsys.readouterr()
    assert code == 0 and out.strip() == str(tmp_path / "pets" / "1.0.0")
    assert f"--config.data.name=tfds:pets --config.data.data_dir={tmp_path}" in err
    assert "20/20 images" in err and "images/s" in err and "left" in err
    assert json.loads((tmp_path / "pets" / "1.0.0" / "dataset_info.json").read_text())["version"] == "1.0.0"
    assert {Image.open(io.BytesIO(data)).size for data in stored(out.strip())} == {(8, 10)}  # of 12 high, 10 wide


def test_a_percent_of_a_large_set_is_held_out(several, tmp_path):
    directory = pathlib.Path(prepare_folder(several, data_dir=tmp_path / "data", quiet=True))
    text = (directory / "dataset_info.json").read_text()
    (directory / "dataset_info.json").write_text(text.replace('"14"', '"1281167"'))
    assert default_splits("tfds:several", data_dir=tmp_path / "data") == {
        "train": "train[:99%]",
        "validation": "train[99%:]",
        "test": "val",
    }


def test_imagenette(shared, tmp_path):
    prepare(f"folder:{shared / 'imagenette'}", name="small", data_dir=tmp_path, quiet=True)
    for split in ("train[:5%]", "val[90%:]"):
        folder = load(f"folder:{shared / 'imagenette'}", split, image_size=(64, 64))
        prepared = load("tfds:small", split, data_dir=tmp_path, image_size=(64, 64))
        for key, expected in read_all(folder).items():
            np.testing.assert_array_equal(read_all(prepared)[key], expected)
