"""A detector in use: photographs of any size and orientation come back with boxes on their objects, and a report."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn.cli import main

PACKAGE = """
import flax.linen as nn
import jax.numpy as jnp

from jaxcnn.tasks import TASKS, Player, Terms

DETECTION = TASKS["detection"]


class Nothing(nn.Module):
    num_classes: int = 2

    @nn.compact
    def __call__(self, x, *, train: bool):
        return x[:, 0, 0, :1] * self.param("scale", nn.initializers.ones, ()), {}


def extent(bright):
    '''(first, behind the last) of what is bright along the last axis.'''
    return jnp.argmax(bright, axis=-1), bright.shape[-1] - jnp.argmax(bright[..., ::-1], axis=-1)


def infer(module, batch):
    '''What is red is a cat, what is green a dog; cats are surer.'''
    bright = jnp.moveaxis(batch["image"][..., :2], -1, 1) > 0.6
    (x1, x2), (y1, y2) = (extent(bright.any(axis=axis)) for axis in (2, 3))
    boxes = jnp.stack([x1, y1, x2, y2], axis=-1).astype(jnp.float32)
    there = bright.any(axis=(2, 3))
    classes, scores = (jnp.broadcast_to(jnp.array(row)[None], there.shape) for row in ([0, 1], [0.9, 0.6]))
    proposals = jnp.concatenate([boxes, boxes + 2], axis=1)
    return {"boxes": boxes, "classes": classes, "scores": scores, "there": there} | {
        "proposals": proposals, "proposed": jnp.concatenate([there, there], axis=1)
    }


def create(about):
    loss = lambda module, batch, numbers: Terms(jnp.square(module(batch["image"], train=True)[0][:, 0] - 1), {})
    players = (Player("finder", loss),)
    return DETECTION.create(about)._replace(players=players, infer=infer, check=None)


