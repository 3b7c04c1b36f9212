"""PyTorch's side of the input benchmark: a DataLoader over Pillow, as torchvision's transforms use it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from jaxcnn.data.formats import FORMATS

if TYPE_CHECKING:
    from jaxcnn.data.crop import ResizedCrop


@contextlib.contextmanager
def loader(
    paths: Sequence[str],
    labels: Sequence[int],
    crop: ResizedCrop,
    image_size: tuple[int, int],
    *,
    batch_size: int,
    workers: int,
) -> Generator[Iterator[Any]]:
    """An iterator without end of (uint8 (n, 3, h, w), labels), in a random order.

    Args:
      paths, labels: of the files.
      crop: what draws the boxes.
      image_size: (height, width).
      batch_size: n.
      workers: processes; 0 reads in this one.
    """
    dataset = _Crops(paths, labels, crop, image_size)
    sampler = torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=2**30)
    if not workers:
        torch.set_num_threads(1)  # as in a worker: with two the stacking of a batch takes 40 times as long
    # Spawned: a fork of a process that runs JAX's threads may hang.
    context = "spawn" if workers else None
    batches = torch.utils.data.DataLoader(
        dataset, batch_size, sampler=sampler, num_workers=workers, multiprocessing_context=context
    )
    iterator = iter(batches)
    yield iterator
    if workers:
        iterator._shutdown_workers()


class _Crops(torch.utils.data.Dataset):
    def __init__(self, paths, labels, crop, image_size):
        self._paths, self._labels, self._crop, self._image_size = paths, labels, crop, image_size
        self._bits = None

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, i):
        if self._bits is None:  # in each worker
            self._bits = np.random.Philox(torch.initial_seed())
        with Image.open(self._paths[i], formats=FORMATS) as file:
            image = file.convert("RGB")
        top, left, height, width = self._crop.box(self._bits, image.size[::-1], self._image_size)
        top, left, height, width = round(top), round(left), max(1, round(height)), max(1, round(width))
        image = image.crop((left, top, left + width, top + height))
        image = image.resize(self._image_size[::-1], Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1), self._labels[i]
