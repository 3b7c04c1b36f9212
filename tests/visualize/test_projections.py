"""Pictures of units: a planted pattern is found and projected, and every kind is drawn from a run."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

import jaxcnn
from jaxcnn.analysis.occlusion import Occlusion
from jaxcnn.analysis.units import Box
from jaxcnn.cli import main
from jaxcnn.data import Arrays, Records
from jaxcnn.evaluation.inference import Inference
from jaxcnn.operators import Conv, max_pool, relu
from jaxcnn.visualize.figure import png_bytes
from jaxcnn.visualize.inspector import Inspector
from jaxcnn.visualize.occlusion import draw_occlusion
from jaxcnn.visualize.projections import Projected, draw_projections, same_for_any_image, shown_saliency, shown_signed
from jaxcnn.visualize.receptive_field import Fields, draw_fields
from jaxcnn.visualize.top import draw_top, mosaic, spread, top_patches

CROSS = np.eye(5) + np.eye(5)[::-1]
CROSS[2, 2] = 1
PLANTED = {3: (0, 0), 70: (15, 15), 11: (7, 2), 64: (4, 11)}  # image: its row and column, the strongest first


class Detector(nn.Module):
    """Unit 1 of the pooling answers to a cross."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        features = {"conv": relu(Conv(2, 5, name="conv")(x))}  # 16 x 16
        features["pool"] = max_pool(features["conv"], window=2)
        return jnp.mean(features["pool"], axis=(1, 2)), features


