"""The activations of one stage of a trained network for the images of a split, streamed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import data
from jaxcnn.errors import input_errors
from jaxcnn.evaluation.batched import Batched
from jaxcnn.evaluation.opened import config_on, take_default_splits
from jaxcnn.training.parallel import Replicas
from jaxcnn.training.splits import load_records
from jaxcnn.transfer.stages import read_stage

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


POOLS = ("none", "mean")


class Extractor:
    """A stage of a trained network as a function from images to features, compiled once, on all devices here.

    Args:
      trained: a Trained.
      stage: a stage, or a layer by its module path: a name of `stage_names`.
      pool: "none" leaves the features as the stage has them; "mean" averages maps over their places (global average
        pooling), vectors stay.
      batch_size: images in a batch, rounded up to a multiple of the devices.

    Attributes:
      shape: of an image's features.
      meta: what Features.meta says of the network.

    Raises:
      InputError: there is no such stage; lists the stages.
    """

    def __init__(self, trained: Trained, stage: str, *, pool: str = "none", batch_size: int = 64) -> None:
        if pool not in POOLS:
            raise ValueError(f"pool is one of {', '.join(POOLS)}, not {pool!r}")

        def read(variables, images):
            found = read_stage(trained.model, variables, trained.normalise(images), stage).astype(jnp.float32)
            return jnp.mean(found, axis=(1, 2)) if pool == "mean" and found.ndim == 4 else found

        image = jax.ShapeDtypeStruct((1, *trained.shape), jnp.uint8)
        self.trained = trained
        with input_errors(f"{trained.workdir} ({trained.config.model.name})"):
            self.shape = jax.eval_shape(read, trained.variables, image).shape[1:]
        replicas = Replicas(trained.config.parallel)
        self._read = Batched(read, replicas, batch_size=batch_size, deterministic=True)
        self._variables, self.batch_size = replicas.replicate(trained.variables), self._read.batch_size
        self.meta = {
            "run": str(trained.workdir.resolve()),
            "architecture": trained.config.model.name,
            "checkpoint": trained.step,
            "weights": weights_digest(trained.variables),
            "stage": stage,
            "pool": pool,
        }

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 images (n, h, w, c) -> features (n, ...) float32."""
        return self._read(self._variables, images)

    def stream(self, records: Any, *, start: int = 0, workers: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """Yields {column: its rows} batch by batch, from a place in the split; images that cannot be read are left out.

        Args:
          records: Records of images of trained.shape.
          start: the position of the first image.
          workers: decoding processes.
        """
        with data.epoch(records, batch_size=self.batch_size, start=start, num_workers=workers) as batches:
            for number, batch in enumerate(batches):
                seen = batch["mask"] > 0
                position = start + number * self.batch_size + np.flatnonzero(seen).astype(np.int32)
                rows = {"features": self(batch["image"]), "label": batch["label"], "index": batch["index"]}
                yield {**{key: value[seen] for key, value in rows.items()}, "position": position}


def weights_digest(variables: Any) -> str:
    """12 hexadecimal digits that tell one set of weights from another."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(variables):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:12]


def split_records(trained: Trained, split: str, *, name: str = "", data_dir: str = "") -> tuple[Any, dict[str, Any]]:
    """(Records of a split as the network sees its images, {option of data.load: value} that finds them again).

    Args:
      trained: a Trained.
      split: "train", "validation" or "test", as the run's config has them, or by default_splits of another data set.
      name: of a data set; empty for the run's own. Its classes need not be the network's.
      data_dir: where TFDS sets lie; empty for where the run had its own.
    Raises:
      InputError: there is no such data set or split.
    """
    config = config_on(trained, name=name, data_dir=data_dir)
    if name:
        take_default_splits(config, name)
    settings = config.data
    found = {key: settings[key] for key in ("data_dir", "channels", "fit", "resize", "interpolation", "on_error")}
    records = load_records(config, split)
    return records, {"name": settings.name, "split": settings[split], "image_size": list(trained.shape[:2]), **found}
