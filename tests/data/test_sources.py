"""Names, splits and the records of the digits, of tensorflow-datasets and of the user's own sources."""

import io
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxcnn import InputError
from jaxcnn.data import Arrays, DataError, Records, decode_image, default_splits, load, read_all, sources


@pytest.fixture(scope="module")
def digits():
    return {split: read_all(load("digits", split, image_size=(8, 8))) for split in ("train", "test")}


def test_digits_are_all_of_scikit_learns_once(digits):
    both = np.concatenate([digits[split]["image"][..., 0].reshape(-1, 64) for split in digits])
    stored = np.rint(load_digits().data * 255 / 16).astype(np.uint8)
    assert (len(digits["train"]["image"]), len(digits["test"]["image"])) == (1437, 360)
    np.testing.assert_array_equal(both[np.lexsort(both.T)], stored[np.lexsort(stored.T)])
    assert both.max() == 255


def test_digits_are_stratified_in_every_slice(digits):
    np.testing.assert_allclose(np.bincount(digits["test"]["label"]), 36, atol=2)
    for start in range(0, 1300, 144):
        assert np.bincount(digits["train"]["label"][start : start + 144], minlength=10).min() >= 4


def test_digits_record():
    records = load("digits", "train")
    record = records[5]
    assert records.shape == record["image"].shape == (32, 32, 1)
    dtypes = {key: value.dtype for key, value in record.items()}
    assert dtypes == {"image": np.uint8, "label": np.int32, "mask": np.float32, "index": np.int32}
    assert record["label"].shape == record["mask"].shape == record["index"].shape == ()
    assert (record["mask"], record["index"]) == (1.0, 5)
    assert records.classes == tuple("0123456789")
    assert (records.name, records.split, records.describe_record(5)) == ("digits", "train", "digits train record 5")
    assert load("digits", "train", channels=3).shape == (32, 32, 3)
    with pytest.raises(IndexError):
        records[1437]
    assert len(list(load("digits", "train[:3]"))) == 3


@pytest.mark.parametrize(
    "split, expected",
    [
        ("train[10:20]", range(10, 20)),
        ("train[:1%]", range(14)),
        ("train[90%:]", range(1293, 1437)),
        ("train[-5:]", range(1432, 1437)),
        ("test[:2]+train[3:5]", [0, 1, 3, 4]),
        ("all", [*range(1437), *range(360)]),
    ],
)
def test_split_expressions_and_stable_ids(digits, split, expected):
    records = load("digits", split, image_size=(8, 8))
    arrays = read_all(records)
    np.testing.assert_array_equal(arrays["index"], expected)
    if split.startswith("train"):
        np.testing.assert_array_equal(arrays["image"], digits["train"]["image"][arrays["index"]])


def test_parts_of_a_split_sum_to_it():
    assert len(load("digits", "train[:90%]")) + len(load("digits", "train[90%:]")) == len(load("digits", "train"))


@pytest.mark.parametrize(
    "split, reason",
    [
        ("tain", r"Did you mean train\? Its splits are train, test"),
        ("validation", "Its splits are train, test"),
        ("train[5:5]", "empty slice"),
        ("train[20:10]", "empty slice"),
        ("train[:0%]", "empty slice"),
        ("train[9000:]", "1437 examples"),
        ("train[:200%]", "train"),
        ("train[:x]", "a slice is written"),
        ("", "a slice is written"),
    ],
)
def test_a_wrong_split_says_which_there_are(split, reason):
    with pytest.raises(ValueError, match=reason):
        load("digits", split)


@pytest.mark.parametrize(
    "name, nearest",
    [
        ("digit", "digits"),
        ("cifar10", "tfds:cifar10"),
        ("tdfs:mnist", "tfds:mnist"),
        ("mnits", "tfds:mnist"),
        ("foldr:/data", "folder:/data"),
        ("unheard-of", "A data set is digits"),
    ],
)
def test_an_unknown_name_says_what_would_be_right(name, nearest):
    for function in (lambda: load(name, "train"), lambda: default_splits(name)):
        with pytest.raises(ValueError, match=nearest):
            function()


