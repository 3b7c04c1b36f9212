"""Where the views of an image lie, pixel by pixel, and that each is cut once."""

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import Arrays, DataError, Records, epoch, load
from jaxcnn.data.views import (
    CROPS,
    View,
    ViewedRecords,
    crop_views,
    cut,
    default_scale,
    dense_image,
    scaled_size,
)


def coordinates(height, width):
    """An image whose pixel (y, x) is (y, x, 7)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.full_like(y, 7)], axis=-1).astype(np.uint8)


def records_of(*images, image_size):
    source = Arrays("coordinates", {"test": (np.stack(images), np.arange(len(images)))}, map(str, range(len(images))))
    return Records(source, "test", image_size=image_size)


def resize(image, size, method=Image.Resampling.BILINEAR):
    return np.asarray(Image.fromarray(image).resize(size[::-1], method))


@pytest.mark.parametrize(
    ("image_size", "scale"), [((224, 224), 256), ((227, 227), 259), ((299, 299), 342), ((32, 32), 37), ((64, 64), 73)]
)
def test_default_scale(image_size, scale):
    assert default_scale(image_size) == scale


def test_scaled_size_keeps_the_aspect_ratio():
    assert scaled_size((375, 500), 256) == (256, 341)  # 341.33
    assert scaled_size((500, 375), 256) == (341, 256)
    assert scaled_size((300, 500), 256) == (256, 427)  # 426.67
    assert scaled_size((32, 32), 37) == (37, 37)


def test_boxes_of_ten_crops():
    """AlexNet's numbers: 224 in the central 256x256 of a landscape, whose square begins at (341 - 256) // 2 = 42."""
    boxes = [(0, 42), (0, 74), (32, 42), (32, 74), (16, 58)]
    expected = [View(256, (*box, 224, 224), mirrored) for mirrored in (False, True) for box in boxes]
    options = {"image_size": (224, 224), "scale": 256}
    assert crop_views(10, size=(375, 500), **options) == expected
    assert len(set(expected)) == 10
    assert crop_views(1, size=(375, 500), **options) == [View(256, (16, 58, 224, 224), False)]
    upright = [(left, top) for top, left in boxes]
    assert {v.box[:2] for v in crop_views(10, size=(500, 375), **options)} == set(upright)
    assert crop_views(12, size=(375, 500), **options) == [
        *expected[:5],
        View(256, (0, 42, 256, 256), False),
        *expected[5:],
        View(256, (0, 42, 256, 256), True),
    ]


