"""Random crops while decoding: where the boxes lie, what they show, and that they depend on seed and position alone."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxcnn.data import Arrays, Order, Records, ResizedCrop, ScaledCrop, load, read_all, stream

CROPS = (ResizedCrop(), ScaledCrop())


class Fixed:
    """A crop of one box; a crop of the user's own needs no more."""

    def __init__(self, *box):
        self._box = box

    def box(self, bits, size, image_size):
        return self._box


class Encoded:
    """A Source of one encoded image."""

    name, classes, split_names, shape = "encoded", ("a",), ("train",), (None, None, 3)

    def __init__(self, data):
        self._data = data

    def shard_lengths(self, split):
        return (1,)

    def fetch(self, split, ids):
        return [(self._data, 0)] * len(ids)

    def describe_record(self, split, record):
        return "the image"


def cut(data, crop, image_size, **options):
    records = Records(Encoded(data), "train", image_size=image_size, **options)
    return next(stream(records, Order(1, seed=0), batch_size=1, crop=crop))["image"][0]


def saved(image, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def draws(crop, size, image_size, count):
    bits = np.random.Philox(0)
    return np.array([crop.box(bits, size, image_size) for _ in range(count)])


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CROPS), *[st.integers(1, 500)] * 2, *[st.integers(1, 300)] * 2, st.integers(0, 2**40))
def test_boxes_lie_inside_any_image(crop, height, width, target_height, target_width, seed):
    top, left, tall, wide = crop.box(np.random.Philox(seed), (height, width), (target_height, target_width))
    assert tall > 0 and wide > 0 and top >= 0 and left >= 0
    assert top + tall <= height * (1 + 1e-12) and left + wide <= width * (1 + 1e-12)


def test_resized_crops_have_uniform_area_place_and_log_aspect():
    low, high = 0.1, 0.4
    top, left, height, width = draws(ResizedCrop(area=(low, high)), (300, 400), (224, 224), 4000).T
    area, log_aspect = height * width / (300 * 400), np.log(width / height) / np.log(4 / 3)
    for values, first, last in (
        (area, low, high),
        (log_aspect, -1, 1),
        (top / (300 - height), 0, 1),
        (left / (400 - width), 0, 1),
    ):
        assert first <= values.min() + 1e-9 and values.max() - 1e-9 <= last
        counts, _ = np.histogram(values, bins=8, range=(first, last))
        np.testing.assert_allclose(counts, 500, atol=5 * np.sqrt(500))  # five standard deviations
    assert abs(np.corrcoef(area, log_aspect)[0, 1]) < 0.08


def test_a_crop_that_never_fits_is_the_largest_centred_one_of_the_nearest_aspect():
    (box,) = draws(ResizedCrop(area=(0.9, 1.0)), (100, 1000), (224, 224), 1)
    np.testing.assert_allclose(box, (0, 500 - 100 * 4 / 3 / 2, 100, 100 * 4 / 3))


def test_scaled_crops_have_a_uniform_scale_and_the_shape_of_the_image_size():
    top, left, height, width = draws(ScaledCrop(), (375, 500), (224, 224), 4000).T
    np.testing.assert_allclose(height, width)
    short_side = 224 * 375 / height
    for values, first, last in ((short_side, 256, 480), (top / (375 - height), 0, 1), (left / (500 - width), 0, 1)):
        counts, _ = np.histogram(values, bins=8, range=(first, last))
        assert counts.sum() == 4000
        np.testing.assert_allclose(counts, 500, atol=5 * np.sqrt(500))


def test_scaled_crops_that_are_not_square_jitter_on_the_side_with_less_room():
    _, _, height, width = draws(ScaledCrop(scale=(1, 2)), (100, 400), (50, 25), 4000).T
    np.testing.assert_allclose(height, 2 * width)
    counts, _ = np.histogram(100 / height, bins=8, range=(1, 2))  # the window's height is the image's at scale 1
    np.testing.assert_allclose(counts, 500, atol=5 * np.sqrt(500))
    wide = draws(ScaledCrop(scale=(1, 2)), (100, 400), (10, 100), 4000).T
    assert wide[3].max() <= 400 and np.unique(np.round(400 / wide[3], 6)).size > 3900  # no heap at the border


