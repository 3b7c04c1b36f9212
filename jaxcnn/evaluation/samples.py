"""Images of a trained generator: written into class folders, and measured beside real ones by a trained classifier.

Distances are of the features of a network of ours and named by it: they are no FID, which is of Inception's.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data.fit import Target, fit_array
from jaxcnn.data.formats import to_pillow
from jaxcnn.errors import InputError, look_up, nearest
from jaxcnn.names import shown
from jaxcnn.tasks.classification import auxiliary_names
from jaxcnn.tasks.reconstruction import SSIM_WINDOW, similarity
from jaxcnn.training.samples import draw, pixels, spread

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


EVERY = "all"  # the folder of images that show no class
COLLAPSED = 0.1  # of the spread of real images: below it the samples of a class are said to be alike
SHEET = 10  # columns of a contact sheet


class Generator:
    """The network of a run that generates images.

    Attributes:
      trained: the Trained.
      conditional: whether an image shows a class.
      classes: those that it can show, ("all",) where it shows none.

    Args:
      trained: a Trained.
      seed: of all codes.
    Raises:
      InputError: its task generates no images, or the seed is no number from 0 to 2**32 - 1.
    """

    def __init__(self, trained: Trained, *, seed: int = 0) -> None:
        if trained.task.sample is None:
            raise InputError(
                f"task {trained.config.task.name} of {trained.workdir} generates no images; gan, acgan and bagan do."
            )
        if not 0 <= seed < 2**32:
            raise InputError(f"the seed is {seed}; it is a number from 0 to {2**32 - 1}.")
        self.trained, self.seed = trained, seed
        self.conditional = trained.task.sample.conditional
        self.classes = trained.classes if self.conditional else (EVERY,)

        sample: Any = trained.task.sample

        def function(variables, pairs):
            label, number = pairs.T
            return pixels(draw(trained.model, sample, variables, label, number, seed=seed))

        self._function = function

    def __call__(self, name: str, count: int, *, start: int = 0) -> np.ndarray:
        """uint8 (count, h, w, c): the images number `start` and on of a class."""
        label = self.classes.index(name) if self.conditional else 0
        numbers = np.arange(start, start + count, dtype=np.int32)
        return self.trained.map(self._function, np.stack([np.full_like(numbers, label), numbers], axis=1))


def write_samples(
    generator: Generator,
    folder: str | os.PathLike[str],
    *,
    per_class: int,
    classes: Sequence[str] = (),
    report: Callable[[int, int], object] | None = None,
) -> dict[str, np.ndarray]:
    """Writes generated images as FOLDER/CLASS/NUMBER.png, which `folder:FOLDER` then names as a data set.

    Images and names are the same for a network and a seed, whatever else is written. The folder is there when all
    images are. FOLDER/generated.json says of which run, step and seed they are.

    Args:
      generator: a Generator.
      folder: where they go; it must not be there yet, or be empty.
      per_class: images of each class.
      classes: to generate; () for all. Of a network whose images show no class: one name, for its folder; () for "all".
      report: called with (images done, all).
    Returns:
      {class: the first images, uint8 (n, h, w, c)}, for a contact sheet.
    Raises:
      InputError: the folder holds something, cannot be written, or a class is unknown or cannot be a folder's name.
    """
    folder = pathlib.Path(os.path.abspath(folder))  # "." has no name
    if per_class < 1:
        raise InputError(f"{per_class} images of each class cannot be written; 1 is the least.")
    names = _named(generator, classes)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} is there and holds something: name another --output, or remove it.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        first = _write_classes(generator, temporary, names, per_class, report or (lambda done, total: None))
        about = {"run": str(generator.trained.workdir), "step": generator.trained.step, "seed": generator.seed}
        text = json.dumps({**about, "task": generator.trained.config.task.name, "per_class": per_class}, indent=1)
        (temporary / "generated.json").write_text(text + "\n", encoding="utf-8")
        temporary.replace(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return first


def _named(generator, classes):
    """{name of a folder: class}."""
    if not generator.conditional and len(classes) > 1:
        raise InputError("the images of this network show no class: give one name, of the folder that they go to.")
    if not generator.conditional:
        names = dict.fromkeys(classes or (EVERY,), EVERY)
    else:
        for name in classes:
            if name not in generator.classes:
                raise InputError(f"this network knows no class '{name}'; {nearest(name, generator.classes)}")
        names = {name: name for name in classes or generator.classes}
    for name in names:  # may be a stranger's
        if not name or name.startswith(".") or {"/", "\0", os.sep} & set(name) or shown(name) != name:
            raise InputError(f"the class {name!r} cannot be the name of a folder.")
    return names


def _write_classes(generator, folder, names, per_class, report):
    first, done, digits = {}, 0, len(str(per_class - 1))
    for folder_name, name in names.items():
        (folder / folder_name).mkdir()
        for start in range(0, per_class, 256):
            images = generator(name, min(256, per_class - start), start=start)
            first.setdefault(folder_name, images[:SHEET])
            for number, image in enumerate(images, start=start):
                path = folder / folder_name / f"{number:0{max(digits, 5)}}.png"
                to_pillow(image).save(path, format="PNG")
            done += len(images)
            report(done, per_class * len(names))
    return first


class OfClass(NamedTuple):
    """Measures of the samples of a class, beside the real images of it.

    Attributes:
      name: of the class; "all" of images that show none.
      n, real_n: samples and real images.
      accuracy: the share of samples that the classifier takes for the class; None of images that show none.
      ssim, real_ssim: the mean structural similarity of pairs, BAGAN's measure of variety (lower: more various); None
        of images below 11 pixels.
      spread, real_spread: the root of the mean variance of a pixel, as a part of the range.
    """

    name: str
    n: int
    real_n: int
    accuracy: float | None
    ssim: float | None
    real_ssim: float | None
    spread: float
    real_spread: float

    @property
    def collapsed(self) -> bool:
        """Whether the samples are nearly one image: their spread is below a tenth of the real images'."""
        return self.spread < COLLAPSED * self.real_spread


