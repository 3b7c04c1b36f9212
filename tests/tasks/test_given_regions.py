"""The task `detection` where regions are given: they move with the image, are learned from and are classified."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.data.detection.table import box_fields
from jaxcnn.errors import InputError
from jaxcnn.operators import regions
from jaxcnn.tasks import TASKS, About
from jaxcnn.tasks.detection import head
from jaxcnn.tasks.detection.two_stages import Settings, detect, objective

SIZE = (32, 48)
CLASSES = ("cat", "dog", "cow")
SETTINGS = Settings(regions=16, detections=8, background=0.1)
OBJECTS = np.array([[[2, 3, 14, 15], [20, 6, 44, 30]], [[10, 8, 22, 20], [0, 0, 0, 0]]], np.float32)
LABELS, THERE = np.array([[2, 0], [1, 0]]), np.array([[True, True], [True, False]])
# near an object (IoU 0.62), at IoU 0.29 with it, and apart from all
GIVEN = OBJECTS[:, :1] + np.array([[[1, 2, 1, 2]], [[5, 3, 5, 3]], [[0, 16, 0, 16]]], np.float32).reshape(1, 3, 4)
IMAGES = np.zeros((2, *SIZE, 3), np.float32)


def knowing(moves=True):
    """A network without an RPN that knows the class of the object which a region overlaps most, and moves it there."""

    def classify(maps, boxes, *, image, train):
        overlap = jnp.where(THERE[:, None], jax.vmap(regions.iou)(boxes, jnp.asarray(OBJECTS)), 0)
        places = overlap.argmax(axis=2)
        own = jnp.take_along_axis(jnp.asarray(LABELS), places, axis=1)
        own = jnp.where(overlap.max(axis=2) >= 0.5, own, len(CLASSES))
        logits = 30 * jax.nn.one_hot(own, len(CLASSES) + 1)
        if not moves:
            return logits, None
        aim = regions.encode(jnp.take_along_axis(jnp.asarray(OBJECTS), places[..., None], axis=1), boxes)
        aim = aim / jnp.array([0.1, 0.1, 0.2, 0.2]).reshape(1, 1, 4)
        return logits, jnp.repeat(aim[:, :, None], len(CLASSES), axis=2)

    maps = SimpleNamespace(maps=lambda images, *, train: (images, {}), classify=classify, num_classes=len(CLASSES))
    return maps


def batch(**changes):
    own = {"key": jax.random.split(jax.random.key(0), 2), "objects": OBJECTS, "object_mask": THERE, "box_label": LABELS}
    given = {"regions": GIVEN, "region_mask": np.ones((2, 3), bool)}
    return {**own, "crowd": np.zeros_like(THERE), **given, **changes}


def test_a_network_without_an_rpn_learns_from_given_regions():
    losses = {
        name: np.asarray(value)
        for name, value in jax.jit(lambda b: objective(SETTINGS, knowing(), b, IMAGES))(batch()).items()
    }
    assert losses.keys() == {"class", "box"}
    assert all((value < 1e-4).all() for value in losses.values())
    still = jax.jit(lambda b: objective(SETTINGS, knowing(moves=False), b, IMAGES))(batch())
    assert still.keys() == {"class"}


def test_background_is_what_overlaps_an_object_a_little():
    """Fast R-CNN's background lies at an IoU of 0.1 or more: the region apart from all is not learned from."""
    draw = jax.jit(lambda b: head.draw(SETTINGS, 3, b["key"], (b["regions"], b["region_mask"]), *rest(b)))
    boxes, labels, _, drawn = map(np.asarray, draw(batch()))
    kept = [boxes[i][drawn[i] & (labels[i] == 3)] for i in range(2)]
    assert [own.tolist() for own in kept] == [GIVEN[i, 1:2].tolist() for i in range(2)]
    # with the objects themselves there are five, of which a quarter at most is of objects
    assert [int((drawn[i] & (labels[i] < 3)).sum()) for i in range(2)] == [1, 1]
    masked = np.array([[True, False, True], [False, True, True]])
    boxes, labels, _, drawn = map(np.asarray, draw(batch(region_mask=masked)))
    assert not (drawn[0] & (labels[0] == 3)).any() and (drawn[1] & (labels[1] == 3)).any()
    assert int((drawn[1] & (labels[1] < 3)).sum()) == 1


def rest(batch):
    return batch["box_label"], tuple(batch[name] for name in ("objects", "object_mask", "crowd"))


