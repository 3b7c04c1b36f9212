"""The trained network of a run directory: predictions and evaluations, without the training."""

import dataclasses
import logging
import math
import operator
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, Self

import jax
import numpy as np

from jaxcnn import trust
from jaxcnn.data.decode import decoded
from jaxcnn.data.detection.proposed import proposals_of
from jaxcnn.data.fields import GEOMETRY
from jaxcnn.data.fit import DataError, Target
from jaxcnn.data.image_files import files_below, read_file, say_left_out
from jaxcnn.errors import InputError
from jaxcnn.evaluation.calibration import calibrated, logged_temperature, scaled_outputs, watched
from jaxcnn.evaluation.class_scores import scores_of
from jaxcnn.evaluation.exported import USUAL, export_program
from jaxcnn.evaluation.inference import Inference, examples_of
from jaxcnn.evaluation.opened import Opened, open_data
from jaxcnn.files import local_path
from jaxcnn.tasks.pixels import as_float
from jaxcnn.training.config import plain
from jaxcnn.training.evaluate import Evaluation, Evaluator, evaluation_row, printed
from jaxcnn.training.feed import Feed
from jaxcnn.training.learning import make_about, make_kind, make_task
from jaxcnn.training.parallel import Replicas
from jaxcnn.training.rundir.about import statistics_there
from jaxcnn.training.rundir.code import warn_of_changed_code
from jaxcnn.training.rundir.evaluations import log_evaluation, read_evaluations
from jaxcnn.training.rundir.network import read_network
from jaxcnn.training.setup import make_loss

