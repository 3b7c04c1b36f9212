"""The configuration of a run: every key with its default, and how a file and flags become one."""

import argparse
import functools
import json
import re
import runpy
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import ConfigDict, config_dict, config_flags

from jaxcnn import trust
from jaxcnn.errors import InputError, nearest
from jaxcnn.shipped import shipped

# What a resumed run may change: where the data lie, how many processes read them and who is told of it, never what is
# computed.
FREE_KEYS = ("data.data_dir", "data.workers", "checkpoint.keep", "trackers")

# Sections whose keys are the arguments of what is named beside them.
OPTIONS = (
    *(f"{section}.options" for section in ("loss", "model", "optimizer", "sampler", "schedule", "task")),
    "data.keep",
    "data.proposals",
    "optimizers",
)


class Config(ml_collections.ConfigDict):
    """A ConfigDict that takes NumPy's and JAX's numbers and arrays as Python's own: np.int64(32) is 32."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_dotted_keys": True, **options})  # names of classes are keys of data.keep

    def __setitem__(self, key: str, value: Any) -> None:
        value = value if isinstance(value, ml_collections.ConfigDict) else plain(value)
        foreign = isinstance(value, ml_collections.ConfigDict | dict) and not isinstance(value, Config)
        super().__setitem__(key, Config(value) if foreign else value)


def plain(value: Any) -> Any:
    """A value with NumPy's and JAX's numbers as Python's and arrays as tuples, inside tuples, lists and dicts too."""
    if hasattr(value, "tolist"):
        return _tuples(value.tolist())
    if isinstance(value, tuple | list):
        return (tuple if isinstance(value, tuple) else list)(map(plain, value))
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    return value