@pytest.mark.parametrize("moves", [True, False])
def test_what_is_found_lies_where_the_network_moves_it(moves):
    given = GIVEN, np.array([[True, True, True], [False, True, True]])
    found = jax.jit(lambda: detect(SETTINGS, knowing(moves), IMAGES, given))()
    found = {name: np.asarray(value) for name, value in found.items() if name != "features"}
    assert found["there"].sum(axis=1).tolist() == [1, 0]
    assert found["classes"][0, 0] == 2 and found["scores"][0, 0] > 0.99
    np.testing.assert_allclose(found["boxes"][0, 0], OBJECTS[0, 0] if moves else GIVEN[0, 0], atol=1e-4)
    assert (found["proposals"] == GIVEN).all() and (found["proposed"] == given[1]).all()


def test_many_regions_of_one_object_do_not_hide_another():
    """More than four for each of the results, all as sure: what overlaps the first is left out before it is counted."""
    near = OBJECTS[:, :1] + np.linspace(0, 1, 5 * SETTINGS.detections, dtype=np.float32)[:, None]
    given = np.concatenate([near, OBJECTS[:, 1:]], axis=1)
    found = jax.jit(lambda: detect(SETTINGS, knowing(moves=False), IMAGES, (given, np.ones(given.shape[:2], bool))))()
    there = np.asarray(found["there"])
    assert there.sum(axis=1).tolist() == [2, 1]
    order = np.argsort(np.asarray(found["classes"])[0, :2])
    assert np.asarray(found["classes"])[0, order].tolist() == [0, 2]
    np.testing.assert_array_equal(np.asarray(found["boxes"])[0, order], OBJECTS[0, [1, 0]])


def test_a_place_without_a_region_is_not_found_at_any_score():
    given = GIVEN, np.array([[True, False, False], [False, False, False]])
    found = jax.jit(lambda: detect(SETTINGS._replace(least_score=0.0), knowing(), IMAGES, given))()
    assert np.asarray(found["there"]).sum(axis=1).tolist() == [len(CLASSES), 0]  # the region as each class


def test_images_alone_give_no_regions():
    with pytest.raises(InputError, match=r"classifies regions that it is given .* images alone give none"):
        detect(SETTINGS, knowing(), IMAGES)


def about(given=True, count=3):
    more = {"proposals": ((count, 4), np.float32), "proposal_mask": ((count,), bool)}
    return About(CLASSES, (*SIZE, 3), {**box_fields(2), **(more if given else {})}, np.zeros(3), np.ones(3))


def example(**changes):
    """A photograph of 64 x 96, of which the network sees all at half its size."""
    own = {"boxes": 2 * OBJECTS[0], "box_label": LABELS[0], "box_mask": THERE[0], "box_ignored": np.zeros(2, bool)}
    own |= {"proposals": 2 * GIVEN[0], "proposal_mask": np.array([True, True, False])}
    image = np.random.default_rng(0).random((*SIZE, 3), np.float32)
    return {"image": image, **own, "view": np.array([0, 0, 64, 96], np.float32), "size": np.array([64, 96]), **changes}


def test_regions_move_with_their_image():
    plain = TASKS["detection"].create(about(), flip=False)
    prepared = jax.jit(plain.prepare)(jax.random.key(0), example(), {})
    np.testing.assert_allclose(prepared["regions"], GIVEN[0], atol=1e-4)
    np.testing.assert_allclose(prepared["objects"], OBJECTS[0], atol=1e-4)
    assert prepared["region_mask"].tolist() == [True, True, False]
    moving = TASKS["detection"].create(about(), zoom=(0.8, 2.0))
    prepare = jax.jit(jax.vmap(moving.prepare, (0, None, None)))
    same = example(proposals=np.concatenate([2 * OBJECTS[0], np.zeros((1, 4), np.float32)]))
    moved = jax.tree.map(np.asarray, prepare(jax.random.split(jax.random.key(1), 64), same, {}))
    np.testing.assert_array_equal(moved["regions"][:, :2], moved["objects"])
    assert len(np.unique(moved["objects"][:, 0, 0])) > 20
    np.testing.assert_array_equal(moved["region_mask"][:, :2], moved["object_mask"])


def test_recall_is_of_given_regions():
    created = TASKS["detection"].create(about())
    one = {name: np.stack([value] * 2) for name, value in example().items()}
    one |= {"mask": np.ones(2, np.float32), "box_area": np.ones((2, 2), np.float32)}

    def run(batch):
        module = knowing()
        return created.score(created.infer(module, batch), batch)

    scores = jax.jit(run)(one)
    assert [np.asarray(part).tolist() for part in scores.means["proposal_recall"]] == [[1, 1], [2, 2]]


def test_a_network_that_lacks_regions_is_refused():
    result = (jax.ShapeDtypeStruct((2, 4), jnp.float32), {"region": None})
    with pytest.raises(InputError, match="regions that it is given, and these data give none: set"):
        TASKS["detection"].create(about(given=False)).check("fast_rcnn", result, about(given=False))
    TASKS["detection"].create(about()).check("fast_rcnn", result, about())
