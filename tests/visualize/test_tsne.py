"""The map of t-SNE: places, points, page."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxcnn.evaluation.trained import Trained
from jaxcnn.training.splits import load_records
from jaxcnn.visualize.tsne import MARKERS, THUMBNAIL, Sample, draw_tsne, embed, look, sample_stage
from jaxcnn.visualize.tsne_page import SHAPES, thumbnail_sheet, tsne_page


@pytest.fixture(scope="module")
def clusters():
    """Three clusters of 20 points far from each other."""
    draw = np.random.default_rng(0)
    centres = 30 * np.eye(3, 60)
    return np.concatenate([draw.normal(centre, 1, (20, 60)) for centre in centres]), np.repeat(np.arange(3), 20)


@pytest.fixture(scope="module")
def places(clusters):
    return embed(clusters[0], perplexity=8, seed=3)


@pytest.fixture(scope="module")
def sample(clusters):
    vectors, labels = clusters
    probabilities = 0.1 + 0.7 * np.eye(3)[labels]
    probabilities[7] = (0.2, 0.2, 0.6)
    images = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    return Sample(images, labels, np.arange(100, 160), vectors.astype(np.float32), probabilities.astype(np.float32))


def test_clusters_stay_together(clusters, places):
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (clusters[1][distance.argmin(axis=1)] == clusters[1]).all()
    assert places.min() == 0 and places.max() == 1


def test_a_seed_is_a_map(clusters, places):
    np.testing.assert_array_equal(embed(clusters[0], perplexity=8, seed=3), places)


def test_mistakes_are_named(clusters):
    with pytest.raises(ValueError, match="perplexity is 60; for 60 images it is at least 1 and below 60"):
        embed(clusters[0], perplexity=60)
    with pytest.raises(ValueError, match="not all finite"):
        embed(np.full((20, 3), np.nan), perplexity=5)


def test_a_stage_of_drawn_images(tiny_run):
    trained = Trained(tiny_run)
    records = load_records(trained.config, "validation")
    found = sample_stage(trained, records, "pool1", count=70, seed=5)
    expected = np.sort(np.random.default_rng(5).permutation(len(records))[:70])
    np.testing.assert_array_equal(found.positions, expected)
    batch = records.read(expected)
    np.testing.assert_array_equal(found.labels, batch["label"])
    normalised = (batch["image"] / np.float32(255) - trained.mean) / trained.std
    _, features = trained.model.apply(trained.variables, normalised, train=False)
    np.testing.assert_allclose(found.vectors, features["pool1"].mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, trained.probabilities(batch["image"]), rtol=1e-5)


def test_every_image_is_a_point_and_a_mistake_has_a_ring(places, sample):
    figure = draw_tsne(places, sample, ("a", "b", "c"), title="title")
    (axes,) = figure.axes
    drawn = {}
    for points in axes.collections:
        drawn.setdefault(points.get_gid(), []).append(points)
    assert set(drawn) == {"class 0", "class 1", "class 2"}
    for label in range(3):
        found = np.concatenate([points.get_offsets() for points in drawn[f"class {label}"]])
        expected = places[sample.labels == label]
        np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], rtol=1e-6)
    ringed = [points for points in axes.collections if points.get_linewidths()[0] > 1 and len(points.get_offsets())]
    np.testing.assert_allclose(np.concatenate([points.get_offsets() for points in ringed]), places[[7]], rtol=1e-6)
    thumbnails = draw_tsne(places, sample, ("a", "b", "c"), thumbnails=True).axes[0].images
    assert len(thumbnails) == 60
    np.testing.assert_allclose(thumbnails[3].get_array(), sample.images[3] / 255)


def test_28_classes_differ_and_the_page_has_every_shape():
    assert len({look(label) for label in range(28)}) == 28
    assert set(SHAPES) == set(MARKERS)


@pytest.fixture
def many():
    """(places, Sample) of 40 classes of long names, of which the first 12 have one image and the others two."""
    labels = np.concatenate([np.arange(40), np.arange(12, 40)])
    images = np.zeros((68, 30, 10, 1), np.uint8)
    names = [f"class {number} has a name of many words" for number in range(40)]
    return np.random.default_rng(0).random((68, 2)), Sample(images, labels, np.arange(68), images, None), names


def test_of_many_classes_the_28_of_the_most_images_are_named(many):
    places, sample, names = many
    for thumbnails in (False, True):
        figure = draw_tsne(places, sample, names, thumbnails=thumbnails)
        (axes,) = figure.axes
        *named, last = (text.get_text() for text in axes.get_legend().get_texts())
        assert [name.split()[1] for name in named] == [str(number) for number in range(12, 40)]
        assert last == "12 others"
        figure.draw_without_rendering()
        assert axes.get_legend().get_window_extent().width < axes.get_window_extent().width
    (axes,) = draw_tsne(places, sample, names).axes
    looks = {}
    for points in axes.collections:
        mark = points.get_facecolor()[0].tolist(), points.get_paths()[0].vertices.tolist()
        looks.setdefault(points.get_gid(), mark)
    assert len({str(looks[f"class {number}"]) for number in range(12)}) == 1
    assert len(set(map(str, looks.values()))) == 28 + 1
    page = tsne_page(places, sample, names, title="a map", subtitle="seed 3", split="test")
    assert len(set(re.findall(r"<path [^>]*?d=\"(.+?)\" fill=\"(.+?)\"", page))) == 28 + 1


def test_a_class_looks_the_same_without_the_others(places, sample):
    colours = []
    for chosen in (np.arange(60), np.flatnonzero(sample.labels == 2)):
        part = Sample(*(None if field is None else field[chosen] for field in sample))
        (axes,) = draw_tsne(places[chosen], part, ("a", "b", "c")).axes
        colours.append(next(x.get_facecolor()[0] for x in axes.collections if x.get_gid() == "class 2"))
    np.testing.assert_array_equal(*colours)


def test_thumbnails_have_the_sides_of_their_images(many):
    places, sample, names = many
    (axes,) = draw_tsne(places, sample, names, thumbnails=True).axes
    left, right, bottom, top = np.transpose([image.get_extent() for image in axes.images])
    np.testing.assert_allclose((top - bottom, right - left), np.full((68, 2), THUMBNAIL * np.array([1, 1 / 3])).T)
    frames = np.array([line.get_xydata() for line in axes.lines])
    np.testing.assert_allclose(frames.min(axis=1), np.stack([left, bottom], axis=1))
    np.testing.assert_allclose(frames.max(axis=1), np.stack([right, top], axis=1))


def test_the_page_says_what_each_point_is(places, sample, read):
    classes = ("<a>", "b", "c")
    source = tsne_page(places, sample, classes, title="a map", subtitle="seed 3", split="test")
    read(source)
    assert not re.search(r"https?://|src=\"(?!data:)|@import|fetch\(", source)
    data = json.loads(re.search(r'<script type="application/json" id="points">(.*?)</script>', source, re.S)[1])
    assert data["classes"] == ["<a>", "b", "c"] and data["split"] == "test"
    at = data["position"].index(107)
    assert at == 59  # the mistake comes last, above the others
    assert (data["label"][at], data["predicted"][at], data["confidence"][at]) == (0, 2, "60.0 %")
    x, y = data["place"][at]
    assert (x, data["place"][0][0]) == pytest.approx((20 + 900 * places[7, 0], 20 + 900 * places[0, 0]), abs=0.06)
    assert y == pytest.approx(20 + 900 * (places[:, 1].max() - places[7, 1]), abs=0.06)
    assert source.count('class="wrong"') == 1 and source.count("<path ") == 60 + 3


def test_without_predictions_and_classes_no_point_is_wrong_and_none_is_named(places, sample):
    bare = sample._replace(probabilities=None)
    (axes,) = draw_tsne(places, bare, ("a", "b", "c")).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "c"]
    assert draw_tsne(places, bare, ()).axes[0].get_legend() is None
    source = tsne_page(places, bare, (), title="a map", subtitle="seed 3", split="test")
    assert not re.search("only mistakes|predicted wrong|class 0", source)
    data = json.loads(re.search(r'<script type="application/json" id="points">(.*?)</script>', source, re.S)[1])
    assert (data["predicted"], data["classes"]) == (None, [])


def test_thumbnails_lie_in_rows_of_32(sample):
    import io

    sheet = np.asarray(Image.open(io.BytesIO(thumbnail_sheet(sample.images, 8))))
    assert sheet.shape == (16, 256, 3)
    np.testing.assert_array_equal(sheet[8:, 8 * 5 : 8 * 6], sample.images[37])
