"""Fields of an example beside its image: declared, checked, and carried on every way that images take."""

import io
import logging

import numpy as np
import pytest
from PIL import Image

from jaxcnn import InputError, trust
from jaxcnn.data import (
    GEOMETRY,
    LABEL,
    Arrays,
    DataError,
    Order,
    Records,
    ResizedCrop,
    ScaledCrop,
    check_classes,
    epoch,
    load,
    read_all,
    stream,
)
from jaxcnn.training.rundir.data_changes import about_data, data_changes

BOXES = """
import io
import numpy as np
from PIL import Image
from jaxcnn.data import GEOMETRY, DataError, Records

MOST = 3

class Boxes:
    name, classes, split_names, shape = "boxes", (), ("train",), (None, None, 3)
    fields = {"boxes": ((MOST, 4), np.float32), "box_mask": ((MOST,), bool), "kind": ((), "int8"), **GEOMETRY}

    def shard_lengths(self, split):
        return (40,)

    def fetch(self, split, ids):
        return [self.example(record) for record in ids]

    def example(self, record):
        random = np.random.default_rng(record)
        size = random.integers(20, 60, 2)
        if record == 11:
            return DataError("it is gone"), {"kind": 7}
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(file, "PNG")
        count = record % (MOST + 1)
        boxes, mask = np.zeros((MOST, 4)), np.arange(MOST) < count
        boxes[:count] = random.random((count, 4)) * 20
        return file.getvalue(), {"boxes": boxes, "box_mask": mask, "kind": int(record % 5)}

    def describe_record(self, split, record):
        return f"boxes/{record}.png"

def load(split, *, data_dir, **options):
    return Records(Boxes(), split, **options)
"""


@pytest.fixture
def boxes(user_package):
    """Records of a user's own: images of many sizes with up to 3 boxes each; one cannot be read."""
    user_package("my_boxes", BOXES)
    trust.allow("my_boxes:load")
    return load("my_boxes:load", "train[4:]", image_size=(16, 12), on_error="skip")


def joined(batches):
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], strict=True)


def test_a_users_boxes_are_the_same_on_every_way(boxes):
    resident = read_all(boxes)
    assert {name: (values.shape[1:], values.dtype) for name, values in resident.items()} == {
        "image": ((16, 12, 3), np.uint8),
        "boxes": ((3, 4), np.float32),
        "box_mask": ((3,), bool),
        "kind": ((), np.int8),
        "view": ((4,), np.float32),
        "size": ((2,), np.int32),
        "mask": ((), np.float32),
        "index": ((), np.int32),
    }
    assert {name: (values.shape[1:], values.dtype) for name, values in resident.items() if name in boxes.fields} == (
        boxes.fields
    )
    np.testing.assert_array_equal(resident["box_mask"].sum(axis=1)[:4], [0, 1, 2, 3])
    gone = resident["index"] == 11
    assert (resident["mask"] == ~gone).all()
    assert (resident["kind"][gone], resident["view"][gone].any(), resident["image"][gone].any()) == (7, False, False)
    order = Order(36, seed=2)
    ways = {"batch_size": 12, "stop": 60}
    with stream(boxes, order, **ways) as batches:
        streamed = joined(list(batches))
    assert_equal(streamed, {name: values[order.records(0, 60)] for name, values in resident.items()})
    with stream(boxes, order, **ways, start=24, num_workers=2) as batches:  # resumed
        assert_equal(joined(list(batches)), {name: values[24:] for name, values in streamed.items()})
    parts = [list(stream(boxes, order, **ways, process_index=p, process_count=2)) for p in range(2)]
    assert_equal(joined([part for pair in zip(*parts, strict=True) for part in pair]), streamed)
    evaluated = joined(list(epoch(boxes, batch_size=16)))
    assert_equal({name: values[:36] for name, values in evaluated.items()}, resident)
    assert not any(values[36:].any() for values in evaluated.values())