logger = logging.getLogger(__name__)


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
      kind, task: the Kind and the Task of the run; for evaluation, the task has a loss too.
      fields: {name: (shape, dtype)} of what an example holds beside its image.

    Raises:
      InputError: no run, no such checkpoint, or one of another architecture, damaged, or with numbers that are not
        finite; or a network of code that is not allowed.
    """

    def __init__(
        self, workdir: str | os.PathLike[str], checkpoint: str | int = "best", *, trust_code: Sequence[str] = ()
    ) -> None:
        trust.allow(*trust_code)
        found = read_network(workdir, checkpoint)
        mean, std = statistics_there(workdir)
        options = {"mean": mean, "std": std, "deterministic": found.config.deterministic}
        super().__init__(found.model, found.variables, shape=found.shape, classes=found.classes, **options)
        self.workdir, self.config, self.step = local_path(workdir), found.config, found.step
        self.fields, self.kind = found.fields, found.kind
        self.task = make_task(self.config, self.kind, self._about())
        self._said = set()
        warn_of_changed_code(self.workdir, self.config, self._said)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        what = f"{self.config.model.name} for {size}, {len(self.classes)} classes, {self.parameters():,} parameters"
        return f"<Trained of {self.workdir} at step {self.step}: {self.config.task.name}, {what}>"

    def normalise(self, images: jax.Array) -> jax.Array:
        """Images (n, h, w, c), uint8 or floats in [0, 1], as the task of the run gives them to the network."""
        return super().normalise(images) if self.task.enter is None else self.task.enter(as_float(images))

    def predict(
        self, paths: Iterable[str | os.PathLike[str]], *, temperature: float | str | None = None
    ) -> list[dict[str, Any]]:
        """Describes image files, and the images below folders, as the task of the run does: a classifier labels them.

        Args:
          paths: files and folders.
          temperature: of a classifier, by which its logits are divided; "logged" is the one that the evaluation of this
            checkpoint on the held-out part fitted. The labels stay.
        Returns:
          [{"file", **what the task says}] in the order of the files, for a classifier "label" and "probabilities":
          {class: p}; {"file", "error"} of one that cannot be read.
        Raises:
          InputError: a path is not there, a folder has no image, the task does not describe images, or there is no such
            temperature.
        """
        if self.task.describe is None and self.config.task.name == "embedding":
            raise InputError("An embedding has no labels to predict; use verify, identify or features.")
        if self.task.describe is None:
            raise InputError(
                f"task {self.config.task.name} of {self.workdir} does not describe images: predict needs the function "
                "`describe` of its jaxcnn.tasks.Task."
            )
        files, temperature = _image_files(paths), self._temperature_of(temperature)
        found = []
        for first in range(0, len(files), 256):
            part = [(file, self._read(file)) for file in files[first : first + 256]]
            readable = [read for _, read in part if not isinstance(read, DataError)]
            rows = iter(self._descriptions(readable, temperature) if readable else ())
            found += [
                {"file": str(file), **({"error": str(read)} if isinstance(read, DataError) else next(rows))}
                for file, read in part
            ]
        return found

    def infer(self, variables: Any, examples: Any) -> dict[str, Any]:
        """{output: (n, ...)} of the run's task, "features" left out: a pure function, for `map` and `stream`.

        Args:
          variables: like `variables`.
          examples: images (n, h, w, c); of a task that `reads` fields of an example a dict of these and "image".
        """
        batch = examples if isinstance(examples, dict) else {"image": examples}
        batch = {**batch, "image": as_float(batch["image"])}
        outputs = self.model.apply(variables, batch, method=self.task.infer)
        return {name: value for name, value in outputs.items() if name != "features"}

    def examples(self, images: Any, fields: Any) -> Any:
        """What `infer` takes of images and of {field: (n, ...)} of their examples, more than it reads maybe."""
        return examples_of({"image": images, **fields}, self.task.reads)

    def outputs(self, size: Sequence[int] | None = None) -> dict[str, Any]:
        """{output: ShapeDtypeStruct} of what `infer` gives of one image, traced alone.

        Args:
          size: (height, width) of the image; None for that of the run.
        """
        image = jax.ShapeDtypeStruct((1, *(size or self.shape[:2]), self.shape[2]), np.uint8)
        fields = {name: jax.ShapeDtypeStruct((1, *shape), dtype) for name, (shape, dtype) in self.fields.items()}
        return jax.eval_shape(self.infer, self.variables, self.examples(image, fields))

    def export(
        self, file: str | os.PathLike[str], *, platforms: Sequence[str] = USUAL
    ) -> tuple[pathlib.Path, pathlib.Path]:
        """Writes the network as one file that predicts without jaxcnn; see `jaxcnn.evaluation.exported`."""
        return export_program(self, file, platforms=platforms)

    def restored(self, variables: Any, images: Any) -> jax.Array:
        """The images (n, h, w, c) in [0, 1] that a task which restores images gives: a function for `map`."""
        return self.infer(variables, images)["restored"]

    def needs(self, names: Iterable[str], words: str) -> Self:
        """This network, for a use that needs some outputs.

        Args:
          names: of the outputs.
          words: what they are, for the message.
        Raises:
          InputError: the task of the run does not give all of them.
        """
        outputs = self.outputs()
        if not set(names) <= outputs.keys():
            raise InputError(f"task {self.config.task.name} of {self.workdir} gives {', '.join(outputs)}, no {words}.")
        return self

    def gives_probabilities(self) -> bool:
        """Whether the task of the run gives class probabilities."""
        return "probabilities" in self.outputs()

    def needs_probabilities(self, use: str) -> Self:
        """This network, for a use that needs class probabilities.

        Args:
          use: what needs them, for the message.
        Raises:
          InputError: the task of the run gives none.
        """
        if not self.gives_probabilities():
            raise InputError(
                f"{use} needs class probabilities; {self.workdir} is a run of task {self.config.task.name}."
            )
        return self

    def _temperature(self):
        """The temperature that an evaluation of this checkpoint on the held-out part fitted and logged, or None."""
        try:
            return logged_temperature(read_evaluations(self.workdir), self.step)
        except InputError:  # a log that cannot be read keeps nobody from evaluating, as one that cannot be written
            return None

    def _temperature_of(self, given):
        """The number that `predict` divides logits by, or None."""
        if given is None:
            return None
        self.needs(("logits", "probabilities"), "class probabilities: a temperature is for classifiers")
        if given == "logged":
            given = logged_temperature(read_evaluations(self.workdir), self.step)
            if given is None:
                raise InputError(
                    f"{self.workdir} has no temperature of step {self.step}: evaluate it with --split validation "
                    "(in Python: evaluate('validation')), which fits one where there is one."
                )
        if not (isinstance(given, int | float) and 0 < given < math.inf):
            raise InputError(f"the temperature is {given!r}; it is a number above 0, or 'logged'.")
        return given

    def _descriptions(self, read, temperature):
        """What the task says of images, as `_read` gives them."""
        fields = {name: np.stack([fields[name] for _, fields in read]) for name in self.task.reads}
        outputs = self.map(self.infer, self.examples(np.stack([image for image, _ in read]), fields))
        outputs = outputs if temperature is None else scaled_outputs(outputs, temperature)
        rows = (jax.tree.map(operator.itemgetter(number), outputs) for number in range(len(read)))
        describe: Any = self.task.describe  # not None: `predict` asks before
        return [plain(describe({**fields, **row})) for row, (_, fields) in zip(rows, read, strict=True)]

    def _about(self):
        return make_about(self.classes, self.shape, self.fields, self.mean, self.std)

    def read_images(self, paths: Iterable[str | os.PathLike[str]]) -> tuple[list[pathlib.Path], np.ndarray]:
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
        return files, np.stack([image for image, _ in images])

    def _read(self, file):
        """(the image of a file, {field: value}), or the DataError that says why not.

        The fields are "view" and "size", the part of it that is shown, and the proposals of a run that is given some.
        """
        settings, stored = self.config.data, read_file(file)
        if isinstance(stored, DataError):
            return stored
        target = Target(self.shape[:2], self.shape[2], settings.fit, settings.resize, settings.interpolation)
        try:
            image = decoded(stored, target)
            shown = {"view": target.view(image, exact=True), "size": image.size}
            fields = {name: np.array(shown[name], GEOMETRY[name][1]) for name in shown}
            if settings.proposals:
                fields |= proposals_of(stored, **settings.proposals.to_dict())
            return target.of(image, exact=True), fields
        except DataError as error:
            return error

    def open(self, split: str, *, name: str = "", data_dir: str = "") -> Opened:
        """Opens "validation", "test" or "train" of the run's data set, or of another.

        Args:
          split: which one; of other data than the run's by default_splits, but all of a set that has one split alone.
          name: of a data set in place of the run's, or of the run's where it lies now; empty for where it was.
          data_dir: where TFDS sets lie; empty for where the run had its own.
        Returns:
          An `Opened`, whose `records` are those of the split.
        Raises:
          InputError: the data set is not there, or has other classes than the network.
        """
        opened = open_data(self, split, name=name, data_dir=data_dir)
        warn_of_changed_code(self.workdir, self.config, self._said)  # of its data set too
        return opened

    def on_devices(self) -> tuple[Any, int]:
        """(Replicas of all devices here, config.evaluation.batch_size rounded up to divide over them)."""
        replicas = Replicas(self.config.parallel)
        return replicas, math.ceil(self.config.evaluation.batch_size / replicas.count) * replicas.count

    def evaluate(self, split: str, *, name: str = "", data_dir: str = "") -> tuple[Evaluation, dict[str, Any]]:
        """Evaluates on "validation", "test" or "train" and logs the result in the run.

        Of a classifier the dict also holds "class_scores", see `class_scores`, and "calibration", see `calibration`.
        The temperature is fitted by an evaluation of the run's own validation split; those of other images use it.

        Args:
          split, name, data_dir: as in `open`.
        Returns:
          An Evaluation, and the dict that is logged; its key "data" names other data than the run's.
        """
        opened, (replicas, size) = self.open(split, name=name, data_dir=data_dir), self.on_devices()
        settings, kind, loss = self.config.data, make_kind(self.config), make_loss(self.config, len(self.classes))
        task = make_task(self.config, kind, self._about()._replace(loss=loss))
        warn_of_changed_code(self.workdir, self.config, self._said)  # of its loss too
        feed = Feed(opened.records, replicas, seed=0, resident=settings.resident, workers=settings.workers)
        options = {"batch_size": size, "deterministic": self.config.deterministic}
        fit = split == "validation" and not opened.row
        temperature = None if fit else self._temperature()
        task = watched(task, temperature=temperature, fit=fit)
        (result,) = Evaluator(self.model, kind, task, feed, **options)(replicas.replicate(self.variables))
        found, rows = calibrated(result.rows, temperature)
        result = dataclasses.replace(result, rows=rows)
        row = {**evaluation_row(self.config, self.step, split, result), **opened.row}
        row |= scores_of(self.classes, result.details)
        if found:
            row["calibration"] = found
        log_evaluation(self.workdir, {**printed(row), **row})
        return result, printed(row)


def _image_files(paths):
    files, left_out = files_below(paths)
    if left_out:
        logger.warning("left out: %s", say_left_out(left_out))
    return files