@pytest.mark.parametrize(
    "make", [lambda: ResizedCrop(area=(0, 1)), lambda: ResizedCrop(area=(0.5, 2)), lambda: ResizedCrop(aspect=(2, 1))]
)
def test_a_wrong_range_is_named(make):
    with pytest.raises(ValueError, match="it must be"):
        make()
    with pytest.raises(ValueError, match="scale"):
        ScaledCrop(scale=(0.5, 2))


def picture(height, width):
    """A pixel's value is its place: red down, green across."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    return np.rint(np.stack([255 * y / height, 255 * x / width, 128 + 0 * x], axis=-1)).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    "size, box", [((40, 60), (10, 20, 16, 30)), ((600, 900), (150, 300, 240, 450)), ((600, 900), (30, 600, 20, 200))]
)
def test_the_box_is_shown(size, box, form, interpolation):
    """Enlarged, shrunk (a JPEG is decoded at a reduced scale) and one side of each."""
    options = {"quality": 98, "subsampling": 0} if form == "JPEG" else {}
    found = cut(saved(picture(*size), form, **options), Fixed(*box), (32, 48), interpolation=interpolation)
    places = [box[i] + (np.arange(n) + 0.5) * box[2 + i] / n for i, n in enumerate((32, 48))]
    inner = slice(1, -1)  # the outermost pixels of an enlarged box repeat its edge
    for channel, (place, side) in enumerate(zip(places, size, strict=True)):
        values = found[inner, inner, channel].astype(float).mean(axis=1 - channel)
        np.testing.assert_allclose(values, 255 * place[inner] / side, atol=1.5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_box_is_one_of_the_upright_image(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = picture(300, 200)
    stored = {  # as a camera stores what is seen as `turned`
        1: turned,
        2: turned[:, ::-1],
        3: turned[::-1, ::-1],
        4: turned[::-1],
        5: turned.swapaxes(0, 1),
        6: np.rot90(turned),
        7: turned[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(turned, -1),
    }[orientation]
    found = cut(saved(stored, "JPEG", quality=98, subsampling=0, exif=exif), Fixed(200, 20, 90, 160), (30, 40))
    expected = cut(saved(turned), Fixed(200, 20, 90, 160), (30, 40))
    assert np.abs(found.astype(int) - expected).mean() < 1


def test_enlarging_equals_pillows_resize():
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    expected = Image.fromarray(image[3:20, 5:28]).resize((48, 32), Image.Resampling.BILINEAR)
    difference = cut(saved(image), Fixed(3, 5, 17, 23), (32, 48)).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1


def test_shrinking_averages():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # one pixel wide: 127.5 on average
    np.testing.assert_allclose(cut(saved(stripes), Fixed(0, 0, 64, 64), (8, 8), channels=1), 127.5, atol=1)


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (0.9, 0.2, 0.05, 0.6)])
def test_one_pixel(box):
    for channels in (1, 3):
        pixel = saved(np.full((1, 1, 3), 77, np.uint8))
        np.testing.assert_array_equal(cut(pixel, Fixed(*box), (5, 4), channels=channels), np.full((5, 4, channels), 77))


@pytest.fixture(scope="module")
def records():
    return load("digits", "train[:50]", image_size=(8, 8))


def taken(records, crop, *, batch_size=8, stop=72, **options):
    with stream(records, Order(len(records), seed=4), batch_size=batch_size, stop=stop, crop=crop, **options) as found:
        batches = list(found)
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def assert_equal(one, other):
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], strict=True)


def joined(parts, block):
    """The stream of processes that each took blocks of a number of records."""
    blocks = {key: [part[key].reshape(-1, block, *part[key].shape[1:]) for part in parts] for key in parts[0]}
    return {key: np.concatenate(found, axis=1).reshape(-1, *found[0].shape[2:]) for key, found in blocks.items()}


@pytest.mark.parametrize("crop", CROPS)
def test_crops_depend_on_the_position_alone(records, crop):
    whole = taken(records, crop)
    assert_equal(taken(records, crop, batch_size=24), whole)
    parts = [taken(records, crop, process_index=p, process_count=4) for p in range(4)]
    assert_equal(joined(parts, 2), whole)


def test_broken_off_in_an_epoch_the_stream_goes_on_with_other_workers_and_processes(records):
    crop = ResizedCrop()
    before = taken(records, crop, stop=40, num_workers=2)
    after = [taken(records, crop, start=40, process_index=p, process_count=2, num_workers=1 - p) for p in range(2)]
    after = joined(after, 4)
    assert_equal({key: np.concatenate([before[key], after[key]]) for key in before}, taken(records, crop))


def test_an_epoch_over_two_processes_has_every_record_once(records):
    parts = [taken(records, ScaledCrop(), batch_size=10, stop=50, process_index=p, process_count=2) for p in range(2)]
    assert not set(parts[0]["index"]) & set(parts[1]["index"])
    np.testing.assert_array_equal(np.sort(np.concatenate([part["index"] for part in parts])), np.arange(50))


def test_every_epoch_and_seed_has_crops_of_its_own(records):
    twice = taken(records, ResizedCrop(), batch_size=50, stop=100)
    first, second = (twice["image"][half][np.argsort(twice["index"][half])] for half in (slice(50), slice(50, 100)))
    assert sum((a != b).any() for a, b in zip(first, second, strict=True)) > 40  # boxes of few pixels may coincide
    with stream(records, Order(50, seed=5), batch_size=50, stop=50, crop=ResizedCrop()) as batches:
        (batch,) = batches
    other = batch["image"][np.argsort(batch["index"])]
    assert sum((a != b).any() for a, b in zip(first, other, strict=True)) > 40


def test_the_crops_of_a_seed_are_pinned(records):
    """A change here means that no interrupted run resumes as it began."""
    boxes = []

    class Seen(ResizedCrop):
        def box(self, bits, size, image_size):
            boxes.append(super().box(bits, size, image_size))
            return boxes[-1]

    with stream(records, Order(50, seed=0), batch_size=1, start=10**12, stop=10**12 + 1, crop=Seen()) as batches:
        list(batches)
    np.testing.assert_allclose(boxes, PINNED, rtol=1e-9)


def test_a_crop_of_the_whole_image_changes_nothing(records):
    with stream(records, Order(50, seed=1), batch_size=50, stop=50, crop=Fixed(0, 0, 8, 8)) as batches:
        (batch,) = batches
    np.testing.assert_array_equal(batch["image"], read_all(records)["image"][batch["index"]])


def test_records_of_arrays_are_cropped_and_others_without_read_are_refused():
    image = picture(20, 20)
    mine = Records(Arrays("mine", {"train": (image[None], np.zeros(1, int))}, ("a",)), "train", image_size=(10, 10))
    with stream(mine, Order(1, seed=0), batch_size=1, stop=1, crop=Fixed(5, 10, 10, 10)) as batches:
        (batch,) = batches
    np.testing.assert_array_equal(batch["image"][0], image[5:15, 10:20])
    with pytest.raises(ValueError, match=r"list has no read"):
        stream([1], Order(1, seed=0), batch_size=1, crop=ResizedCrop())


# By NumPy from the raw bits of Philox at counter (0, 10**12, 0, 0): the first draw does not fit, this is the second.
PINNED = [(0.131625112284726, 2.3148617815865173, 4.169184469970451, 4.174355957755144)]
