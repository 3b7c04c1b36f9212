"""Nearest images in feature space: distances, a row's own place, image files, and what no longer fits."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from jaxcnn import InputError, Trained
from jaxcnn.data import load
from jaxcnn.transfer.feature_file import read_features, write_features
from jaxcnn.transfer.features import Extractor, split_records
from jaxcnn.transfer.neighbours import find_neighbours, leave_one_out, nearest_rows
from jaxcnn.visualize.figure import PALETTE
from jaxcnn.visualize.neighbours import neighbour_sheet


@pytest.fixture(scope="module")
def gallery(tiny_run, tmp_path_factory):
    output = tmp_path_factory.mktemp("gallery") / "features.npz"
    trained = Trained(tiny_run)
    write_features(Extractor(trained, "pool1"), *split_records(trained, "test"), output)
    return read_features(output)


def distances(x, y, metric):
    if metric == "euclidean":
        return np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=-1))
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    return 1 - x @ y.T


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_nearest_rows(metric):
    random = np.random.default_rng(0)
    gallery, queries = random.normal(size=(50, 6)) * random.uniform(0.1, 10, (50, 1)), random.normal(size=(4, 6))
    found, rows = nearest_rows(gallery, queries, k=7, metric=metric)
    expected = distances(queries, gallery, metric)
    np.testing.assert_array_equal(rows, np.argsort(expected, axis=1)[:, :7])
    np.testing.assert_allclose(found, np.sort(expected, axis=1)[:, :7], rtol=1e-9)


def test_leave_one_out_by_hand():
    line = np.array([[0.0], [1.0], [3.0], [3.5], [9.0]])
    # nearest other: 1, 0, 3.5, 3, 3.5
    right = leave_one_out(line, np.array([0, 1, 1, 1, 0]), metric="euclidean")
    np.testing.assert_array_equal(right, [False, False, True, True, False])
    with pytest.raises(InputError, match="one image"):
        leave_one_out(line[:1], np.array([0]))


def test_rows_of_the_gallery_are_not_their_own_neighbours(gallery):
    features = gallery.features.copy()
    features[[10, 20, 30]] = features[5]  # four equal ones: which of them stands first is open
    gallery = dataclasses.replace(gallery, features=features)
    found = find_neighbours(gallery, ["5", "30", "7"], k=3, metric="euclidean")
    assert found.names == ["row 5", "row 30", "row 7"]
    assert set(found.rows[0]) == {10, 20, 30} and set(found.rows[1]) == {5, 10, 20} and 7 not in found.rows[2]
    np.testing.assert_allclose(found.distances[:2], 0, atol=1e-3)
    images = load("digits", "test", image_size=(8, 8)).read(range(360))["image"]
    np.testing.assert_array_equal(found.images, images[[5, 30, 7]])
    np.testing.assert_array_equal(found.matches, images[found.rows])
    np.testing.assert_array_equal(found.labels, gallery.label[[5, 30, 7]])
    np.testing.assert_array_equal(found.match_labels, gallery.label[found.rows])


def test_an_image_file_passes_the_network_of_the_gallery(gallery, tmp_path):
    image = load("digits", "test", image_size=(8, 8)).read([42])["image"][0]
    Image.fromarray(image[..., 0]).save(tmp_path / "digit.png")
    found = find_neighbours(gallery, ["3", str(tmp_path / "digit.png")], k=2)
    assert found.names == ["row 3", str(tmp_path / "digit.png")] and found.rows[1, 0] == 42
    assert found.distances[1, 0] == pytest.approx(0, abs=1e-5) and list(found.labels) == [gallery.label[3], -1]
    np.testing.assert_array_equal(found.images[1], image)


def test_what_does_not_fit_is_named(gallery, tmp_path):
    with pytest.raises(InputError, match="no row 360: the gallery has the rows 0 to 359"):
        find_neighbours(gallery, ["360"], k=2)
    with pytest.raises(InputError, match="-k is 360; with 360 images in the gallery it is 1 to 359"):
        find_neighbours(gallery, ["0"], k=360)
    with pytest.raises(InputError, match="has 360 images now, and had 361"):
        find_neighbours(dataclasses.replace(gallery, meta={**gallery.meta, "images": 361}), ["0"], k=2)
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match="other weights"):
        other = dataclasses.replace(gallery, meta={**gallery.meta, "weights": "0" * 12})
        find_neighbours(other, [str(tmp_path / "black.png")], k=2)
    features = gallery.features.copy()
    features[9, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite for 1 of 360 images, the first at position 9"):
        find_neighbours(dataclasses.replace(gallery, features=features), ["0"], k=2)


def test_the_sheet_marks_the_matches_of_the_query_s_class(gallery):
    found = find_neighbours(gallery, ["5", "0"], k=4)
    axes = np.array(neighbour_sheet(found, gallery.classes, metric="cosine").axes).reshape(2, 5)
    for query in range(2):
        assert axes[query, 0].get_title() == f"row {(5, 0)[query]}\n{gallery.classes[found.labels[query]]}"
        for place in range(4):
            same = found.match_labels[query, place] == found.labels[query]
            name = gallery.classes[found.match_labels[query, place]]
            title = f"{'= ' if same else ''}{name}\n{found.distances[query, place]:.3g}"
            assert axes[query, place + 1].get_title() == title
            red, green, blue, _ = axes[query, place + 1].spines["left"].get_edgecolor()
            colour = "#{:02X}{:02X}{:02X}".format(*(round(255 * x) for x in (red, green, blue)))
            assert colour == (PALETTE[2] if same else PALETTE[1])


def test_a_folder_that_has_changed_is_not_shown(tiny_run, tmp_path):
    for number in range(20):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 10 * number).save(folder / f"{number // 2}.png")
    trained, output = Trained(tiny_run), tmp_path / "features.npz"
    records = split_records(trained, "train", name=f"folder:{tmp_path / 'photos'}")
    write_features(Extractor(trained, "pool1"), *records, output)
    gallery = read_features(output)
    assert find_neighbours(gallery, ["5"], k=3).names == ["row 5"]
    (tmp_path / "photos" / "a").rename(tmp_path / "c")
    (tmp_path / "photos" / "b").rename(tmp_path / "photos" / "a")
    (tmp_path / "c").rename(tmp_path / "photos" / "b")
    with pytest.raises(InputError, match=r"photos .* holds other files than when the features were written"):
        find_neighbours(gallery, ["5"], k=3)
