"""Where the runs of a study begin at each scale, and the measures that studies share."""

import pytest

from jaxcnn.errors import InputError
from jaxcnn.sweeps import is_large, mnist_config, scale_config, scale_margin, steps_to_training_error
from jaxcnn.sweeps.scales import SCALES
from jaxcnn.training.setup import set_up
from jaxcnn.training.validate import validate


def test_every_scale_is_a_run():
    for scale in (*SCALES, "folder:photos"):
        validate(scale_config(scale))
    assert [scale for scale in (*SCALES, "folder:photos") if is_large(scale)] == ["imagenet", "folder:photos"]
    assert scale_config("folder:photos").data.name == "folder:photos"


def test_a_margin_is_of_a_scale_and_more_than_one_of_its_test_images():
    assert scale_margin("digits") > 1 / 360 and 1 / 10_000 < scale_margin("mnist") < scale_margin("cifar10-subset")
    with pytest.raises(InputError, match="no scale 'digit'"):
        scale_margin("digit")


def test_the_papers_lengths():
    cifar, imagenet = scale_config("cifar10"), scale_config("imagenet")
    assert (cifar.batch_size, cifar.duration) == (128, "64000 steps")  # He et al. 2015, section 4.2
    assert cifar.schedule.boundaries == ("32000 steps", "48000 steps")
    assert (imagenet.data.image_size, imagenet.data.resize, imagenet.batch_size) == ((224, 224), 256, 256)


def test_no_test_image_is_trained_on_or_held_out(shared):
    for scale in ("mnist", "cifar10-subset", "cifar10"):
        config = scale_config(scale)
        config.data.data_dir = str(shared / "tfds")
        setup = set_up(config)
        train, held_out = (
            set(range(*_part(config.data[split], total=_total(scale)))) for split in ("train", "validation")
        )
        assert len(setup.train) == len(train) and len(setup.held_out["validation"]) == len(held_out)
        assert not train & held_out and config.data.test == "test"


def _total(scale):
    return 60_000 if scale == "mnist" else 50_000


def _part(expression, *, total):
    first, last = expression.removeprefix("train[").removesuffix("]").split(":")
    return tuple(round(total * int(edge.removesuffix("%")) / 100) for edge in (first or "0%", last or "100%"))


def test_beside_a_published_error_all_of_mnist_is_trained_on_and_the_last_step_tested():
    config = mnist_config("20 epochs", batch_size=32)
    validate(config)
    assert (config.data.train, config.data.test, config.evaluation.every) == ("train", "test", "100%")
    assert (config.duration, config.batch_size) == ("20 epochs", 32)


def test_what_is_no_scale_names_the_nearest():
    with pytest.raises(InputError, match=r"no scale 'cifar'.*'cifar10'"):
        scale_config("cifar")


def test_steps_to_a_training_error():
    rows = [
        {"split": "train", "step": step, "top1": top1} for step, top1 in ((5, 0.5), (10, 0.75), (15, 0.7), (20, 0.9))
    ]
    rows.insert(0, {"split": "validation", "step": 1, "top1": 1.0})
    measures = [steps_to_training_error(error) for error in (0.25, 0.1, 0.05)]
    assert [measure.function(rows) for measure in measures] == [10, 20, None]
    assert measures[0].measure.log and measures[0].measure.label == "steps to 25 % training error"
