"""R-CNN's SVMs and regression of boxes, on a network whose features say what they should."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from jaxcnn.data import Arrays, Records
from jaxcnn.data.detection.table import box_fields
from jaxcnn.data.fields import GEOMETRY
from jaxcnn.errors import InputError
from jaxcnn.operators import regions
from jaxcnn.tasks import TASKS, About
from jaxcnn.transfer import rcnn

SIZE, CLASSES, IMAGES, COUNT = (48, 64), ("cat", "dog", "cow"), 30, 24
RANDOM = np.random.default_rng(0)


def boxes_of(n, m, *, room):
    """(n, m, 4) boxes of 12 to 24 pixels."""
    corners = RANDOM.uniform(0, (room, SIZE[0] - 24), (n, m, 2))
    return np.concatenate([corners, corners + RANDOM.uniform(12, 24, (n, m, 2))], axis=2)


OBJECTS = np.repeat(boxes_of(IMAGES, 1, room=SIZE[1] - 48), 2, axis=1).astype(np.float32)
OBJECTS[:, 1, ::2] += 24  # beside the first
NEAR = [OBJECTS + RANDOM.uniform(-3, 3, OBJECTS.shape) for _ in range(4)]
FAR = boxes_of(IMAGES, COUNT - 8, room=SIZE[1] - 24)
FIELDS = {
    "boxes": OBJECTS,
    "box_label": RANDOM.integers(0, 3, (IMAGES, 2)).astype(np.int32),
    "box_mask": RANDOM.random((IMAGES, 2)) < 0.9,
    "box_ignored": RANDOM.random((IMAGES, 2)) < 0.1,
    "box_area": np.full((IMAGES, 2), 200.0, np.float32),
    "proposals": np.concatenate([*NEAR, FAR], axis=1).astype(np.float32),
    "proposal_mask": np.arange(COUNT)[None] < RANDOM.integers(8, COUNT, (IMAGES, 1)),
}


def describe(maps, boxes, *, image, train):
    """(pooled: where the nearest object lies from here, vectors: the IoU with each class); images name themselves."""
    number = jnp.round(maps[:, 0, 0, 0] * 255).astype(int)
    objects, labels = jnp.asarray(OBJECTS)[number], jnp.asarray(FIELDS["box_label"])[number]
    there = jnp.asarray(FIELDS["box_mask"])[number]
    overlap = jax.vmap(regions.iou)(boxes, objects) * there[:, None]
    nearest = jnp.take_along_axis(objects, overlap.argmax(axis=2)[..., None], axis=1)
    pooled = jnp.where(overlap.max(axis=2, keepdims=True) > 0.5, regions.encode(nearest, boxes), 0)
    of_class = (overlap[..., None] * jax.nn.one_hot(labels, 3)[:, None]).max(axis=2)
    return pooled, of_class


@pytest.fixture(scope="module")
def trained():
    class Model:
        result = "regions"

        def apply(self, variables, *, method):
            return method(SimpleNamespace(maps=lambda images, *, train: (images, {}), describe=describe))

    own = {"proposals": ((COUNT, 4), np.float32), "proposal_mask": ((COUNT,), bool)}
    about = About(CLASSES, (*SIZE, 3), {**box_fields(2), **own}, np.zeros(3), np.ones(3))
    config = ml_collections.ConfigDict({"task": {"options": {"detections": 10, "flip": False}}})
    task = TASKS["detection"].create(about, coco=True, detections=10)
    more = {"workdir": "runs/rcnn", "variables": {}, "normalise": lambda images: images / 255}
    return SimpleNamespace(model=Model(), shape=(*SIZE, 3), classes=CLASSES, config=config, task=task, **more)


def records_of(part):
    images = np.zeros((IMAGES, *SIZE, 3), np.uint8)
    images[:, 0, 0] = np.arange(IMAGES)[:, None]
    fields = {name: ((*value.shape[1:],), value.dtype) for name, value in FIELDS.items()}
    source = Arrays("set", {"train": (images, FIELDS)}, CLASSES, fields={**fields, **GEOMETRY})
    return Records(source, part)


@pytest.fixture(scope="module")
def rows(trained):
    return rcnn.gather(trained, records_of("train"))


def test_rows_are_what_a_loop_over_boxes_finds(rows):
    found = iter(zip(rows.vectors, rows.labels, rows.overlaps, strict=True))
    near = iter(zip(rows.pooled, rows.classes, rows.targets, strict=True))
    for i in range(IMAGES):
        counted = FIELDS["box_mask"][i] & ~FIELDS["box_ignored"][i]
        boxes = [box for box, there in zip(FIELDS["proposals"][i], FIELDS["proposal_mask"][i], strict=True) if there]
        boxes = [(np.clip(box, 0, [SIZE[1], SIZE[0]] * 2).astype(np.float32), 3) for box in boxes]
        boxes += [(OBJECTS[i, j], FIELDS["box_label"][i, j]) for j in range(2) if counted[j]]
        for box, label in boxes:
            shared = np.asarray(regions.iou(box[None], OBJECTS[i]))[0] * FIELDS["box_mask"][i]
            wanted = [max(shared * (FIELDS["box_label"][i] == number)) for number in range(3)]
            vector, own, overlaps = next(found)
            assert own == label
            np.testing.assert_allclose(overlaps, wanted, atol=1e-5)
            np.testing.assert_allclose(vector, wanted, atol=1e-5)
            certain = shared * counted
            if label == 3 and certain.max() >= 0.6:
                _, number, target = next(near)
                assert number == FIELDS["box_label"][i, certain.argmax()]
                np.testing.assert_allclose(target, regions.encode(OBJECTS[i, certain.argmax()], box), atol=1e-4)
    assert next(found, None) is None and next(near, None) is None


def test_hard_background_gives_the_machine_of_all_background(rows):
    noise = np.random.default_rng(1)
    vectors = rcnn.NORM * np.concatenate([rows.vectors, noise.normal(0, 0.3, rows.vectors.shape)], axis=1)
    for number in range(3):
        right = vectors[rows.labels == number]
        wrong = vectors[(rows.labels == 3) & (rows.overlaps[:, number] < 0.3)]
        assert rcnn.FIRST * len(right) < len(wrong)
        options = {"loss": "hinge", "class_weight": {1: 2, 0: 1}, "intercept_scaling": 10, "random_state": 0}
        whole = LinearSVC(C=1e-3, max_iter=100_000, **options)
        whole.fit(np.concatenate([right, wrong]), [1] * len(right) + [0] * len(wrong))
        weights, bias = rcnn.fit_machine(vectors, rows, number, seed=0, passes=9)
        np.testing.assert_allclose(weights, whole.coef_[0], atol=5e-3)
        assert bias == pytest.approx(whole.intercept_[0], abs=5e-2)


def test_a_class_without_objects_is_never_found_and_one_without_background_is_named(rows):
    nowhere = rows._replace(labels=np.where(rows.labels == 1, 0, rows.labels))
    weights, bias = rcnn.fit_machine(rows.vectors, nowhere, 1, seed=0, passes=1)
    assert not weights.any() and bias == -np.inf
    everywhere = rows._replace(overlaps=np.ones_like(rows.overlaps))
    with pytest.raises(InputError, match=r"class number 2 has .* and no proposal that is background to it"):
        rcnn.fit_machine(rows.vectors, everywhere, 2, seed=0, passes=1)


def test_objects_are_found_and_boxes_moved_onto_them(trained):
    """Proposals lie some pixels beside the objects: unmoved they are right at an IoU of 0.5 alone."""
    fitted = rcnn.fit(trained, records_of("train[:20]"))
    values = rcnn.evaluate(trained, fitted, records_of("train[20:]"))
    assert values["ap50"] > 0.95 and values["proposal_recall"] == 1
    still = rcnn.evaluate(trained, fitted._replace(shifts=0 * fitted.shifts), records_of("train[20:]"))
    assert still["ap"] < 0.7 and values["ap"] > still["ap"] + 0.15


def test_data_without_regions_are_refused(trained):
    source = Arrays("plain", {"train": (np.zeros((2, *SIZE, 3), np.uint8), np.array([0, 1]))}, CLASSES)
    with pytest.raises(InputError, match="need a network that classifies regions, as rcnn, and data that give them"):
        rcnn.fit(trained, Records(source, "train"))
