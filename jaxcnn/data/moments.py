"""Moments of the pixels of a data set: for normalisation, and for augmentation along the principal components."""

from typing import Any

import numpy as np

from jaxcnn.data.batches import gather

CHUNK_VALUES = 2**22  # values converted to float64 at once: 32 MB


def statistics(batches: Any) -> dict[str, np.ndarray]:
    """Computes the statistics that normalisation needs, in one pass, accumulated in float64.

    Args:
      batches: resident arrays, a dict with image (n, h, w, c) and, optionally, mask (n,); or an iterable of such dicts.
        uint8 images count as value / 255, float images as they are. Images with mask 0 are left out.
    Returns:
      `{"channel_mean": (c,), "channel_std": (c,), "pixel_mean": (h, w, c)}`, float32, on the [0, 1] scale. The standard
      deviation is that of all pixels of a channel around its mean, over n (not n - 1).
    Raises:
      ValueError: there is no image, or the images differ in shape.
    """
    total: Any = 0.0
    squares, count = 0.0, 0
    for values in _pieces(batches):
        total = total + values.sum(axis=0)
        squares = squares + np.square(values).sum(axis=(0, 1, 2))
        count += len(values)
    pixel_mean = total / count
    channel_mean = pixel_mean.mean(axis=(0, 1))
    variance = squares / (count * pixel_mean[..., 0].size) - np.square(channel_mean)
    return {
        "channel_mean": channel_mean.astype(np.float32),
        "channel_std": np.sqrt(np.maximum(variance, 0.0)).astype(np.float32),
        "pixel_mean": pixel_mean.astype(np.float32),
    }


def principal_components(batches: Any) -> tuple[np.ndarray, np.ndarray]:
    """Computes the principal components of the pixels of a data set, in one pass, accumulated in float64.

    The components are the eigenvectors of the covariance of the channels over all pixels, over n (not n - 1), as
    `jaxcnn.augment.lighting` takes them. Of the two signs of a component, its largest entry is the positive one.

    Args:
      batches: as for `statistics`.
    Returns:
      (values, vectors), float32: (c,) the eigenvalues, the largest first, on the [0, 1] scale squared; (c, c) a row for
      each channel and a column for each component.
    Raises:
      ValueError: there is no image, or the images differ in shape.
    """
    total, products, count = 0.0, 0.0, 0
    for values in _pieces(batches):
        pixels = values.reshape(-1, values.shape[-1])
        total = total + pixels.sum(axis=0)
        products = products + pixels.T @ pixels
        count += len(pixels)
    mean = total / count
    eigenvalues, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(len(vectors))])
    return np.maximum(eigenvalues[::-1], 0.0).astype(np.float32), vectors[:, ::-1].astype(np.float32)


def _pieces(batches):
    """The images that count, on the [0, 1] scale, float64 (n, h, w, c), about CHUNK_VALUES values at a time."""
    shape = None
    for batch in [batches] if isinstance(batches, dict) else batches:
        images = batch["image"]
        kept = np.flatnonzero(batch["mask"]) if "mask" in batch else np.arange(len(images))
        scale = 255.0 if images.dtype == np.uint8 else 1.0
        step = max(1, CHUNK_VALUES // max(1, images[0].size)) if len(images) else 1
        for start in range(0, len(kept), step):
            values = images[kept[start : start + step]].astype(np.float64) / scale
            shape = shape or values.shape[1:]
            if values.shape[1:] != shape:
                raise ValueError(f"images of different shapes: {values.shape[1:]} after {shape}")
            yield values
    if shape is None:
        raise ValueError("statistics of no images: there is none, or every mask is 0")


def channel_statistics(records_or_arrays: Any, *, limit: int | None = None) -> dict[str, np.ndarray]:
    """Computes `statistics` over the first records of a split, or over arrays.

    Args:
      records_or_arrays: Records, or a dict of arrays as `read_all` returns.
      limit: number of records to use; None for all.
    Returns:
      As `statistics`.
    Raises:
      ValueError: there is no image.
    """
    if isinstance(records_or_arrays, dict):
        return statistics({key: value[:limit] for key, value in records_or_arrays.items()})
    count = len(records_or_arrays) if limit is None else min(limit, len(records_or_arrays))
    chunks = (range(start, min(start + 256, count)) for start in range(0, count, 256))
    return statistics(gather(records_or_arrays, chunk) for chunk in chunks)
