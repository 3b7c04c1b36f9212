"""A trained network as it comes out of a run directory: what it makes of images, without the training."""

import contextlib
import logging
import math
import os

import jax
import numpy as np

from jaxcnn import data, trust
from jaxcnn.data.fit import DataError
from jaxcnn.data.image_files import files_below, read_file, say_left_out
from jaxcnn.errors import InputError, input_errors
from jaxcnn.evaluation.inference import Inference
from jaxcnn.files import local_path
from jaxcnn.training.config import default_config
from jaxcnn.training.evaluate import evaluation_row, printed
from jaxcnn.training.feed import Feed
from jaxcnn.training.rundir.code import warn_of_changed_code
from jaxcnn.training.rundir.data_changes import data_changes
from jaxcnn.training.rundir.directory import log_evaluation, read_about, statistics_there
from jaxcnn.training.rundir.network import read_network
from jaxcnn.training.setup import load_records, set_up_allowed

logger = logging.getLogger(__name__)

# Sections of a config that say how a network is trained, and nothing of its use.
OF_TRAINING = ("augment", "sampler", "finetune", "optimizer", "optimizers", "schedule", "evaluation", "checkpoint")


class Trained(Inference):
    """The network of a run at one checkpoint. A run directory is data: code that its files name is not imported.

    Args:
      workdir: a run directory; the data set of the run need not be there.
      checkpoint: "best" on the held-out slice, "latest" or a step.
      trust_code: names of code, "my_project.nets:Net", that may be imported all the same; so may those that the user
        has given in this process, in a config that was trained for example.

    Attributes:
      config, classes, shape, step: of the run; shape is (h, w, c).
      model, variables, mean, std: see Inference; averaged weights where the run keeps them.

    Raises:
      InputError: no run, no such checkpoint, or one of another architecture, damaged, or with numbers that are not
        finite; or a network of code that is not allowed.
    """

    def __init__(self, workdir, checkpoint="best", *, trust_code=()):
        trust.allow(*trust_code)
        found = read_network(workdir, checkpoint)
        mean, std = statistics_there(workdir)
        options = {"mean": mean, "std": std, "deterministic": found.config.deterministic}
        super().__init__(found.model, found.variables, shape=found.shape, classes=found.classes, **options)
        self.workdir, self.config, self.step = local_path(workdir), found.config, found.step
        self._said = set()
        warn_of_changed_code(self.workdir, self.config, self._said)

    def predict(self, paths):
        """Labels image files, and the images below folders.

        Returns:
          [{"file", "label", "probabilities": {class: p}}], in the order of the files; {"file", "error"} of one that
          cannot be read.
        Raises:
          InputError: a path is not there or a folder has no image.
        """
        files = _image_files(paths)
        found = []
        for first in range(0, len(files), 256):
            part = [(file, self._read(file)) for file in files[first : first + 256]]
            images = [image for _, image in part if not isinstance(image, DataError)]
            rows = iter(self.probabilities(np.stack(images)) if images else ())
            found += [self._prediction(file, image, rows) for file, image in part]
        return found

    def _prediction(self, file, image, rows):
        if isinstance(image, DataError):
            return {"file": str(file), "error": str(image)}
        row = next(rows)
        return {
            "file": str(file),
            "label": self.classes[int(row.argmax())],
            "probabilities": dict(zip(self.classes, row.tolist(), strict=True)),
        }

    def read_images(self, paths):
        """Image files, and the images below folders, as the network takes them.

        Returns:
          (files, images): paths, and uint8 (n, h, w, c).
        Raises:
          InputError: a path is not there or a folder has no image.
          DataError: a file is not a readable image.
        """
        files = _image_files(paths)
        images = [self._read(file) for file in files]
        for file, image in zip(files, images, strict=True):
            if isinstance(image, DataError):
                raise DataError(f"{file}: {image}")
        return files, np.stack(images)

    def _read(self, file):
        """The image of a file, or the DataError that says why there is none."""
        settings, stored = self.config.data, read_file(file)
        if isinstance(stored, DataError):
            return stored
        try:
            return data.decode_image(
                stored,
                image_size=self.shape[:2],
                channels=self.shape[2],
                fit=settings.fit,
                resize=settings.resize,
                interpolation=settings.interpolation,
            )
        except DataError as error:
            return error

    def open(self, split, *, name="", data_dir=""):
        """The Setup of the run on the devices here, and its Records of "validation", "test" or "train".

        Args:
          split: which one; of other data than the run's by default_splits, but all of a set that has one split alone.
          name: of a data set in place of the run's, or of the run's where it lies now; empty for where it was.
          data_dir: where TFDS sets lie; empty for where the run had its own.
        Raises:
          InputError: the data set is not there, or has other classes than the network.
        """
        if not (name or self.config.data.name):
            raise InputError(f"{self.workdir} holds converted weights and names no data set: name one by --data.")
        self._say_looked_up(name)
        setup, changes = self._set_up(name, data_dir)
        warn_of_changed_code(self.workdir, self.config, self._said)  # of its loss and its data set too
        records = _whole(setup, split) if name and changes else setup.records(split)
        if records.classes != self.classes:
            other = ", ".join(sorted(set(records.classes) ^ set(self.classes))) or "they have another order"
            raise InputError(f"the classes of {records.name} are not those that this network was trained on: {other}.")
        if changes and not name:
            logger.warning(
                "%s has changed since this network was trained: %s. Some of its %s images may be among those that the "
                "network learned from.",
                *(records.name, "; ".join(changes), split),
            )
        return setup, records

    def _say_looked_up(self, name):
        ours = self.config.data.name
        if not name and ours.startswith("folder:") and data.located(ours) != ours:  # a run of an older version
            logger.warning("%s of the run is looked up from the current folder: %s", ours, data.located(ours))

    def _set_up(self, name, data_dir):
        """The Setup, and how its data differ from the run's."""
        trust.allow(name)
        config, kept = _for_these_devices(self.config), read_about(self.workdir)
        with config.unlocked():
            config.data.name = data.located(name or config.data.name)
            config.data.data_dir = data_dir or config.data.data_dir
        if name and "records" in kept:
            with contextlib.suppress(InputError):  # other data need not have the run's splits
                setup = set_up_allowed(config)
                if not (changes := data_changes(kept, setup.about_data)):
                    return setup, changes
        if name:
            with config.unlocked(), input_errors("--data"):
                splits = data.splits_of_allowed(name, data_dir=config.data.data_dir or None)
                config.data.update({split: splits.get(split) or "" for split in ("train", "validation", "test")})
        try:
            setup = set_up_allowed(config)
        except InputError as error:
            if not config.data.name.startswith("folder:") or os.path.isdir(config.data.name.removeprefix("folder:")):
                raise
            raise InputError(
                f"{error}. Where the data lie now is said by evaluate --data folder:PATH, and once for all by the "
                "command that trained with --config.data.name=folder:PATH."
            ) from error
        return setup, data_changes(kept, setup.about_data)

    def evaluate(self, split, *, name="", data_dir=""):
        """Evaluates on "validation", "test" or "train" and logs the result in the run.

        Args:
          split, name, data_dir: as in `open`.
        Returns:
          An Evaluation, and the dict that is logged; its key "data" names other data than the run's.
        """
        setup, records = self.open(split, name=name, data_dir=data_dir)
        feed = Feed(
            records, setup.replicas, seed=0, resident=self.config.data.resident, workers=self.config.data.workers
        )
        variables = setup.replicas.replicate(self.variables)
        (result,) = setup.evaluator(setup.task(self.mean, self.std), feed)(variables)
        row = {**evaluation_row(self.config, self.step, split, result), **self.named_data(setup, name)}
        log_evaluation(self.workdir, {**printed(row), **row})
        return result, printed(row)

    def named_data(self, setup, name):
        """{"data": name} for the log of an evaluation on other data than the run's, else {}."""
        kept = read_about(self.workdir)
        same = "records" in kept and not data_changes(kept, setup.about_data)
        return {"data": setup.config.data.name} if name and not same else {}


def _for_these_devices(config):
    """The config for evaluation here: without what is of training, batches that divide over the devices, be they more.

    A value of training that this version would refuse does not keep the network from being used.
    """
    config, plain = config.copy_and_resolve_references(), default_config()
    size = math.ceil(config.evaluation.batch_size / jax.device_count()) * jax.device_count()
    with config.unlocked():
        for key in OF_TRAINING:
            config[key] = plain[key]
        config.batch_size = config.evaluation.batch_size = size
        config.duration = "1 steps"
    return config


def _whole(setup, split):
    """Records of a split, or of all of a set that has one split alone: nothing is held out where nobody trains."""
    names = {name for records in (setup.train, *setup.held_out.values()) for name, _, _ in records.parts}
    if len(names) > 1:
        return setup.records(split)
    config = setup.config.copy_and_resolve_references()
    with config.unlocked():
        (config.data[split],) = names
    return load_records(config, split)


def _image_files(paths):
    files, left_out = files_below(paths)
    if left_out:
        logger.warning("left out: %s", say_left_out(left_out))
    return files
