"""The checks of a config's values, before anything is read or compiled, and the ways a value is written."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from jaxcnn import trust
from jaxcnn.augment import OPERATIONS
from jaxcnn.data import SAMPLERS
from jaxcnn.errors import InputError, input_errors, nearest
from jaxcnn.operators import LOSSES
from jaxcnn.training.config import default_config, flatten, is_option
from jaxcnn.training.duration import duration_in_steps, parse_duration
from jaxcnn.training.optimizer import OPTIMIZERS, config_of_player
from jaxcnn.training.rundir.trackers import check_trackers
from jaxcnn.training.schedule import SCHEDULES

if TYPE_CHECKING:
    from ml_collections import ConfigDict


CHOICES = {
    "data.fit": ("crop", "stretch", "pad", "inside"),
    "data.interpolation": ("bilinear", "bicubic"),
    "data.on_error": ("raise", "skip"),
    "data.resident": ("auto", "yes", "no"),
    "augment.crop": ("none", "resized", "scaled"),
    "model.dtype": ("float32", "bfloat16"),
    "model.batch_norm": ("replica", "synchronized"),
    "optimizer.momentum_convention": ("torch", "caffe"),
    "optimizer.rmsprop_convention": ("tensorflow", "torch"),
    "optimizer.decay": ("l2", "decoupled"),
    "optimizer.decay_mask": ("all", "kernels"),
    "parallel": ("pmap", "shard_map"),
}

# What a key may name beside `package.module:attribute`, and the word for it.
TABLES = {
    "loss.name": (LOSSES, "loss"),
    "optimizer.name": (OPTIMIZERS, "optimizer"),
    "sampler.name": (SAMPLERS, "sampler"),
    "schedule.name": (SCHEDULES, "schedule"),
}

LARGEST = {int: 2**31 - 1, float: 3.4e38}  # of what int32 and float32 hold

# (lowest, highest) of a number; None is open, up to LARGEST.
RANGES = {
    "seed": (0, 2**32 - 1),  # what a key of JAX takes
    "batch_size": (1, None),
    "steps_per_call": (0, None),
    "log_every": (1, None),
    "data.channels": (0, 4),
    "data.keep_seed": (0, 2**32 - 1),
    "data.resize": (0, None),
    "data.workers": (0, 1024),  # each is a process of 200 MiB; check_workers asks this machine too
    "augment.pad_crop": (0, None),
    "augment.rand_augment": (0, None),
    "augment.magnitude": (0.0, None),
    "augment.mixup": (0.0, None),
    "augment.cutmix": (0.0, None),
    "model.dropout": (0.0, 1.0),
    "loss.label_smoothing": (0.0, 1.0),
    "loss.auxiliary_weight": (0.0, None),
    "optimizer.learning_rate": (0.0, None),
    "optimizer.momentum": (0.0, 1.0),
    "optimizer.second_moment": (0.0, 1.0),
    "optimizer.epsilon": (0.0, None),
    "optimizer.weight_decay": (0.0, None),
    "optimizer.clip": (0.0, None),
    "optimizer.max_norm": (0.0, None),
    "optimizer.accumulate": (1, None),
    "optimizer.ema": (0.0, 1.0),
    "schedule.factor": (0.0, 1.0),
    "schedule.patience": (0, None),
    "finetune.layer_decay": (0.0, 1.0),
    "checkpoint.keep": (1, None),
    "evaluation.batch_size": (0, None),
    "evaluation.patience": (0, None),
}

# Where the highest itself makes no sense: a division by 1 - value.
OPEN_RANGES = ("model.dropout", "optimizer.momentum", "optimizer.second_moment", "optimizer.ema")

DURATIONS = ("duration", "schedule.warmup", "evaluation.every", "checkpoint.every")
PATTERNS = (
    "finetune.head",
    "finetune.freeze",
    "finetune.drop",
    "augment.without",
    "metrics",
    "trackers",
)  # tuples of strings


def validate(config: ConfigDict) -> None:
    """Raises InputError for the first value that cannot be, before anything is read or compiled."""
    known, flat = flatten(default_config()), flatten(config)
    for key, value in flat.items():
        if key not in known and not is_option(key):
            raise InputError(f"unknown config key '{key}'; {nearest(key, known)}")
        if key in CHOICES and value not in CHOICES[key] and (value or value != known[key]):
            raise InputError(f"config.{key} is '{value}'; it is one of {', '.join(CHOICES[key])}.")
        if key in TABLES:
            with input_errors(f"config.{key}"):
                trust.check_name(value, TABLES[key][0], kind=TABLES[key][1])
        if key in RANGES and value is not None:
            _check_number(key, value)
        if key in PATTERNS and not all(isinstance(pattern, str) for pattern in value):
            raise InputError(f"config.{key} is {value!r}; it holds names in quotes, as ('conv1',).")
    for name in config.metrics:
        with input_errors("config.metrics"):
            trust.check_name(name, {}, kind="metric")
    check_trackers(config.trackers)
    _validate_durations(config, flat)
    if config.optimizer.name != "sgd" and config.optimizer.nesterov:
        raise InputError(f"config.optimizer.nesterov is for sgd, not for {config.optimizer.name}.")
    if config.optimizer.swa and config.optimizer.ema:
        raise InputError(
            "config.optimizer.swa and config.optimizer.ema are two averages of the same weights, and one is evaluated: "
            "leave swa empty or ema at 0."
        )
    if config.optimizer.momentum_convention == "caffe" and (
        config.optimizer.name != "sgd" or config.optimizer.decay == "decoupled"
    ):
        raise InputError("config.optimizer.momentum_convention 'caffe' is for sgd with decay 'l2'.")
    if config.optimizer.name in ("adam", "adamw", "rmsprop") and not config.optimizer.epsilon:
        raise InputError("config.optimizer.epsilon is 0: where gradients are 0 the step would be 0 / 0; 1e-8 is usual.")
    _validate_players(config)
    _validate_images(config)
    _validate_augment(config.augment)
    _validate_finetune(config)


def _validate_players(config):
    """Checks the optimizer of each player as if it were that of the run."""
    for player in config.optimizers:
        _, changed = config_of_player(config, player)
        with changed.unlocked():
            changed.optimizers = {}
        try:
            validate(changed)
        except InputError as error:
            raise InputError(str(error).replace("config.optimizer.", f"config.optimizers.{player}.")) from None


def _check_number(key, value):
    low, high = RANGES[key]
    below, kind = key in OPEN_RANGES, type(value)
    highest = LARGEST.get(kind, 0) if high is None else high
    if kind not in LARGEST or not (low <= value < highest if below else low <= value <= highest):
        limit = f"of {low:g} or more" if high is None else f"from {low} to {'below ' if below else ''}{high}"
        raise InputError(f"config.{key} is {value}; it is a number {limit}.")


def _validate_durations(config, flat):
    for key in DURATIONS:
        number, _ = parse_duration(flat[key], key)
        if key.endswith(".every") and not number:
            raise InputError(f"config.{key} is '{flat[key]}'; it is more than nothing: '1 step' is the least.")
    if flat["optimizer.swa"]:
        parse_duration(flat["optimizer.swa"], "optimizer.swa")
    found = [parse_duration(boundary, "schedule.boundaries") for boundary in config.schedule.boundaries]
    later = all(unit != other or before < number for (before, unit), (number, other) in itertools.pairwise(found))
    if not later or not all(number for number, _ in found):
        raise InputError(
            f"config.schedule.boundaries is {config.schedule.boundaries}; each is later than the one before it, and "
            "none is at the start, as ('30 epochs', '60 epochs')."
        )
    if config.schedule.name == "step" and not config.schedule.boundaries:
        raise InputError(
            "config.schedule.name is 'step' but config.schedule.boundaries is empty; "
            "give durations, as ('32000 steps', '48000 steps')."
        )
    if config.schedule.name == "plateau" and not config.schedule.patience:
        raise InputError("config.schedule.patience is 0; the rate is lowered after 1 evaluation or more.")
    if "%" in config.duration:
        raise InputError(f"config.duration is '{config.duration}'; the whole run is given in steps or epochs.")


def _validate_images(config):
    if parse_statistic(config.data.std, "data.std") == "pixel":
        raise InputError("config.data.std is 'pixel'; a deviation is taken per channel: channel, none or numbers.")
    highest = 256 / 255  # Caffe's scale of 1 / 256; a deviation of numbers from 0 to 1 is below that
    for key, within in (("mean", lambda number: 0 <= number <= 1), ("std", lambda number: 0 < number <= highest)):
        found = parse_statistic(config.data[key], f"data.{key}")
        if not isinstance(found, str) and not all(map(within, found)):
            raise InputError(
                f"config.data.{key} is '{config.data[key]}'; its numbers are on the [0, 1] scale: those for pixels "
                "from 0 to 255 are divided by 255."
            )
    size = config.data.image_size
    if size and not (len(size) == 2 and all(type(side) is int and 0 < side <= LARGEST[int] for side in size)):
        raise InputError(f"config.data.image_size is {size}; it is (height, width), as (64, 64).")


def _validate_augment(settings):
    for key in ("crop_area", "crop_aspect", "crop_scale"):
        low, high = settings[key] if len(settings[key]) == 2 and _are_numbers(settings[key]) else (0, 0)
        if not 0 < low <= high or (key == "crop_area" and high > 1) or (key == "crop_scale" and low < 1):
            limits = {"crop_area": "0 to 1", "crop_scale": "1 or more"}.get(key, "above 0")
            raise InputError(f"config.augment.{key} is {settings[key]}; it is (lowest, highest), {limits}.")
    for entry in settings.operations:
        if not _is_operation(entry):
            raise InputError(
                f"config.augment.operations has {entry!r}; an entry is (name, probability, magnitude), as "
                "(('rotate', 0.5, 15.0),), with a dict of options behind them where it has some."
            )
        name, probability, magnitude = entry[:3]
        with input_errors("config.augment.operations"):
            trust.check_name(name, OPERATIONS, kind="operation")
        if not (0 <= probability <= 1 and 0 <= magnitude < math.inf):  # NaN neither
            raise InputError(
                f"config.augment.operations has {entry!r}; a probability is from 0 to 1, a magnitude is not negative."
            )
        below = OPERATIONS[name].below if name in OPERATIONS else math.inf
        if magnitude * settings.magnitude >= below:
            times = "" if settings.magnitude == 1 else f", times config.augment.magnitude {settings.magnitude:g}"
            raise InputError(
                f"config.augment.operations has {entry!r}{times}; a magnitude of {name} is below {below:g} "
                f"({OPERATIONS[name].unit})."
            )
    if settings.rand_augment and not settings.operations:
        raise InputError("config.augment.rand_augment draws from config.augment.operations, which is empty.")
    if len(settings.pca) not in (0, 12) or not _are_numbers(settings.pca):
        raise InputError(
            f"config.augment.pca has {len(settings.pca)} values; it is 3 values and 3x3 vectors, as "
            "`python -m jaxcnn statistics` prints them."
        )


def _is_operation(entry):
    if not (isinstance(entry, tuple) and len(entry) in (3, 4) and isinstance(entry[0], str)):
        return False
    return _are_numbers(entry[1:3]) and all(isinstance(options, dict) for options in entry[3:])


def _validate_finetune(config):
    settings = config.finetune
    if not (config.model.name or settings.source):
        raise InputError("config.model.name is empty: name an architecture, or a run in config.finetune.source.")
    unread = [key for key in ("checkpoint", "rename", "drop") if settings[key] != default_config().finetune[key]]
    if unread and not settings.source:
        raise InputError(
            f"config.finetune.{unread[0]} is {settings[unread[0]]!r}, but config.finetune.source, the run that it is "
            "about, is empty."
        )
    for key, example in (("rates", "(('conv*', 0.1),)"), ("unfreeze", "(('fc7', '2 epochs'),)")):
        for entry in settings[key]:
            if not (isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)):
                raise InputError(f"config.finetune.{key} has {entry!r}; it is written {example}.")
    for entry in settings.rename:
        if not (isinstance(entry, tuple) and len(entry) == 2 and all(isinstance(name, str) for name in entry)) or not (
            entry[0].count("*") == entry[1].count("*") <= 1
        ):
            raise InputError(
                f"config.finetune.rename has {entry!r}; it is (name of the source, name here) with at most one * on "
                "both sides, as (('*', 'backbone/*'),)."
            )
    for pattern, factor in settings.rates:
        if not (_are_numbers((factor,)) and 0 <= factor < math.inf):
            raise InputError(
                f"config.finetune.rates: the factor of '{pattern}' is {factor!r}; it is a number of 0 or more."
            )
    for _, duration in settings.unfreeze:
        duration_in_steps(duration, key="finetune.unfreeze", steps_per_epoch=1, total=1)
    if config.task.name == "learning_without_forgetting" and not settings.source:
        raise InputError(
            "config.task.name 'learning_without_forgetting' needs the run that is not to be forgotten: "
            "config.finetune.source."
        )


def _are_numbers(values):
    return all(type(value) in (int, float) and math.isfinite(value) for value in values)


def parse_statistic(text: str, key: str) -> str | tuple[float, ...]:
    """ "channel", "pixel" or "none" as they are; "0.5" or "0.48,0.46,0.41" as a tuple of floats."""
    if text in ("channel", "pixel", "none"):
        return text
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"config.{key} is '{text}'; it is channel, pixel, none or numbers "
            "on the [0, 1] scale, as '0.485,0.456,0.406'."
        ) from None