def ramp(height, width):
    """An image whose red is 4 times the column and whose green is 4 times the row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 0], image[:, :, 1] = 4 * np.arange(width)[None], 4 * np.arange(height)[:, None]
    return image


def encoded(image, form, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, **options)
    return file.getvalue()


class Stored:
    """A Source of one stored image, and of what stands beside it."""

    name, classes, split_names = "stored", (), ("train",)

    def __init__(self, stored, values={}, fields=GEOMETRY):  # noqa: B006
        self.stored, self.values, self.fields = stored, values, fields
        self.shape = stored.shape if isinstance(stored, np.ndarray) else (None, None, 3)

    def shard_lengths(self, split):
        return (1,)

    def fetch(self, split, ids):
        return [(self.stored, self.values)] * len(ids)

    def describe_record(self, split, record):
        return f"record {record} of the shelf"


def assert_shows(found, size, slack):
    """The pixels of a ramp of a size are those of its view."""
    np.testing.assert_array_equal(found["size"], size)
    top, left, height, width = found["view"]
    rows, columns, _ = found["image"].shape
    for channel, (start, extent, count) in enumerate(((left, width, columns), (top, height, rows))):
        places = start + (np.arange(count) + 0.5) * extent / count - 0.5
        seen = found["image"][..., channel].astype(float).mean(axis=channel) / 4
        step = 1.5 * extent / count  # as far as the filter reaches
        inside = (places > step) & (places < size[1 - channel] - 1 - step)
        assert inside.sum() >= count // 2
        np.testing.assert_allclose(seen[inside], places[inside], atol=slack)
        np.testing.assert_allclose(np.mean(seen[inside] - places[inside]), 0, atol=slack / 2)


ORIENTED = Image.Exif()
ORIENTED[0x0112] = 6  # stored lying on its left side
FORMS = {
    "array": (lambda image: image, 0.2),
    "png": (lambda image: encoded(image, "PNG"), 0.2),
    "jpeg": (lambda image: encoded(image, "JPEG", quality=100, subsampling=0), 0.8),
    "oriented": (
        lambda image: encoded(np.rot90(image), "JPEG", quality=100, subsampling=0, exif=ORIENTED),
        0.8,
    ),
}
SIZE = (48, 64)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "options",
    [
        {"image_size": (10, 8)},
        {"image_size": (10, 8), "resize": 15, "interpolation": "bicubic"},
        {"image_size": (12, 7), "fit": "stretch"},
        {"image_size": SIZE},
    ],
    ids=["crop", "resize", "stretch", "whole"],
)
def test_the_view_is_what_the_pixels_show(form, options):
    store, slack = FORMS[form]
    records = Records(Stored(store(ramp(*SIZE))), "train", **options)
    assert_shows(records[0], SIZE, slack)
    whole = records.whole(0)
    np.testing.assert_array_equal(whole["view"], [0, 0, *SIZE])
    np.testing.assert_array_equal(whole["size"], SIZE)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("crop", [ResizedCrop(), ResizedCrop(area=(0.5, 1.0)), ScaledCrop()])
def test_the_view_of_a_random_crop(form, crop):
    store, slack = FORMS[form]
    records = Records(Stored(store(ramp(*SIZE))), "train", image_size=(10, 8))
    with stream(records, Order(1, seed=5), batch_size=12, stop=12, crop=crop) as batches:
        (batch,) = batches
    assert len(np.unique(batch["view"], axis=0)) == 12
    for row in range(12):
        assert_shows({key: value[row] for key, value in batch.items()}, SIZE, slack)


def test_the_view_of_a_padded_image_reaches_over_it():
    found = Records(Stored(ramp(20, 30)), "train", image_size=(25, 40), fit="pad")[0]
    np.testing.assert_array_equal(found["view"], [-2, -5, 25, 40])
    assert found["image"][2, 5 + 7, 0] == 4 * 7


@pytest.fixture
def pairs(tmp_path):
    """make(size of the second) is a Source of 6 pairs of PNG, the second of which is the first inverted."""

    class Pairs(Stored):
        name, shape, fields = "pairs", (None, None, 3), {"target": "image", "page": ((), np.int32), **GEOMETRY}

        def __init__(self, change):
            self.change = change

        def shard_lengths(self, split):
            return (6,)

        def fetch(self, split, ids):
            found = []
            for record in ids:
                image = np.random.default_rng(record).integers(0, 256, (30 + record, 40, 3), np.uint8)
                target = self.change(record, encoded(255 - image, "PNG"))
                found.append((encoded(image, "PNG"), {"target": target, "page": record}))
            return found

    return lambda change=lambda record, target: target: Pairs(change)


@pytest.mark.parametrize("crop", [None, ResizedCrop(), ScaledCrop()])
def test_a_field_that_is_an_image_is_cut_as_the_image(pairs, crop):
    records = Records(pairs(), "train", image_size=(20, 16), resize=20)
    assert records.fields["target"] == ((20, 16, 3), np.uint8)
    assert records.fields_at((8, 9, 3)) == {**records.fields, "target": ((8, 9, 3), np.uint8)}
    with stream(records, Order(6, seed=0), batch_size=6, stop=12, crop=crop) as batches:
        found = joined(list(batches))
    np.testing.assert_allclose(255 - found["target"].astype(int), found["image"], atol=1)
    np.testing.assert_array_equal(found["page"], found["index"])
    whole = records.whole(4)
    assert whole["image"].shape == whole["target"].shape == (34, 40, 3)


@pytest.mark.parametrize(
    "broken, reason",
    [
        (lambda target: target[:90], r"record 3 of the shelf: its target: the image is"),
        (lambda target: DataError("the file cannot be read"), r"record 3 of the shelf: its target: the file cannot"),
        (lambda target: encoded(ramp(10, 12), "PNG"), r"its target: it is 10x12, and the image 33x40: both are of one"),
    ],
)
def test_of_a_pair_that_is_broken_nothing_is_shown(pairs, broken, reason, caplog):
    source = pairs(lambda record, target: broken(target) if record == 3 else target)
    with pytest.raises(DataError, match=reason):
        read_all(Records(source, "train", image_size=(16, 16)))
    skipping = Records(source, "train", image_size=(16, 16), on_error="skip")
    with caplog.at_level(logging.WARNING):
        found = read_all(skipping)
    assert caplog.text.count("skipped record 3 of the shelf") == 1
    np.testing.assert_array_equal(found["mask"], [1, 1, 1, 0, 1, 1])
    np.testing.assert_array_equal(found["page"], range(6))
    with stream(skipping, Order(6, seed=0), batch_size=6, stop=6, crop=ResizedCrop()) as batches:
        (cropped,) = batches
    for name in ("image", "target", "view", "size"):
        for batch in (found, cropped):
            np.testing.assert_array_equal(batch[name].reshape(6, -1).any(axis=1), batch["mask"] > 0)
    whole = skipping.whole(3)
    assert whole["image"] is whole["target"] is None
    assert (whole["page"], whole["mask"], whole["size"].any()) == (3, 0, False)


IMAGE, POINT = np.zeros((4, 4, 1), np.uint8), {"point": ((2,), np.float32)}


@pytest.mark.parametrize(
    "fields, values, reason",
    [
        (POINT, {"point": [1, 2, 3]}, r"'point' is int64 \(3,\); stored declares float32 \(2,\)"),
        (POINT, {"point": "ab"}, r"'point' is <U2 \(\); stored declares float32 \(2,\)"),
        (POINT, {"point": [[1], [2, 3]]}, r"'point' is ragged; stored declares float32 \(2,\)"),
        (POINT, {}, r"'point' is missing; stored declares float32 \(2,\)"),
        (POINT, {"point": [1, 2], "piont": 3}, r"'piont' is not declared by stored; did you mean 'point'\?"),
        (POINT, 5, "stored gives int beside the image; it gives a dict of its fields"),
        ({"count": ((), np.int8)}, {"count": 300}, r"'count' is from 300 to 300; stored declares int8 \(\)"),
        ({"count": ((), np.int32)}, {"count": 0.5}, r"'count' is float64 \(\); stored declares int32 \(\)"),
        ({"there": ((2,), bool)}, {"there": [0, 1]}, r"'there' is int64 \(2,\); stored declares bool \(2,\)"),
        ({"target": "image"}, {"target": "a.png"}, "'target' is str; stored declares an image"),
        (None, 1.5, r"'label' is float64 \(\); stored declares int32 \(\)"),
        (None, 2**31, r"'label' is from 2147483648 to 2147483648; stored declares int32 \(\)"),
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_another_value_than_declared_names_record_and_field(fields, values, reason, on_error):
    records = Records(Stored(IMAGE, values, fields), "train", on_error=on_error)
    batches = stream(records, Order(1, seed=0), batch_size=1)
    with pytest.raises(InputError, match=rf"record 0 of the shelf: .*{reason}") as caught:
        next(batches)
    assert not isinstance(caught.value, DataError)


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"mask": ((), np.float32)}, "'mask', a name that every batch has"),
        ({"size": ((), np.float32)}, r"'size', but 'size' is what the records give of the original, int32 \(2,\)"),
        ({"view": "image"}, "'view', but 'view' is what the records give of the original"),
        ({"point": (2, np.float32)}, r"'point' as \(2, .*; it is \(shape, dtype\)"),
        ({"point": ((2,), "flaot32")}, r"'point' as .*; it is \(shape, dtype\)"),
        ({"point": ((2,), np.float64)}, r"'point' of float64 \(2,\); .* one of bool, int8"),
        ({"point": ((0, 2), np.float32)}, r"'point' of .*sides are positive"),
        ({"count": ((), np.uint8)}, r"'count' of uint8 \(\), but uint8 is for pixels"),
        ({"target": "picture"}, "'target' as 'picture'"),
    ],
)
def test_a_declaration_that_cannot_be(fields, reason):
    with pytest.raises(InputError, match=f"stored declares a field {reason}"):
        Records(Stored(IMAGE, fields=fields), "train")


def test_arrays_take_fields():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    values = {"target": images[::-1], "angle": np.linspace(0, 1, 5)}
    source = Arrays("angles", {"train": (images, values)}, fields={"target": "image", "angle": ((), np.float32)})
    records = Records(source, "train[1:]", image_size=(4, 4))
    found = read_all(records)
    np.testing.assert_array_equal(found["angle"], np.linspace(0, 1, 5, dtype=np.float32)[1:])
    np.testing.assert_array_equal(found["target"][2], records[0]["image"])
    assert records.classes == ()
    check_classes("angles", records.classes)
    with pytest.raises(InputError, match="angles has no labels: its fields are target, angle"):
        records.labels()
    with pytest.raises(ValueError, match=r"5 images, but 'angle' float64 \(4,\)"):
        Arrays("angles", {"train": (images, {"angle": np.zeros(4)})}, fields={"angle": ((), np.float32)})


def test_a_run_keeps_fields_where_they_are_not_a_label(boxes):
    digits = {"train": load("digits", "train[:50]", image_size=(8, 8))}
    assert digits["train"].fields == LABEL
    plain = about_data(digits, shape=(8, 8, 1))
    assert list(plain) == ["classes", "shape", "records"]
    about = about_data({"train": boxes}, shape=(16, 12, 3))
    assert about["fields"]["boxes"] == [[3, 4], "float32"]
    assert data_changes(about, about) == data_changes(plain, plain) == []
    (change,) = data_changes({**about, "fields": {"kind": [[], "int8"]}}, about)
    assert change.startswith("an example held kind int8 () and holds boxes float32 (3, 4), box_mask bool (3,)")
    assert "an example held label int32 () and holds boxes" in "; ".join(data_changes({**plain, "records": {}}, about))