FINDER = DETECTION._replace(create=create)
"""
RED, GREEN = (250, 20, 20), (20, 250, 20)
OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def photograph(size, **boxes):
    """An image of (height, width) on blue, with a red and a green rectangle."""
    image = np.full((*size, 3), (20, 20, 200), np.uint8)
    for name, colour in (("cat", RED), ("dog", GREEN)):
        if name in boxes:
            x1, y1, x2, y2 = boxes[name]
            image[y1:y2, x1:x2] = colour
    return image


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    """The directory of a run that finds red cats and green dogs, whose data call two of the rectangles by others."""
    import sys

    root = tmp_path_factory.mktemp("finder")
    (root / "jaxcnn_test_finder.py").write_text(PACKAGE)
    sys.path.insert(0, str(root))
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / "voc" / name).mkdir(parents=True)
    truths = [
        {"cat": (4, 4, 20, 28)},
        {"cat": (4, 4, 20, 28), "dog": (24, 8, 40, 24)},
        {"dog": (24, 8, 40, 24)},  # of which the annotation says that it is a cat
        {"cat": (4, 4, 20, 28)},  # beside its box in the annotation
        {},
    ]
    said = [*truths[:2], {"cat": (24, 8, 40, 24)}, {"cat": (12, 4, 28, 28)}, {"dog": (30, 2, 44, 30)}]
    for number, (drawn, told) in enumerate(zip(truths, said, strict=True)):
        objects = [OBJECT.format(name, x1 + 1, y1 + 1, x2, y2) for name, (x1, y1, x2, y2) in told.items()]
        size = "<size><width>48</width><height>32</height></size>"
        for split in ("train", "val", "test"):
            Image.fromarray(photograph((32, 48), **drawn)).save(root / "voc" / "JPEGImages" / f"{split}{number}.png")
            (root / "voc" / "Annotations" / f"{split}{number}.xml").write_text(
                f"<annotation>{size}{''.join(objects)}</annotation>"
            )
    for split in ("train", "val", "test"):
        names = "".join(f"{split}{number}\n" for number in range(5))
        (root / "voc" / "ImageSets" / "Main" / f"{split}.txt").write_text(names)
    config = jaxcnn.default_config()
    config.data.name, config.data.image_size, config.data.fit = f"voc:{root}/voc", (24, 24), "inside"
    config.task.name, config.model.name = "jaxcnn_test_finder:FINDER", "jaxcnn_test_finder:Nothing"
    config.batch_size, config.duration = 4, "1 step"
    jaxcnn.train(config, root / "run", quiet=True, devices=jax.devices()[:1])
    yield root / "run"
    sys.path.remove(str(root))
    sys.modules.pop("jaxcnn_test_finder")


def reddest(pixels, colour):
    """(x1, y1, x2, y2) of what has about a colour."""
    rows, columns = np.nonzero((np.abs(pixels.astype(int) - colour) < 60).all(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_photographs_come_back_upright_at_their_size_with_boxes_on_the_objects(finder, tmp_path, capsys):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.fromarray(photograph((96, 192), cat=(16, 16, 64, 80), dog=(112, 24, 160, 72))).save(photographs / "wide.png")
    lying = Image.fromarray(photograph((96, 192), cat=(16, 16, 64, 80)))
    lying.save(photographs / "turned.png", exif=_orientation(6))
    (photographs / "torn.png").write_bytes(b"no image")
    command = ["predict", "--workdir", str(finder), str(photographs), "--output", str(tmp_path / "out")]
    assert main([*command, "--json"]) == 1
    rows = {row["file"].rpartition("/")[2]: row for row in json.loads(capsys.readouterr().out)["predictions"]}
    assert "error" in rows["torn.png"] and "output" not in rows["torn.png"]
    # turned by 90 degrees to the right: of 192 rows and 96 columns
    truth = {"wide.png": [(16, 16, 64, 80), (112, 24, 160, 72)], "turned.png": [(16, 16, 80, 64)]}
    results = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert len(results) == 3
    for name, boxes in truth.items():
        with Image.open(tmp_path / "out" / name) as image:
            pixels = np.asarray(image)
        assert pixels.shape == ((96, 192, 3) if name == "wide.png" else (192, 96, 3))
        np.testing.assert_allclose(reddest(pixels, RED), boxes[0], atol=2)  # the photograph below is as it was
        for box, one, result in zip(
            boxes, rows[name]["objects"], [r for r in results if r["file_name"] == name], strict=True
        ):
            np.testing.assert_allclose(one["box"], box, atol=8)  # the network sees an eighth
            x, y, width, height = result["bbox"]
            np.testing.assert_allclose([x, y, x + width, y + height], one["box"], atol=0.011)
            assert (result["category"], result["category_id"]) == (one["label"], 1 + ("cat", "dog").index(one["label"]))
            assert result["score"] == one["score"]
            x1, y1, x2, y2 = map(round, one["box"])
            colour = np.array([int("0072B2"[i : i + 2], 16) for i in (0, 2, 4)])  # of the first class
            if one["label"] == "cat":
                assert (pixels[y1:y2, x1] == colour).all() and (pixels[y1:y2, x2 - 1] == colour).all()
                assert (pixels[y2 - 1, x1:x2] == colour).all() and (pixels[y2 - 1, x2 : x2 + 8] != colour).any()
    from pycocotools.coco import COCO

    truth = COCO()
    truth.dataset = {"images": [{"id": number} for number in (1, 2, 3)], "categories": [{"id": 1}, {"id": 2}]}
    truth.dataset["annotations"] = []
    truth.createIndex()
    assert len(truth.loadRes(str(tmp_path / "out" / "detections.json")).anns) == 3
    assert main([*command, "--least_score", "0.7"]) == 1  # the cat alone is drawn: the dog has 0.6
    words = capsys.readouterr().out
    with Image.open(tmp_path / "out" / "wide.png") as image:
        assert (np.asarray(image)[:, 100:] == photograph((96, 192), dog=(112, 24, 160, 72))[:, 100:]).all()
    assert main([*command[:-2], "--least_score", "0.7"]) == 2
    assert "--least_score is of the objects that --output draws" in capsys.readouterr().err
    assert "cat 0.90" in words and "dog" not in words and "not read" in words


def _orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def test_files_that_are_named_by_numbers_keep_them_as_ids():
    from jaxcnn.evaluation.detected import coco_results

    found = [{"label": "cat", "score": 0.5, "box": [1.0, 2.0, 4.5, 8.25]}]
    named = [{"file": f"photos/{name}.jpg", "objects": found} for name in ("000139", "000785")]
    assert [row["image_id"] for row in coco_results(named, ("dog", "cat"))] == [139, 785]
    assert coco_results(named, ("dog", "cat"))[0]["bbox"] == [1, 2, 3.5, 6.25]
    twice = [*named, {"file": "others/139.jpg", "objects": found}, {"file": "torn.jpg", "error": "torn"}]
    assert [row["image_id"] for row in coco_results(twice, ("dog", "cat"))] == [1, 2, 3]


def test_a_report_shows_truth_answers_and_mistakes_by_their_kind(finder):
    from jaxcnn.evaluation.detected import detected_examples
    from jaxcnn.evaluation.trained import Trained

    seen = detected_examples(Trained(finder), "test", count=9, shown=2, mistakes=3)
    assert seen.positions.tolist() == [0, 1, 2, 3, 4] and seen.examples == (0, 1)
    # the image of 48 x 32 is seen at half its size, and what pads it below is cut off
    assert {image.shape for image in seen.images.values()} == {(16, 24, 3)}
    np.testing.assert_allclose(seen.objects.boxes[0, 0], [2, 2, 10, 14])
    assert seen.mistakes == {
        "localisation": [(3, 0)],
        "similar class": [(2, 1)],
        "other class": [],
        "background": [],
        "missed": [(4, 0), (3, 0), (2, 0)],
    }
    page = jaxcnn.write_report(finder).read_text()
    for words in ("Localisation (1 of 1)", "Similar class (1 of 1)", "Missed (3 of 3)", "Average precision by class"):
        assert words in page
    assert "Background (" not in page
    assert "proposal_recall" in page and "coco_ap50" not in page  # which is null in every row
    row = page[page.index("<td>cat</td>") :].partition("</tr>")[0]
    cells = [cell.partition("<")[0] for cell in row.split('class="right">')[1:]]
    assert cells[1:] == ["4", "2", "2", "1", "0", "0", "0"]


@pytest.mark.parametrize("kind", ["proposals", "anchors"])
def test_a_network_without_proposals_or_anchors_is_named(tiny_run, kind, tmp_path, capsys):
    command = ["visualize", kind, "--workdir", str(tiny_run), "--index", "0", "--output", str(tmp_path / "a.png")]
    assert main(command) == 2 and not (tmp_path / "a.png").exists()
    assert f"no {kind}" in capsys.readouterr().err


def test_proposals_are_drawn_over_their_images(finder, tmp_path):
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.proposals import draw_proposals
    from jaxcnn.visualize.selection import choose

    trained = Trained(finder)
    figure = draw_proposals(trained, choose(trained, split="test", positions=[1]), limit=3)
    (axes,) = figure.axes[:1]
    corners = [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in axes.patches]
    # the three surest, the surest on top; in pixels of what the network sees
    np.testing.assert_allclose(corners[::-1][0], (2 - 0.5, 2 - 0.5, 8, 12))
    assert len(corners) == 3
    path = tmp_path / "proposals.png"
    command = ["visualize", "proposals", "--workdir", str(finder), "--split", "test", "--index", "0", "1"]
    assert main([*command, "--output", str(path)]) == 0 and path.exists()


def test_anchors_lie_around_the_middle_and_on_objects():
    """Of a network that is not trained: nothing is computed but its anchors."""
    from types import SimpleNamespace

    from jaxcnn.architectures import create
    from jaxcnn.visualize.proposals import draw_anchors
    from jaxcnn.visualize.selection import Selection

    backbone = {"widths": (4, 6), "convolutions": 1, "hidden": ()}
    options = {"stage": "pool2", "scales": (6, 10), "ratios": (1.0,), "rpn_width": 4, "hidden": (8,), "size": 3}
    model = create("faster_rcnn", num_classes=2, backbone="convnet", backbone_options=backbone, **options)
    image = jax.ShapeDtypeStruct((1, 24, 32, 3), np.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    trained = SimpleNamespace(model=model, variables=variables, shape=(24, 32, 3), workdir="run")
    fields = {
        "boxes": np.array([[[20, 16, 40, 36], [0, 0, 2, 2], [0, 0, 0, 0]]], np.float32),  # of 48 x 64
        "box_mask": np.array([[True, True, False]]),
        "view": np.array([[0, 0, 48, 64]], np.float32),
    }
    chosen = Selection(np.zeros((1, 24, 32, 3), np.uint8), ["a"], [None], fields)
    cell, objects = draw_anchors(trained, chosen).axes
    corners = [[(*p.get_xy(), p.get_width(), p.get_height()) for p in axes.patches] for axes in (cell, objects)]
    # around (14, 10), the middle of a cell of 4 x 4 that is as near to (16, 12) as any
    assert corners[0] == [(14 - 3 - 0.5, 10 - 3 - 0.5, 6, 6), (14 - 5 - 0.5, 10 - 5 - 0.5, 10, 10)]
    assert "the 2 anchors of a cell, 96 in all" in cell.get_title()
    # the object from 10 to 20 and 8 to 18 and the anchor around (14, 14) or (14, 10) of 10 x 10: an IoU of 81 / 119
    assert corners[1][0] == (9.5, 7.5, 10, 10) and corners[1][1][2:] == (10, 10)
    assert [text.get_text() for text in objects.texts] == ["0.68", "0.03"]  # of a pixel in 6 x 6
    assert objects.get_title() == "0 of 2 objects have\nan anchor of IoU 0.7 or more"
    fields = {name: np.repeat(value, 3, axis=0) for name, value in fields.items()}
    three = Selection(np.zeros((3, 24, 32, 3), np.uint8), ["a", "b", "c"], [None] * 3, fields)
    panels = [axes.get_subplotspec() for axes in draw_anchors(trained, three).axes]
    for first, second in zip(panels[:6:2], panels[1:6:2], strict=True):  # an image, and beside it with its objects
        assert (second.rowspan.start, second.colspan.start) == (first.rowspan.start, first.colspan.start + 1)