def test_a_directory_is_told_from_a_name(tmp_path):
    with pytest.raises(ValueError, match=f"folder:{tmp_path}"):
        load(str(tmp_path), "train")


@pytest.mark.parametrize("options", [{"on_error": "ignore"}, {"fit": "squash"}, {"channels": 2}, {"image_size": (8,)}])
def test_a_wrong_option_is_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        load("digits", "train", **options)


def test_pad_of_too_large_images_is_an_error_at_once():
    with pytest.raises(ValueError, match="image_size"):
        load("digits", "train", image_size=(7, 9), fit="pad")


@pytest.mark.parametrize("name, size, channels", [("mnist", 28, 1), ("cifar10", 32, 3)])
def test_tfds_records_equal_tfds_own_decoding(shared, name, size, channels):
    import tensorflow_datasets as tfds

    data_dir = shared / "tfds"
    records = load(f"tfds:{name}", "test[10:]", data_dir=data_dir)
    expected = tfds.builder_from_directory(next((data_dir / name).iterdir())).as_data_source(split="test")
    assert (len(records), records.shape) == (9990, (size, size, channels))
    for i in (0, 1, 500):
        np.testing.assert_array_equal(records[i]["image"], expected[i + 10]["image"])
        assert records[i]["label"] == expected[i + 10]["label"]
        assert records[i]["index"] == i + 10
    assert records.describe_record(7) == f"tfds:{name} test record 17"
    assert len(records.classes) == 10


def test_tfds_options(shared):
    mnist = load("tfds:mnist:3.0.1", "train[:4]", data_dir=shared / "tfds", image_size=(32, 32), channels=3, fit="pad")
    image = mnist[0]["image"]
    assert image.shape == (32, 32, 3) and not image[:2].any() and image[2:30].any()
    assert load("tfds:cifar10", "train[:1]", data_dir=shared / "tfds").classes[0] == "airplane"
    expected = {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}
    assert default_splits("tfds:mnist", data_dir=shared / "tfds") == default_splits("digits") == expected


def test_records_are_picklable_before_and_after_use(shared):
    records = load("tfds:cifar10", "train[:9]", data_dir=shared / "tfds")
    for _ in range(2):
        copy = pickle.loads(pickle.dumps(records))
        np.testing.assert_array_equal(copy[8]["image"], records[8]["image"])


def test_a_missing_tfds_set_says_where_and_how(shared, tmp_path):
    with pytest.raises(ValueError, match="python -m jaxcnn prepare tfds:cifar100 --data_dir"):
        load("tfds:cifar100", "train", data_dir=shared / "tfds")
    with pytest.raises(ValueError, match=f"not prepared in {tmp_path}.*nothing"):
        load("tfds:mnist", "train", data_dir=tmp_path)
    with pytest.raises(ValueError, match="Did you mean tfds:cifar10"):
        load("tfds:cifar-10", "train", data_dir=shared / "tfds")
    with pytest.raises(ValueError, match=r"tfds:mnist:9\.9\.9 is not prepared"):
        load("tfds:mnist:9.9.9", "train", data_dir=shared / "tfds")


def test_a_damaged_tfds_file_names_the_record(shared, tmp_path):
    shutil.copytree(shared / "tfds" / "mnist", tmp_path / "mnist", copy_function=shutil.copyfile)
    (file,) = (tmp_path / "mnist").rglob("*test.array_record*")
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200_000] = bytes(200_000)
    file.chmod(0o644)
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"tfds:mnist test record 5.*data.on_error='skip'"):
        read_all(load("tfds:mnist", "test[5000:5256]", data_dir=tmp_path))


