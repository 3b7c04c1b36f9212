"""The statistics that a run's images are normalised by, measured on its training slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxcnn import data, trust
from jaxcnn.data.equal_files import equal_files, say_equal_files
from jaxcnn.errors import InputError
from jaxcnn.training.bounds import SAMPLE
from jaxcnn.training.feed import Feed
from jaxcnn.training.parallel import Replicas
from jaxcnn.training.setup import resolve_data
from jaxcnn.training.splits import load_records
from jaxcnn.training.validate import parse_statistic

if TYPE_CHECKING:
    from ml_collections import ConfigDict


# Statistics of a streamed set of more are taken over about so many, the first in a shuffled order.
STATISTICS_RECORDS = 20_000


def image_statistics(config: ConfigDict, feed: Feed) -> tuple[Any, Any]:
    """(mean, std) of images on the [0, 1] scale, float32 (c,) or (h, w, c), from the training slice."""
    kinds = {key: parse_statistic(config.data[key], f"data.{key}") for key in ("mean", "std")}
    channels = config.data.channels
    measured = {}
    if {"channel", "pixel"} & {k for k in kinds.values() if isinstance(k, str)}:
        measured = data.statistics(feed.arrays if feed.resident else _sample(feed))
    mean = {"channel": measured.get("channel_mean"), "pixel": measured.get("pixel_mean"), "none": np.zeros(channels)}
    std = {"channel": measured.get("channel_std"), "none": np.ones(channels)}
    found = []
    for key, table in (("mean", mean), ("std", std)):
        kind = kinds[key]
        if isinstance(kind, tuple) and len(kind) not in (1, channels):
            raise InputError(f"config.data.{key} has {len(kind)} numbers, the images have {channels} channels.")
        value = np.full(channels, kind) if isinstance(kind, tuple) else table[kind]
        found.append(np.asarray(value, np.float32))
    return found[0], np.maximum(found[1], 1e-6)


def measure(config: ConfigDict) -> dict[str, Any]:
    """The statistics of a config's training images for normalisation and PCA lighting, on the [0, 1] scale.

    Returns:
      {"mean": (c,), "std": (c,), "pca": 3 values then 3x3 vectors, flat, of colour images, else ()}, float.
    """
    trust.allow_config(config)
    config, train = resolve_data(config)
    settings, one = config.data, Replicas(config.parallel, jax.local_devices()[:1])
    feed = Feed(train, one, seed=config.seed, resident=settings.resident, workers=settings.workers)
    found, pca = data.statistics(feed.arrays if feed.resident else _sample(feed)), ()
    if settings.channels == 3:
        values, vectors = data.principal_components(feed.arrays if feed.resident else _sample(feed))
        pca = (*values.tolist(), *vectors.ravel().tolist())
    return {"mean": found["channel_mean"].tolist(), "std": found["channel_std"].tolist(), "pca": pca}


def equal_images(config: ConfigDict) -> list[str]:
    """Sentences on the files of a config's folder that are equal: in two classes, learned from and held out too."""
    config, train = resolve_data(config)
    held_out = {split: load_records(config, split) for split in ("validation", "test") if config.data[split]}
    return say_equal_files(equal_files({"train": train, **held_out}))


def _sample(feed):
    count, workers = len(feed.records), feed.workers
    if count <= STATISTICS_RECORDS:
        batches = data.epoch(feed.records, batch_size=min(SAMPLE, count), num_workers=workers)
    else:
        order = data.Order(count, seed=feed.order.seed)  # whatever the sampler: each image once
        stop = STATISTICS_RECORDS // SAMPLE * SAMPLE
        batches = data.stream(feed.records, order, batch_size=SAMPLE, stop=stop, num_workers=workers)
    with batches:
        yield from batches
