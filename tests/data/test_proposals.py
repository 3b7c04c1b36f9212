"""Selective search against a loop over sets of pixels, and proposals as fields of a data set, kept in a folder."""

import itertools
import pickle

import cv2
import numpy as np
import pytest

from jaxcnn.data import Arrays, Records, load
from jaxcnn.data.detection import proposed
from jaxcnn.data.detection.proposed import Proposed
from jaxcnn.data.detection.scenes import scenes
from jaxcnn.data.detection.selective_search import Search, make_search, selective_search
from jaxcnn.errors import InputError

SCENE = scenes(counts={"train": 3, "test": 1})
ROWS = [values for _, values in SCENE.fetch("train", range(3))]
VALUES = {name: np.stack([row[name] for row in ROWS]) for name in ROWS[0]}
FAST = {"colours": ("rgb",), "measures": ("ctsf",), "scales": (20,)}


def histograms(image):
    """Of every pixel, its part of the histograms of colour and of texture."""
    height, width, _ = image.shape
    blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    padded = np.pad(blurred, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    colour, texture = np.zeros((height, width, 3, 25)), np.zeros((height, width, 3, 8, 10))
    for y, x, c in itertools.product(range(height), range(width), range(3)):
        colour[y, x, c, image[y, x, c] // 11] = 1
        across = (padded[y + 1, x + 2, c] - padded[y + 1, x, c]) / 2
        down = (padded[y + 2, x + 1, c] - padded[y, x + 1, c]) / 2
        for direction in range(8):
            angle = direction * np.pi / 4
            steep = across * np.cos(angle) + down * np.sin(angle)
            texture[y, x, c, direction, int(min(max(steep / 12.8, 0), 9))] = 1
    return colour.reshape(height * width, -1), texture.reshape(height * width, -1)


def by_loop(image, labels, measures):
    """The boxes of all segments, in the order in which they arise: everything is computed anew from sets of pixels."""
    height, width = labels.shape
    parts = [histograms(image)[i] for i in range(2)]
    segments = {number: np.flatnonzero(labels.ravel() == number) for number in range(labels.max() + 1)}

    def box(pixels):
        rows, columns = pixels // width, pixels % width
        return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]

    def touch(a, b):
        near = cv2.dilate(
            np.isin(np.arange(height * width), a).reshape(height, width).astype(np.uint8), np.ones((3, 3))
        )
        return near.ravel()[b].any()

    def alike(a, b):
        ha, hb = ([part[own].sum(axis=0) / part[own].sum() for part in parts] for own in (a, b))
        x1, y1, x2, y2 = box(np.union1d(a, b))
        values = {
            "c": np.minimum(ha[0], hb[0]).sum(),
            "t": np.minimum(ha[1], hb[1]).sum(),
            "s": 1 - (len(a) + len(b)) / labels.size,
            "f": 1 - ((x2 - x1) * (y2 - y1) - len(a) - len(b)) / labels.size,
        }
        return sum(values[name] for name in measures)

    found = [box(pixels) for pixels in segments.values()]
    while len(segments) > 1:
        pairs = [(a, b) for a, b in itertools.combinations(segments, 2) if touch(segments[a], segments[b])]
        a, b = max(pairs, key=lambda pair: alike(segments[pair[0]], segments[pair[1]]))
        segments[len(found)] = np.union1d(segments.pop(a), segments.pop(b))
        found.append(box(segments[len(found)]))
    return found


@pytest.mark.parametrize("measures", ["ctsf", "sf", "t"])
def test_grouping_is_what_a_loop_over_sets_of_pixels_finds(measures):
    from skimage.segmentation import felzenszwalb

    image = SCENE.images("train")[0][:26, :34]
    labels = felzenszwalb(image, scale=20, sigma=0.8, min_size=20, channel_axis=-1)
    wanted = by_loop(image, labels, measures)
    assert len(wanted) > 9
    found = selective_search(image, Search(**{**FAST, "measures": (measures,)}))
    assert sorted(found.tolist()) == sorted(map(list, {tuple(map(float, box)) for box in wanted}))
    # ranks count from the end: the order is that of rank times one random number each
    random = np.random.Philox(key=0).random_raw(len(wanted)) * 2.0**-64
    order = np.argsort(np.arange(len(wanted), 0, -1) * random, kind="stable")
    assert found.tolist() == list(map(list, dict.fromkeys(tuple(map(float, wanted[row])) for row in order)))


def test_strategies_are_put_together_and_large_images_are_shrunk():
    image = SCENE.images("train")[1]
    both = {tuple(box) for box in selective_search(image, Search(scales=(20, 40))).tolist()}
    one = {tuple(box) for box in selective_search(image, Search(scales=(20,), colours=("lab",))).tolist()}
    assert one < both
    large = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    half = selective_search(large, Search(**FAST, longest=64))
    np.testing.assert_array_equal(half, 2 * selective_search(image, Search(**FAST)))
    flat = selective_search(np.full((30, 40, 1), 7, np.uint8))
    assert flat.tolist() == [[0, 0, 40, 30]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": 3}, "unknown option 'scale'; did you mean 'scales'"),
        ({"scales": ()}, r"scales is \(\); it is a tuple"),
        ({"scales": (0,)}, "positive whole numbers"),
        ({"colours": ("hvs",)}, "unknown colour space 'hvs'; did you mean 'hsv'"),
        ({"measures": ("cx",)}, "measures hold 'cx'; each is some of c, t, s, f"),
    ],
)
def test_options_that_do_not_fit_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        make_search(options)