class Measured(NamedTuple):
    """Measures of samples.

    Attributes:
      classes: [OfClass].
      accuracy: the mean over classes, of a classifier on samples; None of images that show no class.
      frechet: the Fréchet distance between samples and real images on features of the classifier.
      stage: of the classifier, whose features these are.
    """

    classes: list
    accuracy: float | None
    frechet: float
    stage: str


COLUMNS = ("class", "samples", "called so (%)", "SSIM", "SSIM, real", "spread", "spread, real")


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A line of a table with COLUMNS, as texts, of a dict with the fields of OfClass; "n/a" for what it lacks."""

    def number(name, digits, factor=1):
        return "n/a" if row.get(name) is None else f"{factor * row[name]:.{digits}f}"

    similar = (number(name, 4) for name in ("ssim", "real_ssim", "spread", "real_spread"))
    return str(row.get("name", "n/a")), number("n", 0), number("accuracy", 2, 100), *similar


def measure_samples(
    generator: Generator, classifier: Trained, split: str = "test", *, per_class: int = 500, stage: str = ""
) -> Measured:
    """Measures generated images by a trained classifier, beside the real images of a split.

    Images of another size or other channels are brought to those of the classifier as its own are.

    Args:
      generator: a Generator.
      classifier: a Trained that gives class probabilities.
      split: of the classifier's data, "test", "validation" or "train".
      per_class: samples of each class; of images that show none, so many times the classes.
      stage: of the classifier's features; empty for the last one before its logits. Maps are averaged over places.
    Raises:
      InputError: the classifier does not know the classes, or has no such stage.
    """
    classifier.needs_probabilities("the classifier that measures samples")
    if per_class < 2:
        raise InputError(f"{per_class} samples of a class have no variety; 2 are the least.")
    known = classifier.classes if generator.conditional else (EVERY,)
    if unknown := [name for name in generator.classes if name not in known]:
        raise InputError(f"{classifier.workdir} knows no class '{unknown[0]}'; {nearest(unknown[0], known)}")
    batch = _read(classifier.open(split).records)
    count = per_class if generator.conditional else per_class * len(classifier.classes)
    samples = {name: _fitted(generator(name, count), classifier) for name in generator.classes}
    stage, features = _features(classifier, stage)
    of_samples = [classifier.map(features, images) for images in samples.values()]
    of_real = classifier.map(features, batch["image"])
    found = [
        _of_class(name, samples[name], of[1], classifier.classes, batch, generator.conditional)
        for name, of in zip(samples, of_samples, strict=True)
    ]
    accuracy = float(np.mean([row.accuracy for row in found])) if generator.conditional else None
    frechet = frechet_distance(np.concatenate([of[0] for of in of_samples]), of_real[0])
    return Measured(found, accuracy, frechet, stage)


def _fitted(images, classifier):
    """Images as the classifier takes them."""
    if images.shape[1:] == tuple(classifier.shape):
        return images
    settings, (*size, channels) = classifier.config.data, classifier.shape
    target = Target(tuple(size), channels, settings.fit, settings.resize, settings.interpolation)
    return np.stack([fit_array(image, target) for image in images])


def _read(records):
    batch = records.read(range(len(records)))
    there = batch["mask"] > 0
    return {name: batch[name][there] for name in ("image", "label")}


def _features(classifier, stage):
    """(name of the stage, f(variables, images) -> (features (n, d), predicted classes (n,)))."""
    image, names = jax.ShapeDtypeStruct((1, *classifier.shape), np.uint8), []
    jax.eval_shape(lambda v, x: names.extend(classifier.apply(v, x)[1]) or x, classifier.variables, image)
    heads = auxiliary_names(names)
    stage = stage or [name for name in names if name not in heads][-1]
    try:
        look_up(stage, table=dict.fromkeys(names), kind="stage")
    except ValueError as error:
        raise InputError(f"{classifier.workdir}: {error}") from error

    def features(variables, images):
        logits, found = classifier.apply(variables, images)
        values = found[stage].astype(jnp.float32)
        values = values.mean(axis=(1, 2)) if values.ndim == 4 else values.reshape(len(values), -1)
        return values, jnp.argmax(logits, axis=1)

    return stage, features


def _of_class(name, images, predicted, classes, batch, conditional):
    own = batch["label"] == classes.index(name) if conditional else np.ones(len(batch["label"]), bool)
    real = batch["image"][own]
    accuracy = float(np.mean(predicted == classes.index(name))) if conditional else None
    similar: list[Any] = [pair_similarity(each) for each in (images, real)]
    spreads = [float(spread(each)) if len(each) > 1 else math.nan for each in (images, real)]
    return OfClass(name, len(images), len(real), accuracy, *similar, *spreads)


def pair_similarity(images: np.ndarray) -> float | None:
    """The mean structural similarity of the pairs (0, 1), (2, 3), ... of images uint8 (n, h, w, c).

    None of images below 11 pixels or of fewer than two.
    """
    pairs = len(images) // 2
    if not pairs or min(images.shape[1:3]) < SSIM_WINDOW:
        return None
    first, second = (jnp.asarray(images[start : 2 * pairs : 2], jnp.float32) / 255 for start in (0, 1))
    return float(jnp.mean(similarity(first, second)))


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The Fréchet distance of the Gaussians of two sets of features (n, d) and (m, d), in float64.

    d² = |mu_1 - mu_2|² + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2))   (Dowson and Landau 1982; Heusel et al. 2017)

    d² is returned, as the papers do. The trace of the root is taken of S_1^(1/2) S_2 S_1^(1/2), which has the same
    eigenvalues and is symmetric, so that no covariance is too singular for it.
    """
    one, other = (np.asarray(x, np.float64) for x in (one, other))
    covariance, second = (np.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1]) for x in (one, other))
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    both = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    square = np.square(one.mean(axis=0) - other.mean(axis=0)).sum() + np.trace(covariance) + np.trace(second) - 2 * both
    return float(max(square, 0.0))
