"""The contact sheet of augmentations: every operation at three magnitudes, and what a config makes of its images."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.augment import OPERATIONS, make_augment, make_mix
from jaxcnn.data import Order, stream
from jaxcnn.tasks.pixels import as_float
from jaxcnn.training.setup import set_up
from jaxcnn.training.splits import load_training_records
from jaxcnn.visualize.figure import QUIET, new_figure, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from ml_collections import ConfigDict


CANDIDATES = 16  # an operation draws its strength: the sheet shows the draw of so many that changes the image most
DRAWS = 8
BLOCKS = 3
CELL = 0.75  # inches
TITLE = 11


def contact_sheet(
    config: ConfigDict, *, images: int = 3, report: Callable[[int, int], object] = lambda done, total: None
) -> Figure:
    """Draws what augmentation makes of the first training images of a config.

    Above: the originals, and eight draws each of what config.augment makes of them (mixup and cutmix with the next
    image). Below: every operation of OPERATIONS at its weak, medium and strong magnitude, on the first image.

    Args:
      config: a run's config; its data are read.
      images: how many images the upper part shows.
      report: called with how many draws and operations are done, and of how many.
    Returns:
      A matplotlib Figure.
    Raises:
      InputError: the config does not fit.
    """
    setup = set_up(config, devices=jax.local_devices()[:1])
    names = tuple(OPERATIONS)
    rows = -(-len(names) // BLOCKS)
    figure = new_figure(4 * BLOCKS * CELL, (1.4 * images + 1.25 * rows) * CELL)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.4 * images, 1.25 * rows))
    total = DRAWS + len(names)
    _draw_own(upper, setup, images, lambda done: report(done, total))
    _draw_all(lower, _originals(setup, 1)[0], names, rows, lambda done: report(DRAWS + done, total))
    return figure


def _originals(setup, count):
    """The first training images as evaluation would see them, float (count, h, w, c)."""
    records = load_training_records(setup.config)
    order = Order(len(records), seed=setup.config.seed)
    return np.asarray(as_float(jnp.asarray(records.read(order.records(0, count))["image"])))


def _draw_own(part, setup, count, report):
    part.suptitle("config.augment: the original and eight draws", fontsize=TITLE, x=0.01, ha="left")
    axes = part.subplots(count, DRAWS + 1, squeeze=False)
    even = count + count % 2
    for column in range(DRAWS + 1):
        shown = _draw(setup, even, column - 1) if column else _originals(setup, even)
        for row in range(count):
            show_image(axes[row, column], shown[row])
        report(column)


def _draw(setup, count, number):
    """The first training images, augmented as in the number-th draw."""
    settings, key = setup.config.augment, jax.random.fold_in(jax.random.key(setup.config.seed), number)
    inputs = _cut(setup, count, number) if setup.crop else _read(setup, count)
    augment = make_augment(settings, size=setup.shape[:2] if setup.crop is None else None)
    images = jax.vmap(augment, (0, 0, None))(jax.random.split(key, count), as_float(inputs), settings.magnitude)
    mix = make_mix(settings)
    return images if mix is None else mix(key, images, jnp.zeros((count, 1)))[0]


def _read(setup, count):
    order = Order(len(setup.train), seed=setup.config.seed)
    return jnp.asarray(setup.train.read(order.records(0, count))["image"])


def _cut(setup, count, epoch):
    """The same records where they come in another epoch: the reader's crop is another draw there."""
    n = len(setup.train)
    order = Order(n, seed=setup.config.seed)
    place = np.argsort(order.records(epoch * n, (epoch + 1) * n))
    found = []
    for record in order.records(0, count):
        start = int(epoch * n + place[record])
        with stream(setup.train, order, batch_size=1, start=start, stop=start + 1, crop=setup.crop) as batches:
            found.append(next(batches)["image"][0])
    return jnp.asarray(np.stack(found))


def _draw_all(part, image, names, rows, report):
    part.suptitle(
        f"every operation at three magnitudes (of {CANDIDATES} draws the strongest)", fontsize=TITLE, x=0.01, ha="left"
    )
    axes = part.subplots(rows, BLOCKS * 4, squeeze=False)
    for number, name in enumerate(names):
        row, first = number % rows, number // rows * 4
        operation = OPERATIONS[name]
        show_image(axes[row, first], image)
        axes[row, first].set_title(f"{name} ({operation.unit})", fontsize=6.5, loc="left", pad=2)
        for column, (magnitude, shown) in enumerate(_strengths(operation, image), start=1):
            show_image(axes[row, first + column], shown)
            axes[row, first + column].set_xlabel(f"{magnitude:g}", fontsize=6, color=QUIET, labelpad=1)
        report(number + 1)
    for axis in axes.ravel():
        if not axis.images:
            axis.axis("off")


def _strengths(operation, image):
    """(magnitude, image) of one draw at each of the operation's three magnitudes."""
    function = jax.jit(operation.function)
    keys = jax.random.split(jax.random.key(0), CANDIDATES)
    strongest = jax.jit(
        jax.vmap(functools.partial(operation.function, image=image, magnitude=operation.magnitudes[-1]))
    )(keys)
    change = np.abs(np.asarray(strongest) - image).sum(axis=(1, 2, 3))
    key = keys[int(change.argmax())]
    return [(m, function(key, image, magnitude=m)) for m in operation.magnitudes]