@pytest.fixture(scope="module")
def planted():
    """An `Inspector` detector, and Records of 80 noisy images of 20 x 20, four of which hold a cross."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 60, size=(80, 20, 20, 1), dtype=np.uint8)
    for strength, (number, (row, column)) in zip((195, 180, 165, 150), PLANTED.items(), strict=True):
        images[number, row : row + 5, column : column + 5, 0] = strength * CROSS
    kernel = np.stack([generator.normal(size=(5, 5)), CROSS - CROSS.mean()], axis=-1)[:, :, None]
    variables = {"params": {"conv": {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.zeros(2)}}}
    about = {"shape": (20, 20, 1), "mean": np.float32([0.0]), "std": np.float32([0.5]), "classes": ("noise", "cross")}
    trained = Inference(Detector(), variables, **about)
    return Inspector(trained), Records(Arrays("planted", {"train": (images, np.zeros(80, np.int32))}, ("a",)), "train")


def test_a_planted_pattern_is_found_and_projected(planted):
    inspector, records = planted
    done = []
    (top,) = top_patches(inspector, records, "pool", channels=[1], count=4, report=lambda *pair: done.append(pair))
    assert done == [(64, 80), (80, 80)]
    assert top.title == "pool 1" and top.images.tolist() == list(PLANTED)
    for number, patch, projection in zip(top.images, top.patches, top.projections, strict=True):
        row, column = (at % 2 for at in PLANTED[number])  # a pooling sees two places, the switch tells which
        assert patch.shape == projection.shape == (6, 6, 1)
        np.testing.assert_array_equal(patch[row : row + 5, column : column + 5, 0] > 60, CROSS > 0)
        lit = np.full((6, 6), 0.5)
        lit[row : row + 5, column : column + 5] = np.where(CROSS, 1, 0.5 - 0.5 * CROSS.mean() / (1 - CROSS.mean()))
        np.testing.assert_allclose(projection[..., 0], lit, atol=1e-5)


def test_a_projection_lies_where_the_pattern_was_planted(planted):
    inspector, records = planted
    images = records.read(list(PLANTED))["image"]
    _, places = inspector.strongest(images, "pool")
    for rule in ("deconvnet", "guided", "gradient"):
        found = inspector.project(images, "pool", np.ones(4, np.int32), places[:, 1], rule=rule)
        for projection, (row, column) in zip(found, PLANTED.values(), strict=True):
            expected = np.zeros((20, 20))
            expected[row : row + 5, column : column + 5] = (CROSS - CROSS.mean()) / 0.5  # by the pixel on [0, 1]
            np.testing.assert_allclose(projection[..., 0], expected, atol=1e-6)


def test_a_unit_that_is_off_sees_nothing(planted):
    inspector, records = planted
    black = np.zeros((1, 20, 20, 1), np.uint8)
    found = inspector.project(black, "pool", np.array([1]), np.array([[3, 3]]), rule="deconvnet")
    assert not found.any()
    images = np.concatenate([black, records.read([3])["image"], black])
    mostly = Records(Arrays("black", {"train": (images, np.zeros(3, np.int32))}, ("a",)), "train")
    (top,) = top_patches(inspector, mostly, "pool", channels=[1], count=3)
    assert top.images.tolist() == [1] and len(top.patches) == len(top.projections) == len(top.values) == 1


class Strided(nn.Module):
    """Two convolutions with relus, the first made smaller by its stride or by a max pooling."""

    pooled: bool

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = relu(Conv(16, 3, stride=1 if self.pooled else 4, name="conv1")(x))
        x = max_pool(x, window=4, stride=4) if self.pooled else x
        features = {"conv1": x}
        features["conv2"] = relu(Conv(4, 3, name="conv2")(x))
        return jnp.mean(features["conv2"], axis=(1, 2)), features


@pytest.mark.parametrize("pooled", [False, True])
def test_where_the_deconvnet_shows_the_same_of_any_image_guided_backpropagation_is_taken(pooled):
    network = Strided(pooled)
    images = np.random.default_rng(0).integers(0, 256, size=(2, 24, 24, 1), dtype=np.uint8)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 24, 24, 1)), train=False)
    about = {"shape": (24, 24, 1), "mean": np.float32([0.5]), "std": np.float32([0.25]), "classes": tuple("abcd")}
    trained = Inference(network, variables, **about)
    inspector, records = (
        Inspector(trained),
        Records(Arrays("x", {"train": (images[:2], np.zeros(2, np.int32))}, ("a",)), "train"),
    )
    assert same_for_any_image(inspector, images[0], "conv2", 1, (2, 3)) == (not pooled)
    if not pooled:
        assert not same_for_any_image(inspector, images[0], "conv1", 1, (2, 3))  # both rules show the filter
        (top,) = top_patches(inspector, records, "conv2", channels=[1], count=1)
        assert top.rule == "guided"


def test_a_field_larger_than_the_image_shows_the_image(tiny_run):
    network = jaxcnn.Trained(tiny_run)
    records = network.open("test").records
    (top,) = top_patches(Inspector(network), records, "logits", channels=[3], count=4)
    np.testing.assert_array_equal(top.patches, records.read(top.images)["image"])


def test_units_by_default_are_spread_over_those_that_are_active():
    assert spread(np.array([2, 3, 5, 7, 11]), 3) == [2, 5, 11] and spread(np.array([4, 9]), 12) == [4, 9]


def test_pictures_of_signs_and_of_saliency():
    projection = np.zeros((2, 2, 3), np.float32)
    projection[0, 0], projection[1, 1, 0] = (4, -4, 2), -4
    np.testing.assert_allclose(shown_signed(projection)[0, 0], [1, 0, 0.75])
    assert np.all(shown_signed(projection)[0, 1] == 0.5) and np.all(shown_signed(np.zeros((2, 2, 1))) == 0.5)
    assert shown_saliency(projection)[..., 0].tolist() == [[0, 1], [1, 0]]
    assert np.all(shown_saliency(np.zeros((2, 2, 3))) == 1)


def test_a_mosaic_is_square_and_white_where_nothing_is():
    pictures = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1) * np.ones((5, 2, 2, 1), np.uint8)
    found = mosaic(pictures)
    assert found.shape == (8, 8, 1) and found.dtype == np.uint8
    assert found[::3, ::3, 0].tolist() == [[0, 1, 2], [3, 4, 255], [255, 255, 255]] and np.all(found[2] == 255)


def test_what_is_drawn(planted):
    inspector, records = planted
    image = records[3]["image"]
    large, small = Box(-2, -2, 15, 15), Box(18, 1, 6, 6)
    projections = dict.fromkeys(("deconvnet", "guided", "gradient"), np.ones((20, 20, 1)))
    whole = draw_projections(
        image, [Projected("a $ b", 0, (0, 0), large, projections), Projected("c", 0, (0, 0), small, projections)]
    )
    titles = [axes.get_title() for axes in whole.axes]
    assert titles[:4] == ["image", "deconvnet", "guided backpropagation", "saliency"] and len(titles) == 8
    whole.draw_without_rendering()
    (note,) = [text for text in whole.texts if "saliency" in text.get_text()]
    assert note.get_window_extent().width < whole.bbox.width
    patches = draw_projections(image, [Projected("c", 0, (0, 0), small, projections)])
    assert patches.axes[1].get_title() == "patch" and patches.axes[2].images[0].get_array().shape == (6, 6)
    weights = np.zeros((20, 20))
    weights[4, 5:8] = 1, 0.5, 0.04
    fields = Fields("unit", Box(2, 2, 9, 9), weights, 3)
    assert fields.support == Box(4, 5, 1, 3) and fields.effective == Box(4, 5, 1, 2)
    figure = draw_fields(image, fields)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["theory: 9x9", "gradient not zero: 1x3", "effective: 1x2"]
    dead = draw_fields(image, fields._replace(weights=np.zeros((20, 20))))
    assert "effective: nothing" in [text.get_text() for text in dead.legends[0].get_texts()]
    answers = Occlusion(np.full((2, 3), 0.5), np.array([[0, 1, 1], [1, 1, 2]]), np.ones((2, 3)), 5, (0.9, 1, 7.0), 9)
    drawn = draw_occlusion(image, answers, label=1, size=5, stage="pool", classes=("a", "b", "c"))
    assert [text.get_text() for text in drawn.axes[3].get_legend().get_texts()] == ["b", "a", "c"]
    for axes in drawn.axes[1:4]:  # 2x3 places, 9 pixels apart, of an image of 20x20
        assert axes.images[0].get_extent() == [-0.5, 26.5, 17.5, -0.5]
        assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 19.5), (19.5, -0.5))
    assert "pool 5" in drawn.axes[1].get_title() and "0.90 uncovered" in drawn.axes[2].get_title()
    tops = top_patches(inspector, records, "pool", count=4)
    assert [top.title for top in tops] == ["pool 0", "pool 1"]
    for figure in (whole, patches, dead, drawn, draw_top(tops, title="top")):
        assert png_bytes(figure).startswith(b"\x89PNG")


def test_a_long_title_stays_beside_its_row():
    image, box = np.zeros((20, 20, 1), np.uint8), Box(0, 0, 20, 20)
    projections = dict.fromkeys(("deconvnet", "guided", "gradient"), np.ones((20, 20, 1)))
    titles = ["logits a bird of $ 5 and of a very long name", "logits Black_footed_Albatross_of_the_South", "pool 3"]
    figure = draw_projections(image, [Projected(title, 0, (0, 0), box, projections) for title in titles])
    figure.draw_without_rendering()
    rows = figure.axes[:: len(figure.axes) // 3]
    for axes in rows:
        title, row = axes.yaxis.label.get_window_extent(), axes.get_window_extent()
        assert row.y0 < title.y0 and title.y1 < row.y1
    assert [axes.get_ylabel().count("\n") for axes in rows] == [1, 1, 0]
    assert rows[0].get_ylabel().startswith("logits a bird of \\$ 5\nand of a")


def test_more_classes_than_colours_are_counted():
    places = np.arange(16).reshape(4, 4) % 9
    answers = Occlusion(np.full((4, 4), 0.5), places, np.ones((4, 4)), 5, (0.9, 1, 7.0), 5)
    drawn = draw_occlusion(np.zeros((20, 20, 1), np.uint8), answers, label=1, size=5, stage="pool", classes="abcdefghi")
    legend = drawn.axes[3].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [*"abcdefg", "2 others"]
    (shown,) = drawn.axes[3].images
    grey = legend.legend_handles[-1].get_facecolor()[0]
    np.testing.assert_array_equal(shown.to_rgba(shown.get_array(), bytes=False)[1, 3], grey)


KINDS = {
    "deconvnet": ["--index", "5", "--stage", "conv1_1", "--units", "2", "0", "--place", "3", "4"],
    "top": ["--stage", "pool1", "--units", "1", "--count", "4", "--split", "test", "--rule", "guided"],
    "occlusion": ["--index", "5", "--class", "7", "--size", "3", "--stride", "2"],
    "receptive_field": ["--index", "5", "6", "--stage", "logits"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_from_a_run(tiny_run, tmp_path, capsys, kind):
    output = tmp_path / "picture.png"
    assert main(["visualize", kind, "--workdir", str(tiny_run), *KINDS[kind], "--output", str(output)]) == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert len(np.unique(matplotlib.image.imread(output)[..., :3].reshape(-1, 3), axis=0)) > 20


def test_top_says_what_to_doubt(tiny_run, tmp_path, capsys):
    command = ["visualize", "top", "--workdir", str(tiny_run), "--split", "test", "--output", str(tmp_path / "a.png")]
    assert main([*command, "--stage", "logits", "--units", "1", "--count", "2", "--rule", "gradient"]) == 0
    said = capsys.readouterr().err
    assert "360 images are few" in said and "a unit of logits sees the whole image" in said
    assert main([*command, "--stage", "conv1_1", "--units", "1", "--count", "2", "--rule", "gradient"]) == 0
    assert "sees the whole image" not in capsys.readouterr().err


MISTAKES = {
    "there is no such stage": (["deconvnet", "--index", "5", "--stage", "conv9"], "known: conv1_1, logits, pool1"),
    "no such unit": (["deconvnet", "--index", "5", "--units", "4"], "units 0 to 3, no 4"),
    "no such place": (["receptive_field", "--index", "5", "--place", "4", "0"], "4x4, counted from 0: no place (4, 0)"),
    "no such unit to find images of": (["top", "--units", "1", "77"], "units 0 to 3, no 77"),
    "no such class": (["occlusion", "--index", "5", "--class", "seven"], "no class 'seven'"),
    "two images": (["occlusion", "--index", "5", "6"], "drawn of one image, not of 2"),
    "no square": (["occlusion", "--index", "5", "--size", "0"], "--size is 0; it is at least 1"),
    "no image": (["top", "--count", "0"], "--count is 0; it is at least 1"),
}


@pytest.mark.parametrize("arguments, message", MISTAKES.values(), ids=MISTAKES)
def test_what_is_not_there_is_said(tiny_run, tmp_path, capsys, arguments, message):
    kind, *options = arguments
    output = tmp_path / "picture.png"
    assert main(["visualize", kind, "--workdir", str(tiny_run), *options, "--output", str(output)]) == 2
    assert message in capsys.readouterr().err and not output.exists()