@pytest.mark.parametrize(("size", "axis"), [((375, 500), 1), ((500, 375), 0)])
def test_boxes_of_144_crops(size, axis):
    views = crop_views(144, size=size, image_size=(224, 224), scale=999)  # the scale is its own
    assert len(views) == len(set(views)) == 144
    long = {256: 341, 288: 384, 320: 427, 352: 469}
    for number, (scale, side) in enumerate(long.items()):
        some = views[36 * number : 36 * number + 36]
        assert {view.scale for view in some} == {scale} and sum(view.mirrored for view in some) == 18
        starts = {0, (side - scale) // 2, side - scale}
        whole = [view for view in some if view.box[2:] == (scale, scale)]
        assert {view.box[axis] for view in whole} == starts and {view.box[1 - axis] for view in whole} == {0}
        rest = scale - 224
        inside = {(0, 0), (0, rest), (rest, 0), (rest, rest), (rest // 2, rest // 2)}
        for start in starts:
            expected = {(y + start * (axis == 0), x + start * (axis == 1)) for y, x in inside}
            assert expected <= {view.box[:2] for view in some if view.box[2:] == (224, 224)}
        assert len([view for view in some if view.box[2:] == (224, 224)]) == 30
    assert len(set(crop_views(144, size=(224, 224), image_size=(224, 224), scale=999))) == 48  # one square thrice


def test_pixels_of_every_view():
    """A landscape that is at the scale already: every pixel of a crop still says where it comes from."""
    image = coordinates(20, 31)
    found = ViewedRecords(records_of(image, image_size=(16, 16)), [(10, 20), (1, 20)]).read([0])
    assert found["views"].shape == (10, 16, 16, 3)
    views = found["views"][found["order"]]
    corners = [(0, 5), (0, 9), (4, 5), (4, 9), (2, 7)]
    for view, (top, left) in zip(views, corners, strict=False):
        np.testing.assert_array_equal(view, image[top : top + 16, left : left + 16])
    for view, (top, left) in zip(views[5:10], corners, strict=True):
        np.testing.assert_array_equal(view[:, :, 1], np.tile(np.arange(left + 15, left - 1, -1), (16, 1)))
        np.testing.assert_array_equal(view[0, :, 0], np.full(16, top))
    np.testing.assert_array_equal(views[10], views[4])


def test_a_square_is_resized():
    image = np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)
    whole, mirrored = (crop_views(12, size=(20, 31), image_size=(16, 16), scale=20)[i] for i in (5, 11))
    expected = resize(image[:, 5:25], (16, 16))
    np.testing.assert_array_equal(cut(image, whole, (16, 16)), expected)
    np.testing.assert_array_equal(cut(image, mirrored, (16, 16)), expected[:, ::-1])


def test_protocols_share_views():
    """32 is 8/7 of 28, one of the four scales of 144 crops, whose central square holds all of 1, 10 and 12."""
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    protocols = [(1, 32), (10, 32), (12, 32), (144, 32), (1, 33)]
    found = ViewedRecords(records_of(image, image_size=(28, 28)), protocols).read([0])
    assert found["views"].shape == (144 + 1, 28, 28, 3) and found["order"].shape == (1 + 10 + 12 + 144 + 1,)
    wanted = [
        view
        for crops, scale in protocols
        for view in crop_views(crops, size=(40, 60), image_size=(28, 28), scale=scale)
    ]
    scaled = {scale: resize(image, scaled_size((40, 60), scale)) for scale in (32, 33, 36, 40, 44)}
    for view, number in zip(wanted, found["order"], strict=True):
        np.testing.assert_array_equal(found["views"][number], cut(scaled[view.scale], view, (28, 28)))


def test_small_images_are_enlarged():
    image = coordinates(32, 32)
    found = ViewedRecords(records_of(image, image_size=(32, 32)), [(10, 37)]).read([0])
    large = resize(image, (37, 37))
    np.testing.assert_array_equal(found["views"][3], large[5:, 5:])
    np.testing.assert_array_equal(found["views"][4], large[2:34, 2:34])


def test_interpolation():
    image = np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8)
    records = records_of(image, image_size=(28, 28))
    found = ViewedRecords(records, [(12, 32)], dense_scales=(32,), interpolation="bicubic").read([0])
    scaled = resize(image, (32, 42), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found["dense_32"], scaled)
    np.testing.assert_array_equal(found["views"][0], scaled[:28, 5:33])
    np.testing.assert_array_equal(found["views"][5], resize(scaled[:, 5:37], (28, 28), Image.Resampling.BICUBIC))


def test_dense_image():
    assert dense_image(coordinates(37, 37), 32).shape == (37, 37, 3)
    found = dense_image(coordinates(64, 101), 16)  # 37 over: two units of 16, and a rest of 5
    np.testing.assert_array_equal(found, coordinates(64, 101)[:, 2:98])
    assert dense_image(coordinates(101, 64), 16).shape == (96, 64, 3)


def test_what_does_not_exist():
    with pytest.raises(ValueError, match="crops is 5; it must be one of 1, 10, 12, 144"):
        crop_views(5, size=(40, 40), image_size=(32, 32), scale=37)
    for crops in set(CROPS) - {144}:
        with pytest.raises(ValueError, match="crop of 32x32 does not fit into an image with a short side of 31"):
            crop_views(crops, size=(40, 50), image_size=(32, 32), scale=31)


def test_photographs_come_whole_and_in_order(image_folder):
    root = image_folder({"train/cat": 3, "train/dog": 2})  # 12 high, 10 wide
    records = load(f"folder:{root}", "train", image_size=(8, 8))
    for i in range(5):
        whole, small = records.whole(i), records[i]
        np.testing.assert_array_equal(whole["image"], np.asarray(Image.open(records.describe_record(i))))
        assert (whole["label"], whole["index"], whole["mask"]) == (small["label"], small["index"], 1)
    with epoch(ViewedRecords(records, [(10, 9)], dense_scales=(9, 20), unit=2), batch_size=1) as images:
        found = list(images)
    assert [int(image["label"][0]) for image in found] == [int(records[i]["label"]) for i in range(5)]
    assert found[0]["dense_9"].shape == (11, 9, 3)  # 10.8 is 11: one unit of 2
    assert found[0]["dense_20"].shape == (24, 20, 3)


def test_what_cannot_be_read(image_folder):
    root = image_folder({"train/cat": 2})
    path = root / "train/cat/001.png"
    path.write_bytes(path.read_bytes()[:50])
    records = load(f"folder:{root}", "train", image_size=(8, 8), on_error="skip")
    found = [ViewedRecords(records, [(10, 9)], dense_scales=(9,)).read([i]) for i in range(2)]
    assert sorted(float(image["mask"][0]) for image in found) == [0, 1]
    strict = load(f"folder:{root}", "train", image_size=(8, 8))
    with pytest.raises(DataError, match=r"001\.png"):
        [strict.whole(i) for i in range(2)]