def default_config() -> ConfigDict:
    """Every key of a run with its default value, as a locked ConfigDict.

    A duration is written "64000 steps", "30 epochs" or "50%" (of the whole run). An empty string or tuple, 0 for a size
    and None mean "as the data set, the architecture or the source of fine-tuning has it", else what the comment says.
    The run's config.json holds what that came to.
    """
    config = Config()
    config.seed = 0  # every random number of the run derives from it
    config.duration = "10 epochs"
    config.batch_size = 128  # over all devices and processes
    config.data = Config(
        {
            "name": "digits",  # digits, scenes, tfds:<name>, <kind>:<path> (jaxcnn.data.load), package.module:attribute
            "data_dir": "",  # where TFDS sets lie; empty: TFDS's default
            "train": "",
            "validation": "",
            "test": "",  # TFDS split expressions
            "keep": Config(),  # of a class in train, so many images or a share of them: {"3": 0.05}
            "keep_seed": 0,  # which images those are
            "add": "",  # folder:<path> of class folders: more images for train
            "image_size": (),
            "channels": 0,
            "fit": "",  # crop: short side, then centre crop (the default); stretch; pad: on zeros; inside: the whole
            "resize": 0,  # short side before the centre crop, as 256 for 224; 0: image_size is just covered
            "interpolation": "",  # bilinear (the default) or bicubic
            "on_error": "raise",  # or skip: a file that cannot be read is counted and left out
            "proposals": Config(),  # boxes of selective search in every example: {"count": 2000}, jaxcnn.data.load
            "resident": "auto",  # yes: the set lives on the device; no: it streams; auto: by its size
            "workers": 0,  # processes that decode a streamed set
            "mean": "channel",
            "std": "channel",  # channel, pixel, none, or numbers "0.48,0.46,0.41", on the [0, 1] scale
        }
    )
    config.sampler = Config(
        {
            "name": "shuffle",  # of jaxcnn.data.SAMPLERS: shuffle, balanced, identities; or package.module:attribute
            "options": Config(),  # the sampler's own arguments, as {"identities": 32, "images": 4}
        }
    )
    config.augment = Config(
        {
            "recipe": "",  # a paper's, of jaxcnn.augment.RECIPES: fills the keys below that have their defaults
            "without": (),  # keys of the recipe that keep their defaults, as ("flip",) for digits
            "crop": "none",  # resized: a random part of the image; scaled: a window of it at a random scale
            "crop_area": (0.08, 1.0),  # resized: share of the image
            "crop_aspect": (3 / 4, 4 / 3),  # resized: width / height
            "crop_scale": (256 / 224, 480 / 224),  # scaled: short side of the image over that of image_size
            "pad_crop": 0,  # pixels of zeros around the image before a window of its size is cut
            "flip": False,  # left to right
            "vertical_flip": False,
            "operations": (),  # (of augment.OPERATIONS or package.module:attribute, probability, magnitude, options?)
            "rand_augment": 0,  # so many of the operations, drawn for each image; 0: all of them, in order
            "magnitude": 1.0,  # times that of every operation; changes without recompilation
            "pca": (),  # 3 values and 3x3 vectors for lighting, as the verb statistics prints them; empty: ImageNet's
            "mixup": 0.0,  # alpha; 0: off
            "cutmix": 0.0,
        }
    )
    config.model = Config(
        {
            "name": "lenet5_common",  # of ARCHITECTURES, or package.module:attribute; empty: as finetune.source has it
            "options": Config(),  # the architecture's own arguments
            "dropout": config_dict.placeholder(float),
            "dtype": "float32",  # of the computation; parameters, statistics and loss are float32
            "batch_norm": "replica",  # statistics per replica, or synchronized over all
        }
    )
    config.loss = Config(
        {
            "name": "softmax_cross_entropy",  # of jaxcnn.operators.LOSSES, or package.module:attribute
            "options": Config(),  # the loss's own arguments, as {"gamma": 1.0} of focal
            "label_smoothing": 0.0,
            "auxiliary_weight": 0.3,  # of each auxiliary head's loss (GoogLeNet, Inception-v3)
        }
    )
    config.task = Config(
        {
            "name": "classification",  # of jaxcnn.tasks.TASKS, or package.module:attribute
            "options": Config(),  # the task's own arguments
        }
    )
    config.metrics = ()  # package.module:attribute, ...: functions that measure more, see jaxcnn.tasks.metrics
    config.optimizer = Config(
        {
            "name": "sgd",  # sgd, adam, adamw, rmsprop, optax:<name>, package.module:attribute
            "options": Config(),  # the arguments of the last two; their numbers are not those below but clip to decay
            "learning_rate": 0.1,
            "momentum": 0.9,  # of sgd; Adam's first moment; RMSProp's momentum
            "nesterov": False,
            "momentum_convention": "torch",  # caffe: the learning rate inside the buffer
            "second_moment": 0.999,  # Adam's second moment, RMSProp's decay
            "rmsprop_convention": "tensorflow",  # epsilon inside the root and a buffer from 1; torch: outside, from 0
            "epsilon": 1e-8,
            "weight_decay": 0.0,
            "decay": "l2",  # added to the gradient before momentum; decoupled: after, times the learning rate
            "decay_mask": "all",  # or kernels: no biases, no batch norm
            "clip": 0.0,  # global gradient norm; 0: none
            "max_norm": 0.0,  # length of the weights into a unit, which an update does not exceed; 0: any
            "accumulate": 1,  # parts into which a batch is cut; their gradients are averaged
            "ema": 0.0,  # decay of an average of weights and statistics that evaluation uses, see step.average; 0: none
            "swa": "",  # a duration, as "75%", after which evaluation uses the mean of all weights since; empty: none
        }
    )
    config.optimizers = Config()  # of a game: {player: {key of optimizer: value}}; "rate" is a factor of learning_rate
    config.schedule = Config(
        {
            "name": "constant",  # constant, step, plateau, cosine, inverse_sqrt, optax:<name>, package.module:attribute
            "options": Config(),  # the arguments of the last two: rates are factors, durations may be text as "50%"
            "warmup": "0 steps",  # linear, from 0
            "boundaries": (),  # step: durations at which the rate is multiplied by factor
            "factor": 0.1,
            "patience": 10,  # plateau: evaluations without a lower held-out error before the rate is multiplied
        }
    )
    config.finetune = Config(
        {
            "source": "",  # a run directory, from whose network this run begins, under a new head
            "checkpoint": "best",  # of the source: best, latest or a step
            "head": (),  # patterns of layers to re-initialise; empty: those whose shape depends on the classes
            "freeze": (),  # patterns, as ("conv*", "norm1"), of parameters and statistics that stay; never the head
            "freeze_to": "",  # a stage of the network: all that it is computed from stays
            "rates": (),  # (pattern, factor of the learning rate), ...; the first that matches counts
            "layer_decay": 1.0,  # the rate of a stage is that of the next one times this; rates above count before it
            "rename": (),  # (pattern of the source's names, name here), ...: (("*", "backbone/*"),)
            "drop": (),  # patterns of the source's parameters and statistics that are not read
            "unfreeze": (),  # (pattern, duration), ...: what was frozen learns from there on
        }
    )
    config.evaluation = Config(
        {
            "every": "1 epoch",
            "batch_size": 0,
            "patience": 0,  # evaluations without a lower held-out error after which the run ends; 0: it does not
        }
    )
    config.checkpoint = Config({"every": "1 epoch", "keep": 2})
    config.log_every = 50  # steps
    config.trackers = ("tensorboard",)  # that get the rows of the log too: tensorboard, wandb, mlflow
    config.steps_per_call = 0  # steps in one compiled call; 0: 1 on CPU, elsewhere 20, or log_every where that is less
    config.parallel = "pmap"
    config.deterministic = False  # on a GPU: only deterministic kernels
    config.lock()
    for section in OPTIONS:
        section_of(config, section).unlock()  # which keys it takes is for what is named beside it to say
    return config


def section_of(config: ConfigDict, section: str) -> Any:
    """The part of a config under a key such as "model.options"."""
    return functools.reduce(lambda part, key: part[key], section.split("."), config)


def is_option(key: str) -> bool:
    """Whether a key lies in one of the sections of OPTIONS, as "model.options.depth" does."""
    return key.startswith(tuple(f"{section}." for section in OPTIONS))