@pytest.fixture
def source(tmp_path):
    """make(images, **options) are Records of a small set with proposals in a folder."""

    def make(images=None, count=12, **options):
        stored = SCENE.images("train") if images is None else images
        arrays = Arrays("small", {"train": (stored, VALUES)}, SCENE.classes, fields=SCENE.fields)
        return Proposed(arrays, count=count, folder=tmp_path / "kept", **{**FAST, **options})

    return make


def test_an_example_holds_its_likeliest_proposals(source):
    records = Records(source(count=12), "train")
    assert records.fields["proposals"] == ((12, 4), np.float32)
    for number, image in enumerate(SCENE.images("train")):
        wanted = selective_search(image, Search(**FAST))
        assert len(wanted) > 12
        example = records[number]
        np.testing.assert_array_equal(example["proposals"], wanted[:12])
        assert example["proposal_mask"].all()
        np.testing.assert_array_equal(example["boxes"], VALUES["boxes"][number])
    many = Records(source(count=500), "train")[0]
    there = int(many["proposal_mask"].sum())
    assert there == len(selective_search(SCENE.images("train")[0], Search(**FAST)))
    assert not many["proposals"][there:].any() and many["proposal_mask"][:there].all()


def test_proposals_are_found_once_for_each_search(source, monkeypatch, tmp_path):
    source().find("train", 0, 3)
    found = Records(source(), "train").read(range(3))["proposals"]
    calls = []
    monkeypatch.setattr(proposed, "selective_search", lambda image, search: calls.append(1) or np.zeros((0, 4)))
    again = source(count=5)
    again.find("train", 0, 3)
    copied = pickle.loads(pickle.dumps(again))  # as a worker gets it
    np.testing.assert_array_equal(Records(copied, "train").read(range(3))["proposals"], found[:, :5])
    assert not calls
    source(scales=(40,)).find("train", 0, 1)
    assert len(calls) == 3 and len(list((tmp_path / "kept").iterdir())) == 2


def test_damage_and_other_images_are_named(source, tmp_path):
    source().find("train", 0, 3)
    (path,) = (tmp_path / "kept").rglob("*.npz")
    changed = SCENE.images("train").copy()
    changed[1, 0, 0] += 1
    other = Records(source(images=changed), "train")
    assert other[0]["proposal_mask"].any()
    with pytest.raises(InputError, match=r"small train record 1 is not the image .* remove that file"):
        other[1]
    whole = path.read_bytes()
    for content in (whole[:-40], b"", b"no zip"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{path.name} is damaged, or .*: remove it"):
            source().find("train", 0, 3)
    path.unlink()
    assert Records(source(), "train")[2]["proposal_mask"].any()


def test_an_image_that_cannot_be_read_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    for name, image in zip("ab", SCENE.images("train"), strict=False):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), image)
    (tmp_path / "images" / "b.png").write_bytes(b"damaged")
    options = {"image_size": (64, 64), "on_error": "skip", "proposals": {"count": 9, **FAST}}
    batch = load(f"images:{tmp_path}/images", "train", **options).read([0, 1])
    assert batch["mask"].tolist() == [1, 0]
    assert batch["proposal_mask"][0].any() and not batch["proposal_mask"][1].any()
    assert list((tmp_path / "cache/jaxcnn/proposals").glob("images-train-*/000000.npz"))


def test_options_of_proposals_are_named(source):
    with pytest.raises(InputError, match=r"config.data.proposals: unknown option 'cuont'; did you mean 'count'"):
        load("scenes", "train", proposals={"cuont": 3})
    with pytest.raises(ValueError, match="count is 0; it is the number"):
        source(count=0)
