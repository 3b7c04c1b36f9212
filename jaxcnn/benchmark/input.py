"""The input pipeline by stages and as a whole, beside PyTorch's DataLoader and tf.data doing the same work."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxcnn import data
from jaxcnn.benchmark.timing import interleaved, ratio
from jaxcnn.data.batches import available_cores
from jaxcnn.data.crop import cut_at
from jaxcnn.data.decode import decode
from jaxcnn.data.fit import Target
from jaxcnn.errors import InputError, input_errors

IMAGE_SIZE = (224, 224)
CROP = data.ResizedCrop()
BATCH = 64
STAGE_IMAGES = 256
BATCHES = 12  # of a loader in one measurement: more than any of them reads ahead
WORKERS = (0, 1, 2)
ALL_CORES = "loader, all cores"
OTHERS = {"torch": "jaxcnn.benchmark.torch_input", "tensorflow": "jaxcnn.benchmark.tensorflow_input"}


def benchmark_input(
    *, folder: str, only: str = "", rounds: int = 7, report: Callable[[dict[str, Any]], object] = print
) -> list[dict[str, Any]]:
    """Times the way of photographs from a folder to the device.

    Every loader reads a file, cuts a random box of 8 to 100 % of its area and aspect 3/4 to 4/3, scales it to 224x224
    by bilinear interpolation and gives uint8 batches of 64, in a random order. It has begun long before it is measured,
    and one measurement drains what it has read ahead before it counts.

    - ours: `data.stream`; 0 workers are the threads of this process, as many as cores;
    - torch: a DataLoader over Pillow as torchvision uses it, without its draft mode, so that the whole image is decoded
      at full size; 0 workers are this process's one thread;
    - tensorflow: tf.data over decode_and_crop_jpeg, which decodes the box alone, and tf.image.resize without
      antialiasing; workers are threads, at least one.

    In the row `loader, all cores` every loader has what occupies them: ours its threads (the default of a run), the
    others a worker a core.

    Args:
      folder: "folder:PATH"; its split `train` is read.
      only: text that a row's name contains.
      rounds: measurements of each contender.
      report: called with each row as it is done.
    Returns:
      list of dicts: name, images_s (a dict from the contenders to (median, (lower, upper quartile)) images/s), and
      "ours/best": the ratio to the best of the others with its quartiles, and "best": its name; None without others.
    Raises:
      InputError: folder is not a folder of class folders.
    """
    if not folder.startswith("folder:"):
        raise InputError(f"--data is '{folder}'; the other loaders read files: give folder:PATH")
    with input_errors(""):
        records = data.load(folder, "train", image_size=IMAGE_SIZE)
    rows = []
    for name, count, contenders in _groups(records):
        if only in name:
            with contenders() as functions:
                rows.append(_row(name, count, interleaved(functions, rounds=rounds, slow_s=math.inf)))
            report(rows[-1])
    return rows


def workers_needed(rows: Sequence[dict[str, Any]], images_s: float) -> tuple[int, float] | None:
    """Returns (workers, images/s of one of them) that it takes to feed images_s, from the loader with most workers."""
    measured = {row["workers"]: row["images_s"]["ours"][0] for row in rows if row["workers"]}
    if not measured:
        return None
    one = measured[max(measured)] / max(measured)
    return math.ceil(images_s / one), one


def _groups(records):
    """(name, images of a call, context manager of {contender: function}) of every row."""
    for name, function in _stages(records).items():
        yield f"{name}, one thread", STAGE_IMAGES, functools.partial(contextlib.nullcontext, {"ours": function})
    for workers in WORKERS:
        yield f"loader, {workers} workers", BATCHES * BATCH, functools.partial(_loaders, records, workers, workers)
    yield ALL_CORES, BATCHES * BATCH, functools.partial(_loaders, records, 0, available_cores())


def _stages(records):
    """Functions that bring STAGE_IMAGES images through one stage."""
    positions = np.arange(STAGE_IMAGES) % len(records)
    paths = [pathlib.Path(records.describe_record(i)) for i in positions]
    files = [path.read_bytes() for path in paths]
    full, target = Target(channels=3), Target(IMAGE_SIZE, 3)
    cuts = [cut_at(CROP, 0, position) for position in range(STAGE_IMAGES)]
    images = list(map(decode, files, [target] * len(files), cuts))
    batch = np.stack(images)
    return {
        "read bytes": lambda: [path.read_bytes() for path in paths],
        "decode whole": lambda: [decode(file, full) for file in files],
        "decode to a random crop": lambda: [decode(x, target, cut) for x, cut in zip(files, cuts, strict=True)],
        "stack to batches": lambda: [np.stack(images[i : i + BATCH]) for i in range(0, STAGE_IMAGES, BATCH)],
        "transfer to the device": lambda: jax.block_until_ready(jax.device_put(batch, may_alias=False)),
    }


@contextlib.contextmanager
def _loaders(records, ours, workers):
    """{contender: function that takes BATCHES batches}, of loaders that go on without an end; with so many workers."""
    paths, labels = [records.describe_record(i) for i in range(len(records))], [0] * len(records)
    with contextlib.ExitStack() as stack:
        order = data.Order(len(records), seed=0)
        stream = data.stream(records, order, batch_size=BATCH, crop=CROP, num_workers=ours)
        found = {"ours": stack.enter_context(stream)}
        for name, module in OTHERS.items():
            if importlib.util.find_spec(name):
                other = importlib.import_module(module)
                loader = other.loader(paths, labels, CROP, IMAGE_SIZE, batch_size=BATCH, workers=workers)
                found[name] = stack.enter_context(loader)
        yield {name: functools.partial(_take, iterator) for name, iterator in found.items()}


def _take(iterator):
    for _ in range(BATCHES):
        next(iterator)


def _row(name, count, times):
    workers = int(name.split()[1]) if name.endswith("workers") else None
    rates = {}
    for contender, seconds in times.items():
        low, middle, high = np.quantile(count / seconds, (0.25, 0.5, 0.75))
        rates[contender] = (float(middle), (float(low), float(high)))
    others = [contender for contender in rates if contender != "ours"]
    best = max(others, key=lambda contender: rates[contender][0], default=None)
    return {
        "name": name,
        "workers": workers,
        "images_s": rates,
        "best": best,
        "ours/best": ratio(times[best], times["ours"]) if best else None,
    }
