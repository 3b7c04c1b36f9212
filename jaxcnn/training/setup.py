"""From a config to what a run is made of: data, model, loss, optimizer, devices; every mistake is found here."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import data, trust
from jaxcnn.augment import RECIPES, make_augment, make_mix
from jaxcnn.errors import InputError, input_errors, look_up
from jaxcnn.operators import LOSSES
from jaxcnn.training.bounds import check_images, check_steps
from jaxcnn.training.check_task import check_task
from jaxcnn.training.config import default_config
from jaxcnn.training.duration import duration_in_steps
from jaxcnn.training.evaluate import Evaluator
from jaxcnn.training.feed import Feed, fits_on_device, training_order
from jaxcnn.training.finetune.plan import Plan, inherit, make_plan
from jaxcnn.training.learning import make_about, make_kind, make_task
from jaxcnn.training.model import traced_model
from jaxcnn.training.optimizer import make_optimizers
from jaxcnn.training.parallel import Replicas
from jaxcnn.training.rundir.about import about_task
from jaxcnn.training.rundir.data_changes import about_data
from jaxcnn.training.schedule import make_schedule
from jaxcnn.training.splits import check_added, load_records, load_training_records
from jaxcnn.training.step import make_statistics_step, make_train_step
from jaxcnn.training.validate import validate

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxcnn.tasks.task import About, Task


@dataclasses.dataclass(frozen=True)
class Setup:
    """A resolved run, before anything is compiled.

    Attributes:
      config: the config with every "as the data set has it" filled in.
      train: Records of the training slice; larger than `shape` where the step cuts its crops itself.
      shape: (h, w, c) of the images that the network gets.
      crop: the jaxcnn.data crop that cuts the images of a streamed training slice, or None.
      held_out: {"validation": Records, "test": Records}, those that the config names.
      model: the Linen module.
      kind: the Kind of the task.
      loss: f(logits, targets) -> (n,), of config.loss.
      replicas: the devices.
      steps_per_epoch: float.
      total: steps of the run.
      plan: the Plan of config.finetune.
    """

    config: Any
    train: Any
    shape: tuple
    crop: Any
    held_out: dict
    model: Any
    kind: Any
    loss: Any
    replicas: Replicas
    steps_per_epoch: float
    total: int
    plan: Plan

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self.train.classes

    @property
    def fields(self) -> dict[str, Any]:
        """{name: (shape, dtype)} of what an example holds beside its image."""
        return self.train.fields_at(self.shape)

    @functools.cached_property
    def about_data(self) -> dict[str, Any]:
        """The record that a run keeps of its data and task, see `about_data`."""
        about = about_data({"train": self.train, **self.held_out}, shape=self.shape)
        return {**about, **about_task(self.config.task.name, self.kind)}

    def notes(self) -> list[str]:
        """Sentences on what a person may not expect of the data, each once."""
        records = [self.train, *self.held_out.values()]
        return list(dict.fromkeys(note for found in records for note in found.notes()))

    def records(self, split: str) -> Any:
        """Records of "train", "validation" or "test"."""
        if split == "train":
            return self.train
        return self.held_out[split] if split in self.held_out else load_records(self.config, split)

    def feed(self, split: str) -> Feed:
        """The Feed of "train", "validation" or "test"."""
        settings, training = self.config.data, split == "train"
        return Feed(
            self.records(split),
            self.replicas,
            seed=self.config.seed,
            resident=settings.resident,
            workers=settings.workers,
            crop=self.crop if training else None,
            order=training_order(self.config, self.train, seed=self.config.seed) if training else None,
        )

    def steps(self, key: str) -> int:
        """A duration of the config, as "evaluation.every", in steps; at least 1."""
        text = functools.reduce(lambda c, k: c[k], key.split("."), self.config)
        return max(1, duration_in_steps(text, key=key, steps_per_epoch=self.steps_per_epoch, total=self.total))

    @property
    def averages(self) -> bool:
        """Whether the State keeps an average of networks, which evaluation then uses."""
        return self.config.optimizer.ema > 0 or self.averages_since is not None

    @property
    def averages_since(self) -> int | None:
        """The step of config.optimizer.swa; None without it."""
        text = self.config.optimizer.swa
        run: dict[str, Any] = {"steps_per_epoch": self.steps_per_epoch, "total": self.total}
        return duration_in_steps(text, key="optimizer.swa", **run) if text else None

    def schedule(self) -> Callable[..., Any]:
        """The learning rate as a function of the step, before its scale."""
        return make_schedule(self.config, steps_per_epoch=self.steps_per_epoch, total=self.total)

    def optimizers(self) -> dict[str, Any]:
        """{player: the update rule as a function of the hyperparameters}."""
        players = {player.name: player.turns for player in self.bare_task.players}
        return make_optimizers(self.config, players, self.schedule())

    def about(self, mean: Any = None, std: Any = None) -> About:
        """The About of the task, for these statistics of the images; None where no image is looked at."""
        return make_about(self.classes, self.shape, self.fields, mean, std)._replace(
            augment=make_augment(self.config.augment, size=self.shape[:2] if self.crop is None else None),
            mix=make_mix(self.config.augment),
            loss=self.loss,
            auxiliary_weight=self.config.loss.auxiliary_weight,
            counts=self._counts,
        )

    def _counts(self):
        """The training images of each class, int64 (K,)."""
        return np.bincount(self.train.labels(), minlength=len(self.classes))

    def task(self, mean: Any, std: Any) -> Task:
        """The Task of the step, for these statistics of the images."""
        return make_task(self.config, self.kind, self.about(mean, std))

    @functools.cached_property
    def bare_task(self) -> Task:
        """The Task without statistics, for its players, names and parameters; made once: some tasks trace draws."""
        return make_task(self.config, self.kind, self.about())

    def evaluator(self, task: Task, feed: Feed) -> Evaluator:
        """The Evaluator of the task on a split."""
        settings = self.config.evaluation.batch_size, self.config.deterministic
        return Evaluator(self.model, self.kind, task, feed, batch_size=settings[0], deterministic=settings[1])

    def train_step(self, task: Task, phase: int = 0) -> Callable[..., Any]:
        """The train step of a phase of the plan, see make_train_step."""
        settings = self.config.optimizer
        return make_train_step(
            self.model,
            task,
            self.optimizers(),
            self.schedule(),
            ema=settings.ema,
            swa=self.averages_since,
            accumulate=settings.accumulate,
            factors=self.plan.factors[phase],
            skips=self.config.data.on_error == "skip",
        )

    def statistics_step(self, task: Task, phase: int = 0) -> Callable[..., Any]:
        """The step that gives the averaged weights of a phase of the plan running statistics of their own."""
        skips = self.config.data.on_error == "skip"
        return make_statistics_step(self.model, task, factors=self.plan.factors[phase], skips=skips)


def set_up(config: ConfigDict, *, devices: Any = None) -> Setup:
    """Resolves a config of the user's and checks that its parts fit together.

    Args:
      config: a ConfigDict with the keys of default_config; it is copied. The code that it names is allowed by that.
      devices: the devices to use; None takes all.
    Raises:
      InputError: the first thing that does not fit.
    """
    trust.allow_config(config)
    return set_up_allowed(config, devices=devices)


@data.look_up_once()
def set_up_allowed(config: ConfigDict, *, devices: Any = None) -> Setup:
    """`set_up` for the config of a run directory: the user must have allowed the code that it names before."""
    config, train = resolve_data(config)
    # Now, not when they are first read: a slip in the name of the test split must not wait for the end of the run.
    held_out = {split: load_records(config, split) for split in ("validation", "test") if config.data[split]}
    _check_apart(config, train, held_out)
    shape = train.shape
    check_images(config, shape)
    train, crop = _crops(config, train)
    model, variables = traced_model(config, shape, train.classes, train.fields_at(shape))
    if devices is not None and not len(devices):
        raise InputError("devices is empty; None takes all that there are.")
    replicas = Replicas(config.parallel, devices)
    _check_batch(config, replicas)
    steps_per_epoch = len(train) / config.batch_size
    total = duration_in_steps(config.duration, key="duration", steps_per_epoch=steps_per_epoch, total=0)
    if total < 1:
        raise InputError(
            f"config.duration is '{config.duration}', which is less than one step of {config.batch_size} images."
        )
    with config.unlocked():
        config.steps_per_call = config.steps_per_call or (
            1 if jax.default_backend() == "cpu" else min(20, config.log_every)
        )
        config.evaluation.batch_size = config.evaluation.batch_size or _round_up(config.batch_size, replicas.count)
    config.lock()

    def steps(text, key):
        return duration_in_steps(text, key=key, steps_per_epoch=steps_per_epoch, total=total)

    check_steps(config, total, steps)
    training_order(config, train, seed=config.seed)
    kind, loss = make_kind(config), make_loss(config, len(train.classes))
    setup = Setup(config, train, shape, crop, held_out, model, kind, loss, replicas, steps_per_epoch, total, Plan())
    task = setup.bare_task
    _check_turns(config, task, replicas)
    check_task(config, kind, model, setup.about(), variables)
    _check_measurable(kind, held_out)
    setup.optimizers()  # which names schedules and optimizers of the user's own: a slip in one is found now
    plan = make_plan(config, model, shape, steps, init=task.init, fields=setup.fields)
    return dataclasses.replace(setup, plan=plan)


def resolve_values(config: ConfigDict) -> ConfigDict:
    """A copy of the config with the recipe of its augmentation filled in; InputError for a value that cannot be."""
    config = config.copy_and_resolve_references()
    with config.unlocked():
        _apply_recipe(config.augment)
        validate(config)
    return config


def resolve_data(config: ConfigDict) -> tuple[ConfigDict, Any]:
    """(A checked copy of the config with recipe, splits and image shape filled in, Records of its training slice)."""
    config = resolve_values(config)
    with config.unlocked():
        inherit(config)
        config.data.name, config.data.add = data.located(config.data.name), data.located(config.data.add)
        check_added(config)
        config.data.fit, config.data.interpolation = config.data.fit or "crop", config.data.interpolation or "bilinear"
        with input_errors(""):
            splits = data.splits_of_allowed(config.data.name, data_dir=config.data.data_dir or None)
        for split, expression in splits.items():
            config.data[split] = config.data[split] or expression or ""
        train = load_training_records(config)
        if make_kind(config).tells_apart:
            with input_errors("config.data.name"):
                data.check_classes(config.data.name, train.classes)
        config.data.image_size, config.data.channels = tuple(train.shape[:2]), train.shape[2]
    return config, train


def _check_apart(config, train, held_out):
    """Raises InputError where images to train on are held out too."""
    for split, records in held_out.items():
        if shared := _shared(train, records):
            raise InputError(
                f"config.data.train is '{config.data.train}' and config.data.{split} '{config.data[split]}': they "
                f"share {shared}, so that what was learned would be measured on itself. Give both keys slices that lie "
                "apart, as 'train[:90%]' and 'train[90%:]'."
            )


def _shared(train, records):
    """What two Records have in common, in words; "" for nothing."""
    for split, start, stop in train.parts:
        if any(split == other and start < end and begin < stop for other, begin, end in records.parts):
            return f"images of '{split}'"
    # A file may stand in several lists, as those of VOC's trainval do; other records are told apart by their split.
    listed = os.path.isfile(records.describe_record(0)) and not train.files()
    files = {records.describe_record(number) for number in range(len(records))} if listed else set()
    shared = [name for name in map(train.describe_record, range(len(train) if listed else 0)) if name in files]
    return f"{len(shared):,} of their images, {shared[0]} among them" if shared else ""


def _check_measurable(kind, held_out):
    """Raises InputError where the task cannot be measured on a split, now and not at the first evaluation."""
    for split, records in held_out.items() if kind.check_split else ():
        with input_errors(f"config.data.{split}"):
            kind.check_split(records.labels())


def _apply_recipe(augment):
    """Fills the keys of a named recipe that still have their defaults, but those of `without`."""
    recipe = {}
    if augment.recipe:
        with input_errors("config.augment.recipe"):
            recipe = look_up(augment.recipe, table=RECIPES, kind="recipe")
    for key in augment.without:
        with input_errors(f"config.augment.without: of recipe {augment.recipe!r}"):
            look_up(key, table=recipe, kind="key")
    defaults, left = default_config().augment, set(recipe) - set(augment.without)
    augment.update({key: recipe[key] for key in left if augment[key] == defaults[key]})


def _crops(config, train):
    """(Records, crop) of the training slice under config.augment.crop.

    Images that are stored in one size and fit on the device stay whole there, and the step cuts them; others are cut
    while they are decoded.
    """
    settings = config.augment
    if settings.crop == "none":
        return train, None
    if config.data.mean == "pixel":
        raise InputError(
            "config.data.mean is 'pixel', a mean for each place of the image, but config.augment.crop moves the "
            "places; 'channel' fits."
        )
    stored = train.stored_shape[:2]
    if None not in stored and config.data.resident != "no":
        whole = load_training_records(config, stored_size=stored)
        if config.data.resident == "yes" or fits_on_device(whole):
            return whole, None
    if config.data.resident == "yes":
        raise InputError(
            f"config.data.resident is 'yes', but the images of {config.data.name} differ in size: with "
            "config.augment.crop they are cut while they are read; 'auto' or 'no' fits."
        )
    if settings.crop == "resized":
        return train, data.ResizedCrop(area=settings.crop_area, aspect=settings.crop_aspect)
    return train, data.ScaledCrop(scale=settings.crop_scale)


def _round_up(number, unit):
    return math.ceil(number / unit) * unit


def _check_batch(config, replicas):
    unit = replicas.count * config.optimizer.accumulate
    if (config.augment.mixup or config.augment.cutmix) and config.batch_size % (2 * unit):
        raise InputError(
            f"config.batch_size is {config.batch_size}; mixup and cutmix mix pairs, so each of {unit} parts needs an "
            f"even number: {_round_up(config.batch_size, 2 * unit)} would do."
        )
    for key, size in (("batch_size", config.batch_size), ("evaluation.batch_size", config.evaluation.batch_size)):
        unit = unit if key == "batch_size" else replicas.count
        if size % unit:
            parts = (
                f" in {config.optimizer.accumulate} parts each" if key == "batch_size" and unit > replicas.count else ""
            )
            raise InputError(
                f"config.{key} is {size}, which does not divide over {replicas.count} devices{parts}; "
                f"{_round_up(size, unit)} would."
            )


def _check_turns(config, task, replicas):
    for player in task.players:
        unit = replicas.count * config.optimizer.accumulate * player.turns
        if config.batch_size % unit:
            raise InputError(
                f"config.batch_size is {config.batch_size}, which does not divide into {unit} parts: {player.turns} "
                f"turns of player {player.name} on {replicas.count} devices, in {config.optimizer.accumulate} parts "
                f"each; {_round_up(config.batch_size, unit)} would."
            )


def make_loss(config: ConfigDict, classes: int) -> Callable[..., Any]:
    """f(logits, targets) -> (n,) of config.loss, for a number of classes; InputError where it gives something else."""
    name, options = config.loss.name, config.loss.options.to_dict()
    with input_errors("config.loss.name"):
        loss = trust.resolve(name, LOSSES, kind="loss")
    with input_errors("config.loss.options"):
        trust.check_options(name, loss, options, given=2)
    loss = functools.partial(loss, **options) if options else loss
    batch = jax.ShapeDtypeStruct((2, classes), jnp.float32)
    with trust.slips_named(f"config.loss.name: {name} of logits and targets (2, {classes})", name):
        found = jax.eval_shape(loss, batch, batch)
    if getattr(found, "shape", None) != (2,):
        raise InputError(
            f"config.loss.name: {name} gives {getattr(found, 'shape', type(found).__name__)} for logits and targets "
            f"(2, {classes}); a loss has a value for each image, (2,)."
        )
    return loss
