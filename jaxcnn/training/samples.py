"""Images that a network generates: drawn by seed, class and number, and of fixed codes while it trains.

A run keeps the latter as RUN/samples/STEP.png, a sheet of equal tiles: a row a class, or one of the first codes where
images are of no class. The codes are the same at every evaluation, so that sheets beside each other show what was
learned between them.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jaxcnn.data.formats import to_pillow
from jaxcnn.files import replaced
from jaxcnn.tasks import AXIS
from jaxcnn.training.compilation import compiled

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Sample, Task
    from jaxcnn.training.setup import Setup


FOLDER = "samples"
ROWS, COLUMNS = 10, 8  # of a sheet; of more classes the first are shown
ALIKE = 0.01  # of the range of pixels: images whose pixels differ by less, as a standard deviation, are all alike


def draw(model: Any, sample: Sample, variables: Any, labels: jax.Array, numbers: Any, *, seed: int = 0) -> jax.Array:
    """The images of a network that generates, float32 (n, h, w, c) in [0, 1]: a pure function.

    An image depends on the seed, its label and its number alone: number 7 of class 3 is the same whatever else is
    drawn.

    Args:
      model: a Linen module.
      sample: the Sample of its task.
      variables: of the network.
      labels: int32 (n,), the classes to show; 0 where images are of no class.
      numbers: int32 (n,), of the images of a class.
      seed: of all codes.
    """

    def key(label, number):
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), label), number)

    codes = model.apply(variables, jax.vmap(key)(labels, numbers), labels, method=sample.codes)
    return model.apply(variables, codes, labels, method=sample.images)


def pixels(images: Any) -> jax.Array:
    """Images in [0, 1] as a file holds them, uint8."""
    return jnp.round(255 * jnp.clip(images, 0, 1)).astype(jnp.uint8)


class Samples(NamedTuple):
    """Samples of a step: the classes of their rows, () where they show none; tiles uint8 (rows, columns, h, w, c)."""

    step: int
    classes: tuple
    tiles: np.ndarray


class Sampler:
    """Draws the images of fixed codes with networks that train, by a program that is compiled once.

    Args:
      setup: a Setup.
      task: its Task, which has a Sample.
      layout: the Replicas or Members.
    """

    def __init__(self, setup: Setup, task: Task, layout: Any) -> None:
        self.layout, self.program = layout, None
        self.classes = setup.classes[:ROWS] if task.sample.conditional else ()
        rows = len(self.classes) or ROWS
        self.count = rows * COLUMNS
        room = -self.count % layout.count
        label, number = np.divmod(np.arange(self.count + room, dtype=np.int32), COLUMNS)
        if not self.classes:
            label, number = np.zeros_like(label), np.arange(self.count + room, dtype=np.int32)
        local = len(label) // jax.process_count()
        own = slice(jax.process_index() * local, (jax.process_index() + 1) * local)
        self.inputs = layout.shard({"label": label[None, own], "number": number[None, own]})
        self.data = layout.replicate({"seed": np.uint32(0)})
        self.deterministic = setup.config.deterministic

        sample: Any = task.sample

        def mapped(variables, data, inputs):
            label, number = inputs["label"][0], inputs["number"][0]
            images = pixels(draw(setup.model, sample, variables, label, number, seed=data["seed"]))
            return (), lax.all_gather(images, AXIS, tiled=True)

        self.mapped = layout.map_evaluation(mapped)

    def __call__(self, variables: Any) -> list[Any]:
        """uint8 (rows, COLUMNS, h, w, c) of each run whose {"params", "batch_stats"} lie on the devices."""
        arguments = (variables, self.data, self.inputs)
        if self.program is None:
            self.program = compiled(self.mapped, *arguments, deterministic=self.deterministic)
        _, images = self.program(*arguments)
        found = self.layout.runs(jax.device_get(images))
        return [each[: self.count].reshape(-1, COLUMNS, *each.shape[1:]) for each in found]

    def notices(self, images: Any) -> list[str]:
        """Sentences on what is wrong with samples (rows, COLUMNS, h, w, c): those of a class that are all alike."""
        images = images if self.classes else images.reshape(1, -1, *images.shape[2:])
        alike = np.flatnonzero(spread(images) < ALIKE)
        if not alike.size:
            return []
        of = f" of {', '.join(self.classes[row] for row in alike)}" if self.classes else ""
        return [f"collapse: the samples{of} are all alike (their pixels differ by less than {ALIKE:.0%} of the range)"]


def spread(images: Any) -> np.ndarray:
    """The root of the mean variance of pixels over images uint8 (..., n, h, w, c), as a part of the range: (...,)."""
    values = images.astype(np.float64) / 255
    return np.sqrt(values.var(axis=-4).mean(axis=(-3, -2, -1)))


def keep_samples(workdir: pathlib.Path, samples: Samples) -> None:
    """Writes a sheet of Samples into a run directory."""
    if jax.process_index():
        return
    step, classes, images = samples
    (workdir / FOLDER).mkdir(exist_ok=True)
    rows, columns, height, width, channels = images.shape
    about = PngInfo()
    about.add_text("Rows", json.dumps(classes))
    sheet = images.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    with replaced(workdir / FOLDER / f"{step}.png") as path:
        to_pillow(sheet).save(path, format="PNG", pnginfo=about)


def kept_samples(workdir: str | os.PathLike[str], shape: Sequence[int]) -> list[Samples]:
    """The samples that a run kept while it trained.

    Args:
      workdir: a run directory.
      shape: (h, w, c) of an image.
    Returns:
      [Samples], by step; files that are no such sheet are left out.
    """
    files = (file for file in (pathlib.Path(workdir) / FOLDER).glob("*.png") if file.stem.isdecimal())
    found = (_read(file, shape) for file in sorted(files, key=lambda file: int(file.stem)))
    return [samples for samples in found if samples is not None]


def _read(file, shape):
    height, width, channels = shape
    try:
        with Image.open(file, formats=["PNG"]) as opened:
            opened.load()
            texts = opened.text  # ty: ignore[missing-attribute]  a PNG has texts
            classes = tuple(map(str, json.loads(texts.get("Rows", "[]"))))
            sheet = np.asarray(opened.convert("L" if channels == 1 else "RGB"))
    except (OSError, SyntaxError, ValueError, TypeError):  # SyntaxError is Pillow's for a broken chunk
        return None
    rows, columns = sheet.shape[0] // height, sheet.shape[1] // width
    if sheet.shape[:2] != (rows * height, columns * width) or len(classes) not in (0, rows):
        return None
    return Samples(int(file.stem), classes, sheet.reshape(rows, height, columns, width, -1).swapaxes(1, 2))
