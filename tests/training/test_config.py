"""The config: what is refused and what the message says, and the way to JSON and back."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import default_config
from jaxcnn.errors import InputError
from jaxcnn.training.config import differences, flatten, from_json, load_config, to_json
from jaxcnn.training.duration import duration_in_steps
from jaxcnn.training.validate import validate

FILE = """
from jaxcnn import default_config

def get_config():
    config = default_config()
    config.model.options.activation = "tanh"
    {line}
    return config
"""


@pytest.fixture
def config_file(tmp_path):
    def write(line=""):
        path = tmp_path / "mine.py"
        path.write_text(FILE.format(line=line))
        return f"--config={path}"

    return write


def refused(function, *arguments):
    with pytest.raises(InputError) as caught:
        function(*arguments)
    text = str(caught.value)
    assert text and "\n" not in text and "Traceback" not in text  # one paragraph
    return text


def changed(key, value):
    config = default_config()
    config.update_from_flattened_dict({key: value})
    return config


def test_the_default_is_valid_and_locked():
    validate(default_config())
    with pytest.raises(AttributeError, match="batch_size"):
        default_config().batch_sice = 3


def test_a_file_and_flags_become_a_config(config_file):
    config = load_config(
        [config_file("config.seed = 5"), "--config.optimizer.learning_rate=1", "--config.schedule.boundaries=('50%',)"]
    )
    validate(config)
    assert (config.seed, config.optimizer.learning_rate, config.schedule.boundaries) == (5, 1.0, ("50%",))
    assert isinstance(config.optimizer.learning_rate, float)


def test_values_of_all_kinds_from_flags(config_file):
    config = load_config(
        [
            config_file(),
            "--config.model.dropout=0.25",
            "--config.augment.flip",
            "--config.data.image_size=(16, 16)",
            "--config.duration=3 epochs",
            "--config.model.options.activation=relu",
        ]
    )
    assert (config.model.dropout, config.augment.flip, config.data.image_size) == (0.25, True, (16, 16))
    assert (config.duration, config.model.options.activation) == ("3 epochs", "relu")


def test_options_that_the_file_does_not_list_are_given_as_a_dict(config_file):
    config = load_config([config_file(), "--config.model.options={'activation': 'relu', 'pooling': 'max'}"])
    assert config.model.options.to_dict() == {"activation": "relu", "pooling": "max"}


def test_a_mistyped_key_names_the_nearest(config_file):
    assert "'optimizer.learning_rate'" in refused(load_config, [config_file(), "--config.optimizer.learning_rat=0.1"])
    assert "'optimizer.momentum'" in refused(load_config, [config_file(), "--config.optimiser.momentum=0.1"])
    assert '"learning_rate"' in refused(load_config, [config_file("config.optimizer.learning_rat = 0.1")])
    text = refused(load_config, [config_file(), "--config.model.options.activatio=relu"])
    assert '"activation"' in text and "--config.model.options=" in text
    text = refused(load_config, [config_file(), "--config.loss.options.gamma=1.0"])
    assert """is given as --config.loss.options="{'gamma': ...}".""" in text
    text = refused(load_config, [config_file(), "--config.optimizers.critic.rate=0.5"])
    assert """is given as --config.optimizers="{'critic': {'rate': ...}}".""" in text


def test_a_key_that_no_lock_stopped_is_refused():
    config = default_config()
    with config.unlocked():
        config.optimizer.learning_rat = 0.1
    assert "'optimizer.learning_rate'" in refused(validate, config)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.optimizer.learning_rate=fast"], "fast"),
        (["--config.batch_size=1.5"], "1.5"),
        (["--config.augment.flip=perhaps"], "perhaps"),
        (["--nonsense=3"], "nonsense"),
        (["word"], "word"),
    ],
)
def test_wrong_flags_are_refused(config_file, arguments, words):
    assert words in refused(load_config, [config_file(), *arguments])


def test_what_is_wrong_with_a_file_is_said(config_file, tmp_path):
    assert "name a config" in refused(load_config, [])
    assert "'mine.py'" in refused(load_config, [config_file().replace("mine", "min")])
    assert "min.py" in refused(load_config, ["--config.seed=1", config_file().replace("mine", "min")][::-1])
    assert "by their names: --config=digits_lenet5" in refused(
        load_config, ["--config=configs_elsewhere/digits_lenet5.py"]
    )
    assert "batch_size" in refused(load_config, [config_file("config.batch_size = 'many'")])
    assert "line 7" in refused(load_config, [config_file("config.batch_size = = 3")])
    (tmp_path / "mine.py").write_text("def get_confg(): pass")
    assert "get_config" in refused(load_config, [f"--config={tmp_path / 'mine.py'}"])


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("optimizer.name", "sdg", "did you mean 'sgd'?; known: adam, adamw"),
        ("data.fit", "crops", "crop, stretch, pad, inside"),
        ("schedule.name", "cosin", "cosine"),
        ("optimizer.learning_rate", -0.1, "of 0 or more"),
        ("optimizer.learning_rate", float("nan"), "of 0 or more"),
        ("batch_size", 0, "of 1 or more"),
        ("optimizer.momentum", 1.5, "from 0.0 to below 1.0"),
        ("optimizer.momentum", 1.0, "from 0.0 to below 1.0"),
        ("model.dropout", 1.0, "below 1.0"),
        ("optimizer.ema", 1.0, "below 1.0"),
        ("loss.label_smoothing", 1.1, "to 1.0"),
        ("data.channels", 5, "to 4"),
        ("duration", "ten epochs", "30 epochs"),
        ("duration", "50%", "steps or epochs"),
        ("duration", "1.5 steps", "whole"),
        ("schedule.warmup", "5", "64000 steps"),
        ("evaluation.every", "", "64000 steps"),
        ("schedule.boundaries", ("1 epoch", "2 epoch s"), "schedule.boundaries"),
        ("schedule.boundaries", (100,), "schedule.boundaries"),
        ("schedule.name", "step", "schedule.boundaries is empty"),
        ("data.mean", "imagenet", "channel, pixel, none"),
        ("data.std", "pixel", "per channel"),
        ("data.mean", "123.68,116.78,103.94", "divided by 255"),
        ("data.std", "0.2,0.0,0.2", "divided by 255"),
        ("seed", 2**32, "to 4294967295"),
        ("data.image_size", (64,), "(height, width)"),
        ("data.image_size", (0, 64), "(height, width)"),
        ("data.image_size", ("a", "b"), "(height, width)"),
        ("data.image_size", (None, 64), "(height, width)"),
        ("data.image_size", (1.5, 2.5), "(height, width)"),
        ("data.image_size", (True, True), "(height, width)"),
        ("data.image_size", (2**40, 64), "(height, width)"),
        ("data.workers", 10_000, "from 0 to 1024"),
        ("data.workers", -1, "from 0 to 1024"),
        ("batch_size", True, "of 1 or more"),
        ("batch_size", 2**31, "of 1 or more"),
        ("seed", True, "from 0"),
        ("optimizer.learning_rate", float("inf"), "of 0 or more"),
        ("optimizer.learning_rate", 1e39, "of 0 or more"),
        ("optimizer.weight_decay", float("inf"), "of 0 or more"),
        ("optimizer.clip", float("nan"), "of 0 or more"),
        ("augment.mixup", float("inf"), "of 0 or more"),
        ("augment.magnitude", float("inf"), "of 0 or more"),
        ("augment.crop_aspect", (1.0, float("inf")), "(lowest, highest)"),
        ("augment.crop_area", (True, True), "(lowest, highest)"),
        ("augment.pca", ("a",) * 12, "3x3 vectors"),
        ("augment.operations", (("rotate", 0.5, float("inf")),), "(name, probability, magnitude)"),
        ("model.dropout", float("nan"), "below 1.0"),
        ("model.dtype", "", "float32, bfloat16"),
        ("evaluation.every", "0 steps", "'1 step' is the least"),
        ("evaluation.every", "200%", "0% to 100%"),
        ("checkpoint.every", "0%", "'1 step' is the least"),
        ("checkpoint.keep", 0, "of 1 or more"),
        ("schedule.warmup", "-1 steps", "64000 steps"),
        ("schedule.warmup", "101%", "0% to 100%"),
        ("schedule.boundaries", ("0 steps",), "none is at the start"),
        ("schedule.boundaries", ("9 epochs", "3 epochs"), "later than the one before"),
        ("schedule.boundaries", ("3 epochs", "3 epochs"), "later than the one before"),
        ("schedule.boundaries", ("120%",), "0% to 100%"),
        ("finetune.freeze", (1,), "names in quotes"),
        ("finetune.head", (None,), "names in quotes"),
        ("finetune.unfreeze", (("fc", "150%"),), "0% to 100%"),
    ],
)
def test_values_that_cannot_be_are_refused(key, value, words):
    text = refused(validate, changed(key, value))
    assert f"config.{key}" in text and words in text


def test_combinations_that_cannot_be_are_refused():
    for changes in (
        {"optimizer.name": "adam", "optimizer.nesterov": True},
        {"optimizer.momentum_convention": "caffe", "optimizer.decay": "decoupled"},
        {"optimizer.momentum_convention": "caffe", "optimizer.name": "rmsprop"},
        {"optimizer.name": "adam", "optimizer.epsilon": 0.0},
        {"schedule.name": "plateau", "schedule.patience": 0},
    ):
        config = default_config()
        config.update_from_flattened_dict(changes)
        refused(validate, config)


def test_limits_are_allowed():
    for key, value in {
        "loss.label_smoothing": 1.0,
        "optimizer.momentum": 0.0,
        "model.dropout": 0.0,
        "batch_size": 1,
        "data.mean": "0.48,0.46,0.41",
        "duration": "1 step",
    }.items():
        validate(changed(key, value))


def test_durations():
    def steps(text):
        return duration_in_steps(text, key="duration", steps_per_epoch=2.5, total=40)

    durations = {"7 steps": 7, "1 step": 1, "4 epochs": 10, "0.2 epochs": 0, "3 epochs": 8, "50%": 20, " 5 % ": 2}
    assert {text: steps(text) for text in durations} == durations


def test_json_round_trip_keeps_tuples_none_and_options():
    config = default_config()
    config.data.image_size, config.schedule.boundaries = (8, 9), ("1 epoch", "50%")
    config.model.options.update({"widths": (4, 8), "nothing": None, "nested": {"rates": (0.1, (2,))}, "name": "a"})
    again = from_json(to_json(config))
    assert again.to_dict() == config.to_dict()
    assert again.model.dropout is None and again.data.image_size == (8, 9)
    assert isinstance(again.model.options.nested.rates, tuple)
    config.model.dropout = 0.5
    assert from_json(to_json(config)).model.dropout == 0.5
    assert from_json(to_json(default_config())).to_dict() == default_config().to_dict()


def test_json_of_an_older_run_takes_defaults_and_an_unknown_key_is_refused():
    values = json.loads(to_json(default_config()))
    del values["optimizer"]["ema"]
    assert from_json(json.dumps(values)).to_dict() == default_config().to_dict()
    values["optimizer"]["emma"] = 0.9
    assert "'optimizer.emma'" in refused(from_json, json.dumps(values))


def test_differences_name_what_changed_but_not_where_the_data_lie():
    old, new = default_config(), default_config()
    old.model.options.widths, new.model.options.widths = (4, 8), [4, 8]  # as JSON has them
    new.data.data_dir, new.data.workers, new.checkpoint.keep = "/elsewhere", 3, 9
    assert differences(old, new) == []
    new.optimizer.learning_rate = 0.2
    new.model.options.hidden = (3,)
    assert differences(old, new) == [("model.options.hidden", None, (3,)), ("optimizer.learning_rate", 0.1, 0.2)]
    assert differences(new, old) == [("model.options.hidden", (3,), None), ("optimizer.learning_rate", 0.2, 0.1)]


def test_numbers_and_arrays_of_numpy_and_jax_are_taken_as_python_s():
    config = default_config()
    config.batch_size, config.augment.flip = np.int64(32), np.bool_(True)
    config.optimizer.learning_rate, config.optimizer.momentum = np.float32(0.5), jnp.float32(0.25)
    config.data.image_size, config.augment.crop_area = np.array([8, 9]), (np.float32(0.5), np.float64(1.0))
    config.model.dropout = np.float64(0.125)
    config.model.options.update({"widths": np.array([4, 8]), "nested": {"rate": np.float32(0.5)}})
    config.update_from_flattened_dict({"optimizer.ema": np.float32(0.5)})
    validate(config)
    again = from_json(to_json(config))
    assert again.to_dict() == config.to_dict()
    assert (again.batch_size, again.optimizer.momentum, again.data.image_size) == (32, 0.25, (8, 9))
    assert config.copy_and_resolve_references().model.options.to_dict() == {"widths": (4, 8), "nested": {"rate": 0.5}}
    with pytest.raises(TypeError, match="batch_size"):
        config.batch_size = np.float64(32.5)


@pytest.mark.parametrize("key", ["data.keep", "schedule.options", "task.options"])
def test_a_key_that_is_no_text_is_refused(key):
    text = refused(validate, changed(key, {3: 5}))
    assert f"config.{key} has the key 3; a key is text: '3'" in text


def test_flatten_keeps_an_empty_dict():
    flat = flatten(default_config())
    assert flat["model.options"] == {} and flat["optimizer.learning_rate"] == 0.1
    assert "optimizer" not in flat