def load_config(arguments: Sequence[str]) -> ConfigDict:
    """The ConfigDict of `--config=FILE.py --config.key=value ...`; FILE may be the name of one of jaxcnn's own.

    Args:
      arguments: a list of command-line arguments, all of them about the config.
    Raises:
      InputError: no --config, a file that does not load, an unknown key (names the nearest) or a value of another type.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    named, overrides = parser.parse_known_args(arguments)
    if named.config is None:
        raise InputError("name a config: --config=configs/NAME.py, then --config.key=value to change a value of it")
    path = shipped("configs", named.config)
    trust.find_here(path)
    config, values = _run_file(path), flags.FlagValues()
    argv = ["jaxcnn", *overrides]
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        rest = values(argv)[1:]
    except (AttributeError, KeyError) as error:
        raise InputError(_unknown_key(overrides, error)) from error
    except (flags.Error, TypeError, ValueError) as error:
        raise InputError(f"the config could not be read: {_reason(error)}") from error
    if rest:
        raise InputError(f"not an argument of this verb: {' '.join(rest)}")
    config = values["config"].value
    trust.allow_config(config)
    return config  # ty: ignore[invalid-explicit-return]  of the flag defined above


def _run_file(path):
    """The result of get_config() of a file."""
    if not path.is_file():
        there = [p.name for p in path.parent.glob("*.py")]
        own = f"jaxcnn's own are found by their names: --config={path.stem}"
        raise InputError(f"there is no config file {path}; {nearest(path.name, there) if there else own}")
    try:
        file = runpy.run_path(str(path))
        if "get_config" not in file:
            raise InputError(f"{path} has no function get_config() that returns a config.")
        config = file["get_config"]()
    except (AttributeError, KeyError, OSError, SyntaxError, TypeError, ValueError) as error:
        raise InputError(f"the config {path} could not be read: {_reason(error)}") from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise InputError(
            f"get_config() of {path} returns {type(config).__name__}; it returns a changed default_config()."
        )
    return config


def _unknown_key(arguments, error):
    given = [a.split("=")[0].removeprefix("--").removeprefix("config.") for a in arguments if a.startswith("--config.")]
    known = flatten(default_config())
    for key in given:
        if key not in known and not is_option(key):
            return f"unknown config key '{key}'; {nearest(key, known)}"
    hint, option = "", next(filter(is_option, given), "")
    if option:
        section = next(section for section in OPTIONS if option.startswith(f"{section}."))
        example = "..."
        for name in reversed(option.removeprefix(f"{section}.").split(".")):
            example = f"{{'{name}': {example}}}"
        hint = f' An option that the config file does not list is given as --config.{section}="{example}".'
    return f"the config could not be read: {_reason(error)}{hint}"


def _reason(error):
    """One paragraph, without the list of all other keys that ml_collections adds."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    text = re.sub(r"invalid literal for int\(\) with base 10: .*", "it is a whole number", text)
    text = re.sub("could not convert string to float: .*", "it is a number", text)
    return " ".join(re.sub(r"Other fields present: .*", "", text).split())


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """{"optimizer.learning_rate": 0.1, ...} of a ConfigDict or a nested dict; an empty dict is kept as a leaf.

    Raises:
      InputError: a key is no text, of which config.json would make one.
    """
    if numbers := [key for key in config.keys() if not isinstance(key, str)]:  # noqa: SIM118  a ConfigDict yields others
        raise InputError(
            f"config.{prefix.rstrip('.')} has the key {numbers[0]!r}; a key is text: '{numbers[0]}', or "
            f"'{numbers[0]} steps' where it is a time."
        )
    flat = {}
    for key in sorted(config.keys()):
        value = config[key]
        if hasattr(value, "keys") and len(value):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value.to_dict() if isinstance(value, ml_collections.ConfigDict) else value
    return flat


def to_json(config: ConfigDict) -> str:
    """The config as the text of config.json."""
    return json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> ConfigDict:
    """The ConfigDict that to_json wrote; keys it lacks (an older run's) take their defaults."""
    config = default_config()
    _fill(config, _retired(json.loads(text)), "")
    return config


def _retired(values):
    """The dict of an older run's config.json with its retired keys as they are written now."""
    forgetting = values.pop("forgetting", {})  # was a part of every config, without effect where its weight was 0
    if forgetting.get("weight"):
        values["task"] = {"name": "learning_without_forgetting", "options": forgetting}
    return values


def _fill(config, values, prefix):
    for key, value in values.items():
        if key not in config:
            raise InputError(f"config.json: unknown key '{prefix}{key}'; {nearest(key, config.keys())}")
        if prefix + key in OPTIONS:
            config[key] = Config(_tuples(value))
        elif isinstance(value, dict):
            _fill(config[key], value, f"{prefix}{key}.")
        elif value is not None:
            config[key] = _tuples(value)


def _tuples(value):
    """JSON has no tuples: its lists were tuples."""
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    return value


def differences(old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    """[(key, old value, new value)] of two configs, leaving out what a resumed run may change."""
    old, new = flatten(_plain(old)), flatten(_plain(new))
    keys = sorted((set(old) | set(new)) - set(FREE_KEYS))
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _plain(config):
    return _tuples(json.loads(to_json(config)))
