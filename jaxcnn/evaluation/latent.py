"""The code of a trained autoencoder: images to codes and back, walks between codes, and PCA as its baseline."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import data
from jaxcnn.analysis.pca import pca_error
from jaxcnn.errors import InputError
from jaxcnn.tasks.pixels import as_float

if TYPE_CHECKING:
    from jaxcnn.evaluation.inference import Inference
    from jaxcnn.evaluation.trained import Trained


LARGEST = 32 * 32 * 3  # values of an image, and
MOST = 2**28  # of all training images, of which PCA is made: 2 GiB, about a minute on two cores


class Latent(NamedTuple):
    """A network between images and codes, as pure functions for `Inference.map`.

    Attributes:
      encode: f(variables, images (n, h, w, c), uint8 or floats in [0, 1]) -> codes (n, ...) float32.
      decode: f(variables, codes (n, ...)) -> images (n, h, w, c) float32 in [0, 1].
      numbers: how many a code has.
    """

    encode: Callable
    decode: Callable
    numbers: int


class Walks(NamedTuple):
    """Ways between two images: their positions (pairs, 2), and what is decoded (pairs, steps, h, w, c) in [0, 1]."""

    pairs: np.ndarray
    images: np.ndarray


def latent_of(trained: Trained) -> Latent:
    """The `Latent` of a run whose network has a code: "code" among its features, and a method decode(code, shape).

    Args:
      trained: a Trained.
    Raises:
      InputError: the network has no code, or decodes it to something else than its images.
    """

    def encode(variables, images):
        found = trained.model.apply(variables, {"image": as_float(images)}, method=trained.task.infer)
        return found.get("features", {})["code"].astype(jnp.float32)

    def decode(variables, codes):
        return jnp.clip(trained.model.apply(variables, codes, trained.shape, method="decode"), 0, 1)

    image = jax.ShapeDtypeStruct((1, *trained.shape), np.uint8)
    name, codes = f"{trained.config.model.name} of {trained.workdir}", None
    if hasattr(trained.model, "decode"):
        with contextlib.suppress(KeyError):
            codes = jax.eval_shape(encode, trained.variables, image)
    if codes is None:
        raise InputError(
            f"{name} has no code: that is an entry 'code' among the features and a method decode(code, shape), as "
            "autoencoder_mlp and autoencoder_conv have them."
        )
    try:
        decoded = jax.eval_shape(decode, trained.variables, codes).shape
    except TypeError as error:
        raise InputError(f"{name} cannot decode a code by decode(code, shape): {error}") from error
    if decoded != image.shape:
        raise InputError(f"{name} decodes a code to {decoded[1:]}, not to an image of {tuple(trained.shape)}.")
    return Latent(encode, decode, math.prod(codes.shape[1:]))


def choose_pairs(labels: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Draws pairs (count, 2) of images (n,), of two classes where there are several, else two different ones."""
    random, positions = np.random.default_rng((seed, 1)), np.arange(len(labels))
    pairs = []
    for first in random.integers(len(labels), size=count):
        others = positions[labels != labels[first] if np.ptp(labels) else positions != first]
        pairs.append((first, random.choice(others)))
    return np.array(pairs)


def walk(network: Inference, decode: Callable[..., Any], codes: np.ndarray, pairs: np.ndarray, *, steps: int) -> Walks:
    """The `Walks` along straight lines from code to code.

    Args:
      network: an Inference.
      decode: f(variables, codes) -> images, as that of a `Latent`; of any generator of images.
      codes: (n, ...) float32.
      pairs: (pairs, 2), positions of codes.
      steps: images of a walk, at least 2: its ends are the codes themselves.
    """
    first, last = codes[pairs[:, 0], None], codes[pairs[:, 1], None]
    share = np.linspace(0, 1, steps, dtype=np.float32).reshape(1, steps, *[1] * (codes.ndim - 1))
    along = (1 - share) * first + share * last
    images = network.map(decode, along.reshape(-1, *codes.shape[1:]))
    return Walks(pairs, images.reshape(len(pairs), steps, *images.shape[1:]))


def generated_walks(trained: Trained, count: int, *, steps: int, seed: int = 0) -> tuple[Walks, np.ndarray]:
    """Walks between codes that a generator draws, two of one class a walk, class after class.

    Args:
      trained: a Trained whose task generates images, `Task.sample`.
      count, steps: walks, and images of one.
      seed: of the codes.
    Returns:
      (`Walks`, labels int (count,), all 0 where an image shows no class).
    """
    sample, classes = trained.task.sample, len(trained.classes) if trained.task.sample.conditional else 1
    labels = np.arange(count, dtype=np.int32) % classes

    def draw(variables, rows):
        number, label = rows.T
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), number)
        return trained.model.apply(variables, keys, label, method=sample.codes).astype(jnp.float32)

    codes = trained.map(draw, np.stack([np.arange(2 * count, dtype=np.int32), labels.repeat(2)], axis=1))

    def decode(variables, rows):
        label = jnp.round(rows[:, 0]).astype(jnp.int32)
        return trained.model.apply(variables, rows[:, 1:].reshape(-1, *codes.shape[1:]), label, method=sample.images)

    rows = np.concatenate([labels.repeat(2)[:, None].astype(np.float32), codes.reshape(len(codes), -1)], axis=1)
    return walk(trained, decode, rows, np.arange(2 * count).reshape(count, 2), steps=steps), labels


def pca_beside(trained: Trained, split: str) -> tuple[int, Any] | None:
    """The error of PCA with as many components as the code of a run has numbers, learned from its training images.

    Args:
      trained: a Trained.
      split: whose images are restored: "validation" or "test".
    Returns:
      (components, summed squared error of an image, see `pca_error`); None where the task is not to restore the input
      itself, or images are too large, or too many or too few.
    Raises:
      InputError: the network has no code, or the data set is not there.
    """
    task, latent = trained.config.task, latent_of(trained)
    if task.name != "reconstruction" or task.options.get("corrupt", "identity") != "identity":
        return None
    records = trained.open("train").records
    n, values = len(records), math.prod(trained.shape)
    if not latent.numbers < min(n, values) or values > LARGEST or n * values > MOST:
        return None
    train, held_out = (data.read_all(part) for part in (records, trained.open(split).records))
    return latent.numbers, pca_error(*(part["image"][part["mask"] > 0] for part in (train, held_out)), latent.numbers)