def test_tensorflow_is_never_imported(shared):
    program = f"""
import sys
from jaxcnn.data import default_splits, load, read_all
default_splits("tfds:mnist", data_dir={str(shared / "tfds")!r})
read_all(load("tfds:mnist", "test[:100]+train[:1%]", data_dir={str(shared / "tfds")!r}))
assert "tensorflow" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stderr) == (0, "")


def test_resize_reaches_the_records():
    whole = load("digits", "train[:3]", image_size=(8, 8))
    part = load("digits", "train[:3]", image_size=(6, 6), resize=8)
    np.testing.assert_array_equal(read_all(part)["image"], read_all(whole)["image"][:, 1:7, 1:7])
    with pytest.raises(ValueError, match="resize is 5"):
        load("digits", "train", image_size=(6, 6), resize=5)


OWN = """
import numpy as np
from jaxcnn.data import Arrays, Records
def shapes(split, *, data_dir, **options):
    images = np.full((4, 6, 6, 1), 50, np.uint8)
    splits = {"train": (images, np.array([0, 1, 0, 1]))}
    return Records(Arrays("shapes", splits, ("circle", "square")), split, **options)
shapes.default_splits = {"train": "train[:50%]", "validation": "train[50%:75%]", "test": "train[75%:]"}
number = 3
"""


def test_a_source_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "my_shapes.py").write_text(OWN)
    (tmp_path / "my_failing.py").write_text("import a_module_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    records = load("my_shapes:shapes", "train[:50%]", image_size=(3, 3), channels=3)
    assert (len(records), records.shape, records.classes) == (2, (3, 3, 3), ("circle", "square"))
    assert default_splits("my_shapes:shapes")["test"] == "train[75%:]"
    assert load("my_shapes:shapes", "train", image_size=(3, 3), resize=4, interpolation="bicubic").shape == (3, 3, 1)
    with pytest.raises(ValueError, match="shapes"):
        load("my_shapes:shape", "train")
    with pytest.raises(ValueError, match="my_shapes:number is an object of type int"):
        load("my_shapes:number", "train")
    with pytest.raises(InputError, match=r"my_failing.py, line 1: .*a_module_that_is_not_there"):
        load("my_failing:shapes", "train")


@pytest.mark.parametrize(
    "images, labels, reason",
    [
        (np.zeros((2, 3, 3, 1), np.float32), [0, 1], "uint8"),
        (np.zeros((2, 3, 3), np.uint8), [0, 1], "uint8"),
        (np.zeros((2, 3, 3, 1), np.uint8), [0], r"2 images, but 'label' int64 \(1,\)"),
        (np.zeros((2, 3, 3, 1), np.uint8), [0.0, 1.0], "labels are integers"),
        (np.zeros((2, 3, 3, 1), np.uint8), [0, 2], "2 classes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(images, labels, reason):
    with pytest.raises(ValueError, match=reason):
        Arrays("mine", {"train": (images, labels)}, ("a", "b"))


def test_progress_reaches_the_total():
    calls = []
    read_all(load("digits", "train"), progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls) and calls[-1] == (1437, 1437) and len(calls) > 2


def test_decoding_into_records_equals_decode_image(shared):
    records = load("tfds:cifar10", "test[:1]", data_dir=shared / "tfds", image_size=(20, 16), fit="stretch")
    stored = load("tfds:cifar10", "test[:1]", data_dir=shared / "tfds")[0]["image"]
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "PNG")
    expected = decode_image(buffer.getvalue(), image_size=(20, 16), fit="stretch")
    np.testing.assert_array_equal(records[0]["image"], expected)
    assert isinstance(records, Records)


def test_an_embedded_set_is_drawn_once(monkeypatch):
    drawn, images = [], np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    parts = {"train": (images[:3], np.zeros(3, np.int32)), "test": (images[3:], np.zeros(1, np.int32))}
    monkeypatch.setitem(sources.EMBEDDED, "drawn", lambda: drawn.append(1) or Arrays("drawn", parts, ("a",)))
    assert [read_all(load("drawn", split))["image"].ravel().tolist() for split in parts] == [[0, 1, 2], [3]]
    assert len(drawn) == 1


def test_what_a_source_of_arrays_shares_cannot_be_written_into():
    images, labels = np.zeros((2, 1, 1, 1), np.uint8), np.zeros(2, np.int32)
    source = Arrays("mine", {"train": (images, labels)}, ("a",))
    for shared in (source.images("train"), source.labels("train"), source.fetch("train", [0])[0][0]):
        with pytest.raises(ValueError, match="read-only"):
            shared[...] = 1
    images[0] = labels[0] = 0  # one's own stay one's own
