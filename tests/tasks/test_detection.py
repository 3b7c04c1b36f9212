"""The task `detection`: examples, the two stages on a network that knows the answers, and what is measured."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.data.detection.table import box_fields
from jaxcnn.operators import regions
from jaxcnn.tasks import TASKS, About
from jaxcnn.tasks.detection.rpn import propose
from jaxcnn.tasks.detection.two_stages import Settings, detect, objective

SIZE = (32, 48)
CLASSES = ("cat", "dog", "cow")
FEW = {"anchors": 32, "border": 99.0, "best_of": (60, 60), "proposals": (20, 20), "least_side": 2.0}
FEW |= {"regions": 16, "detections": 8}
SETTINGS = Settings(**FEW)
OBJECTS = np.array([[[2, 3, 14, 15], [20, 6, 44, 30]], [[10, 8, 22, 20], [0, 0, 0, 0]]], np.float32)
LABELS, THERE = np.array([[2, 0], [1, 0]]), np.array([[True, True], [True, False]])


def about(fields=None, classes=CLASSES):
    return About(classes, (*SIZE, 3), box_fields(2) if fields is None else fields, np.zeros(3), np.ones(3))


def knowing(score=1.0, shift=0.0, sure=1.0, offset=0.0):
    """A network that sees through the images: its RPN scores anchors by their overlap with the objects and moves them
    there, its head knows the class of what it overlaps. The arguments make it wrong: factors of the two kinds of
    logits, and what is added to the two kinds of offsets."""
    anchors = jnp.asarray(regions.anchors((4, 6), stride=8, scales=(12, 24), ratios=(1,)))
    objects = jnp.asarray(OBJECTS)

    def nearest(boxes):
        """(IoU with the nearest object, its place), (n, m) each."""
        overlap = jnp.where(THERE[:, None], jax.vmap(regions.iou)(boxes, objects), 0)
        return overlap.max(axis=2), overlap.argmax(axis=2)

    def aim(boxes, places):
        return regions.encode(jnp.take_along_axis(objects, places[..., None], axis=1), boxes)

    def propose(maps):
        boxes = jnp.broadcast_to(anchors, (len(objects), *anchors.shape))
        overlap, places = nearest(boxes)
        return score * 40 * (overlap - 0.25), aim(boxes, places) + shift

    def classify(maps, boxes, *, image, train):
        overlap, places = nearest(boxes)
        own = jnp.where(overlap >= 0.5, jnp.take_along_axis(jnp.asarray(LABELS), places, axis=1), len(CLASSES))
        moved = aim(boxes, places) / jnp.array([0.1, 0.1, 0.2, 0.2]).reshape(1, 1, 4) + offset
        return sure * 30 * jax.nn.one_hot(own, len(CLASSES) + 1), jnp.repeat(moved[:, :, None], len(CLASSES), axis=2)

    return SimpleNamespace(
        maps=lambda images, *, train: (images, {}),
        anchors=lambda maps, *, image: anchors,
        propose=propose,
        classify=classify,
        num_classes=len(CLASSES),
    )


IMAGES = np.zeros((2, *SIZE, 3), np.float32)
TRUTH = {"objects": OBJECTS, "object_mask": THERE, "crowd": np.zeros_like(THERE), "box_label": LABELS}


@pytest.fixture(scope="module")
def losses():
    """losses({"shift": 1.0}, batch) are the four losses (2,) of a network that is wrong by that."""
    compiled = jax.jit(lambda numbers, batch: objective(SETTINGS, knowing(**numbers), batch, IMAGES))

    def of(numbers, **changes):
        every = {"score": 1.0, "shift": 0.0, "sure": 1.0, "offset": 0.0, **numbers}
        batch = {"key": jax.random.split(jax.random.key(0), 2), **TRUTH, **changes}
        return {name: np.asarray(value) for name, value in compiled(every, batch).items()}

    return of


@pytest.fixture(scope="module")
def found():
    """The outputs of the network that knows."""
    return jax.tree.map(np.asarray, jax.jit(lambda: detect(SETTINGS, knowing(), IMAGES))())


def test_a_network_that_knows_the_objects_finds_them(found):
    there = found["there"]
    assert there.sum(axis=1).tolist() == [2, 1]
    for image, classes in enumerate(((0, 2), (1,))):
        order = np.argsort(found["classes"][image][there[image]])
        truth = np.argsort(LABELS[image][THERE[image]])
        boxes = found["boxes"][image][there[image]][order]
        np.testing.assert_allclose(boxes, OBJECTS[image][THERE[image]][truth], atol=1e-3)
        assert found["classes"][image][there[image]][order].tolist() == list(classes)
        assert (found["scores"][image][there[image]] > 0.99).all()


def test_each_loss_rises_where_its_part_is_wrong(losses):
    right = losses({})
    assert right.keys() == {"rpn_class", "rpn_box", "class", "box"}
    # the best anchors of an object are its own even where they overlap it by less than a quarter
    assert all((right[name] < 1e-4).all() for name in ("rpn_box", "class", "box")), right
    wrong = {"rpn_class": {"score": -1.0}, "rpn_box": {"shift": 1.0}, "class": {"sure": -1.0}, "box": {"offset": 1.0}}
    for name, change in wrong.items():
        changed = losses(change)
        assert (changed[name] > right[name] + 0.1).all(), name
        same = {"class": ("rpn_class", "rpn_box", "box"), "box": ("rpn_class", "rpn_box", "class")}.get(name, ())
        for other in same:
            np.testing.assert_allclose(changed[other], right[other], atol=1e-6)


def test_losses_are_means_over_what_is_drawn(losses):
    """log 4 for each region of a head that knows nothing; 4 (1 - 1 / 2) for each that has an object, where offsets
    are wrong by 1; nothing of what is ignored."""
    wrong = {"shift": 1.0, "sure": 0.0, "offset": 1.0}  # proposals beside the objects are background
    whole = losses(wrong)
    np.testing.assert_allclose(whole["class"], np.log(4), rtol=1e-5)
    share = whole["box"] / 2
    assert (share > 0).all() and (share < 1).all()
    ignored = losses(wrong, crowd=np.array([[True, True], [False, False]]))
    assert ignored["box"][0] == 0 and ignored["box"][1] == whole["box"][1]
    assert ignored["rpn_box"][0] == 0


def test_proposals_are_large_enough_cut_to_the_image_and_pass_no_gradient():
    module = knowing()
    settings = SETTINGS._replace(least_side=6.0)
    anchors = module.anchors(None, image=SIZE)

    def proposals(offsets):
        scores = jnp.linspace(0, 1, len(anchors))[None]
        return propose(settings, 1, SIZE, anchors, scores, offsets)

    offsets = np.random.default_rng(0).normal(0, 0.7, (1, len(anchors), 4)).astype(np.float32)
    boxes, there = map(np.asarray, jax.jit(proposals)(offsets))
    kept = boxes[there]
    assert len(kept) > 5 and np.asarray(regions.inside(kept, size=SIZE)).all()
    assert (kept[:, 2:] - kept[:, :2]).min() >= 6
    assert not jax.jit(jax.grad(lambda offsets: proposals(offsets)[0].sum()))(offsets).any()


def task(**options):
    return TASKS["detection"].create(about(), **{**FEW, **options})


def example(view=(0, 0, 32, 48)):
    image = np.random.default_rng(0).random((*SIZE, 3), np.float32)
    own = {"boxes": OBJECTS[0], "box_label": LABELS[0], "box_mask": THERE[0], "box_ignored": np.zeros(2, bool)}
    return {"image": image, **own, "view": np.array(view, np.float32), "size": np.array([32, 48])}


def test_an_example_is_moved_with_its_objects():
    plain = jax.jit(task(flip=False).prepare)(jax.random.key(0), example(), {})
    np.testing.assert_allclose(plain["objects"], OBJECTS[0], atol=1e-5)
    assert plain["object_mask"].tolist() == [True, True] and not plain["crowd"].any()
    shown = jax.jit(task(flip=False).prepare)(
        jax.random.key(0), example(view=(0, 0, 64, 96)), {}
    )  # a photograph twice as large
    np.testing.assert_allclose(shown["objects"], OBJECTS[0] / 2, atol=1e-5)
    prepare = jax.jit(jax.vmap(task(zoom=(1.0, 4.0)).prepare, (0, None, None)))
    zoomed = {k: np.asarray(v) for k, v in prepare(jax.random.split(jax.random.key(1), 64), example(), {}).items()}
    assert np.asarray(regions.inside(zoomed["objects"], size=SIZE)).all()
    gone, hidden = ~zoomed["object_mask"], zoomed["crowd"]
    assert gone.any() and hidden.any() and not (gone & hidden).any() and (zoomed["object_mask"] & ~hidden).any()
    bright = jax.jit(task(flip=False, jitter=0.5).prepare)(jax.random.key(0), example(), {})
    assert (bright["image"] != plain["image"]).any() and (bright["objects"] == plain["objects"]).all()


def test_what_is_found_is_measured_in_pixels_of_the_original(found):
    """Photographs of 64 x 96, shown at half their size; one image of the batch could not be read."""
    created = task(coco=True)
    outputs = {name: value for name, value in found.items() if name != "features"}
    fields = {
        "boxes": 2 * OBJECTS,
        "box_label": LABELS,
        "box_mask": THERE,
        "box_ignored": ~THERE,
        "box_area": np.full((2, 2), 99.0),
    }
    shown = {"view": np.tile([0.0, 0, 64, 96], (2, 1)), "size": np.tile([64, 96], (2, 1))}
    measured = {**fields, **shown, "image": IMAGES, "mask": np.array([1.0, 1.0])}
    scores = jax.jit(created.score)(outputs, measured)
    np.testing.assert_allclose(scores.rows["found"][1, 0], [20, 16, 44, 40], atol=1e-3)
    assert [np.asarray(part).tolist() for part in scores.means["proposal_recall"]] == [[2, 1], [2, 1]]
    rows = {name: np.asarray(value) for name, value in scores.rows.items()}
    values = created.finish(2, {"proposal_recall": 1.0}, {}, rows)
    assert values.keys() <= TASKS["detection"].measures.keys()
    assert [values[name] for name in ("ap50", "ap50_2007", "ap", "ap_small")] == pytest.approx([1, 1, 1, 1])
    assert created.details(2, {}, {}, rows) == {"per_class": {"cat": 1.0, "dog": 1.0, "cow": 1.0}}
    one = {name: value[1] for name, value in {**outputs, **shown}.items()}
    (described,) = created.describe(one)["objects"]  # as predict gets it of a file
    assert described == {"label": "dog", "score": pytest.approx(1), "box": pytest.approx([20, 16, 44, 40], abs=0.01)}
    missed = {**rows, "there": rows["there"] & (rows["classes"] != 1)}
    values = created.finish(2, {}, {}, missed)
    assert [values["ap50"], values["ap"]] == pytest.approx([2 / 3, 2 / 3])
    unread = {**missed, "mask": np.array([1.0, 0.0])}
    assert created.finish(1, {}, {}, unread)["ap50"] == 1
    chosen = task(coco=True, measured=("cat", "cow")).finish(2, {}, {}, missed)
    assert [chosen["ap50"], chosen["ap"]] == pytest.approx([1, 1])


NAN = float("nan")
PAIR = r"it is a pair of whole numbers from 1, as \(2000, 300\)"
PIXELS = "it is a number of pixels, from 0"
RISING = "it is a pair of factors above 0 that rise"


@pytest.mark.parametrize("options, said", [
    ({"measured": ("horse",)}, "measured names horse; the classes are cat, dog, cow"),
    ({"measured": "cat"}, r"measured is 'cat'; it is a list of classes"),
    ({"measured": 3}, "measured is 3; it is a list of classes"),
    ({"overlaps": 0.3}, "unknown option 'overlaps'; known: anchors"),
    ({"anchors": 0}, "anchors is 0; it is a whole number from 2"),
    ({"anchors": 1}, "anchors is 1; it is a whole number from 2"),
    ({"border": -1.0}, f"border is -1.0; {PIXELS}"),
    ({"best_of": (100,)}, rf"best_of is \(100,\); {PAIR}"),
    ({"best_of": (100, 50.5)}, PAIR),
    ({"proposals": 300}, f"proposals is 300; {PAIR}"),
    ({"proposals": (0, 0)}, rf"proposals is \(0, 0\); {PAIR}"),
    ({"proposals": "20"}, f"proposals is '20'; {PAIR}"),
    ({"least_side": "a"}, f"least_side is 'a'; {PIXELS}"),
    ({"least_side": np.inf}, f"least_side is inf; {PIXELS}"),
    ({"regions": 0}, "regions is 0; it is a whole number from 4"),
    ({"regions": 3}, "regions is 3; it is a whole number from 4"),
    ({"background": 2.0}, "background is 2.0; it is an IoU from 0 and below 0.5"),
    ({"background": 0.5}, "background is 0.5; it is an IoU from 0 and below 0.5"),
    ({"detections": 2.5}, "detections is 2.5; it is a whole number from 1"),
    ({"detections": True}, "detections is True; it is a whole number from 1"),
    ({"least_score": None}, "least_score is None; it is a probability, from 0 to 1"),
    ({"least_score": NAN}, "least_score is nan; it is a probability, from 0 to 1"),
    ({"overlap": "x"}, "overlap is 'x'; it is an IoU, from 0 to 1"),
    ({"overlap": 1.5}, "overlap is 1.5; it is an IoU, from 0 to 1"),
    ({"flip": "no"}, "flip is 'no'; it is True or False"),
    ({"zoom": 2.0}, f"zoom is 2.0; {RISING}"),
    ({"zoom": (1.5, 0.5)}, RISING),
    ({"zoom": (0, 1)}, RISING),
    ({"jitter": -1.0}, "jitter is -1.0; it is a number from 0"),
    ({"coco": "yes"}, "coco is 'yes'; it is True or False"),
])  # fmt: skip
def test_options_that_do_not_fit_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        task(**options)


def test_options_at_their_ends_fit():
    task(anchors=2, regions=4, detections=1, best_of=(1, 1), proposals=[1, 1], least_side=0, border=0, jitter=0)
    task(background=0, least_score=0, overlap=0, zoom=(2, 2))
    task(background=0.49, least_score=1, overlap=1.0)


def test_data_without_boxes_are_refused():
    with pytest.raises(ValueError, match=r"lacks boxes, .* voc:PATH, coco:PATH and scenes have them"):
        TASKS["detection"].create(about(fields={"label": ((), np.int32)}))
