"""Selective search: boxes that may hold an object, from the grouping of segments (Uijlings et al. 2013, IJCV 104(2)).

The first segments are scikit-image's (Felzenszwalb and Huttenlocher 2004); the grouping is ours. OpenCV has all of it
in its contrib package, which cannot be installed beside the plain one that we decode with.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np

from jaxcnn.errors import InputError, how_to_install, look_up, nearest

CONVERSIONS = {"hsv": cv2.COLOR_RGB2HSV_FULL, "lab": cv2.COLOR_RGB2LAB, "rgb": None}
COLOUR_BINS, TEXTURE_BINS, DIRECTIONS = 25, 10, 8  # section 3.2
STEEPEST = 128.0  # grey levels a pixel: derivatives from there on are in the last bin


class Search(NamedTuple):
    """The strategies whose boxes are put together; the defaults are the "fast" ones of section 5.2.

    Attributes:
      colours: in which the image is segmented and compared: "hsv", "lab", "rgb".
      measures: what is alike in segments that are joined, initials of colour, texture, size and fill.
      scales: k of the first segments, which is also the least number of their pixels.
      sigma: of the blur before these, in pixels.
      longest: side in pixels; larger images are shrunk to it first. VOC's are 500.
    """

    colours: tuple = ("hsv", "lab")
    measures: tuple = ("ctsf", "tsf")
    scales: tuple = (50, 100)
    sigma: float = 0.8
    longest: int = 500


def make_search(options: Mapping[str, Any]) -> Search:
    """The Search of options as a config has them.

    Raises:
      ValueError: an option is unknown, or has no such value.
    """
    if unknown := [name for name in options if name not in Search._fields]:
        raise ValueError(f"unknown option {unknown[0]!r}; {nearest(unknown[0], ('count', *Search._fields))}")
    search = Search(**options)
    numbers = (*_several(search, "scales"), search.longest)
    if not all(type(number) is int and number > 0 for number in numbers):
        raise ValueError(f"scales are {search.scales} and longest is {search.longest}; they are positive whole numbers")
    for colour in _several(search, "colours"):
        look_up(colour, table=CONVERSIONS, kind="colour space")
    for measures in _several(search, "measures"):
        if not measures or not set(measures) <= set(SIMILARITIES):
            raise ValueError(f"measures hold {measures!r}; each is some of {', '.join(SIMILARITIES)}, as 'ctsf'")
    return search


def _several(search, name):
    values = getattr(search, name)
    if not isinstance(values, tuple) or not values:
        raise ValueError(f"{name} is {values!r}; it is a tuple of one or more, as {getattr(Search(), name)}")
    return values


def selective_search(image: np.ndarray, search: Search | None = None) -> np.ndarray:
    """The boxes around all segments that arise while the most similar neighbours are joined, again and again.

    A strategy is a colour space, a scale and a set of measures. Of each, the last segment, the whole image, has rank 1,
    the one before it rank 2; boxes are in the order of rank times a random number (section 3.3), of one seed, so that
    the same image always gives the same.

    Args:
      image: uint8 (h, w, 1) or (h, w, 3).
      search: a Search, or None for its defaults.
    Returns:
      float32 (n, 4), edges in pixels of the image (see jaxcnn.operators.regions), all different, the likeliest first.
    Raises:
      InputError: scikit-image is not installed.
    """
    search = search or Search()
    size = image.shape[:2]
    shrunk = _shrunk(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image, search.longest)
    boxes, ranks = [], []
    for colour in search.colours:
        code = CONVERSIONS[colour]
        pixels = shrunk if code is None else cv2.cvtColor(shrunk, code)
        bins = _colour_bins(pixels), _texture_bins(pixels)
        for scale in search.scales:
            first = _segments(pixels, _first_segments(pixels, scale, search.sigma), bins)
            for measures in search.measures:
                found = group(first, measures)
                boxes.append(found)
                ranks.append(np.arange(len(found), 0, -1))
    boxes = np.concatenate(boxes)
    # raw bits, which NumPy keeps stable between versions
    order = np.argsort(
        np.concatenate(ranks) * (np.random.Philox(key=0).random_raw(len(boxes)) * 2.0**-64), kind="stable"
    )
    _, places = np.unique(boxes[order], axis=0, return_index=True)
    scale = np.array([size[1] / shrunk.shape[1], size[0] / shrunk.shape[0]] * 2)
    return (boxes[order][np.sort(places)] * scale).astype(np.float32)


def _shrunk(image, longest):
    factor = longest / max(image.shape[:2])
    if factor >= 1:
        return np.ascontiguousarray(image)
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _first_segments(pixels, scale, sigma):
    """int (h, w), the number of each pixel's segment, from 0."""
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise InputError(f"selective search needs scikit-image: {how_to_install('scikit-image', 'vision')}") from error
    return felzenszwalb(pixels, scale=scale, sigma=sigma, min_size=scale, channel_axis=-1)


class Segments(NamedTuple):
    """Segments of an image.

    Attributes:
      pixels: (n,), how many each has.
      boxes: int (n, 4), edges.
      colours, textures: (n, bins), histograms with a sum of 1.
      neighbours: a set of numbers for each: those that touch it, corners included.
      area: pixels of the image.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    colours: np.ndarray
    textures: np.ndarray
    neighbours: list
    area: int


def _colour_bins(pixels):
    """(h * w, 3), the bins of each pixel among all of the histogram."""
    return pixels.reshape(-1, 3) // np.uint8(-(-256 // COLOUR_BINS)) + COLOUR_BINS * np.arange(3)


def _texture_bins(pixels):
    """(h * w, 3 * DIRECTIONS): of derivatives of a Gaussian in each direction, negative ones as 0."""
    blurred = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 1.0)
    across, down = (cv2.Sobel(blurred, cv2.CV_32F, dx, dy, ksize=1) / 2 for dx, dy in ((1, 0), (0, 1)))
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    steep = across[..., None] * np.cos(angles) + down[..., None] * np.sin(angles)  # (h, w, 3, directions)
    bins = np.clip(steep * (TEXTURE_BINS / STEEPEST), 0, TEXTURE_BINS - 1).astype(np.int64)
    every = bins.reshape(len(bins) * bins.shape[1], -1)
    return every + TEXTURE_BINS * np.arange(every.shape[1])


def _segments(pixels, labels, bins):
    """The Segments of a labelled image."""
    count, flat = labels.max() + 1, labels.ravel()
    sizes = np.bincount(flat, minlength=count)
    rows, columns = np.indices(labels.shape).reshape(2, -1)
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = max(labels.shape), 0
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(boxes[:, axis], flat, places)
        np.maximum.at(boxes[:, axis + 2], flat, places + 1)
    colours, textures = (_histograms(flat, count, own) for own in bins)
    return Segments(sizes, boxes, colours, textures, _neighbours(labels, count), labels.size)


def _histograms(flat, count, bins):
    length = COLOUR_BINS * 3 if bins.shape[1] == 3 else TEXTURE_BINS * bins.shape[1]
    found = np.zeros(count * length)
    for column in bins.T:
        found += np.bincount(flat * length + column, minlength=count * length)
    found = found.reshape(count, length)
    return found / found.sum(axis=1, keepdims=True)


def _neighbours(labels, count):
    views = ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:]))
    views += ((labels[:-1, :-1], labels[1:, 1:]), (labels[:-1, 1:], labels[1:, :-1]))
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in views])
    found = [set() for _ in range(count)]
    for a, b in np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0):
        found[a].add(int(b))
        found[b].add(int(a))
    return found


def _alike_in_colour(segments, one, others):
    return np.minimum(segments.colours[one], segments.colours[others]).sum(axis=1)


def _alike_in_texture(segments, one, others):
    return np.minimum(segments.textures[one], segments.textures[others]).sum(axis=1)


def _small(segments, one, others):
    return 1 - (segments.pixels[one] + segments.pixels[others]) / segments.area


def _filling(segments, one, others):
    sides = np.maximum(segments.boxes[one, 2:], segments.boxes[others, 2:])
    sides = sides - np.minimum(segments.boxes[one, :2], segments.boxes[others, :2])
    return 1 - (sides.prod(axis=1) - segments.pixels[one] - segments.pixels[others]) / segments.area


SIMILARITIES = {"c": _alike_in_colour, "t": _alike_in_texture, "s": _small, "f": _filling}


def group(first: Segments, measures: str) -> np.ndarray:
    """Joins the two most similar neighbours until one segment is left (algorithm 1).

    Args:
      first: Segments.
      measures: the initials of SIMILARITIES, whose sum is the similarity.
    Returns:
      int (2 n - 1, 4), the boxes of all segments: the n first ones, then those that arose, in their order.
    """
    count = len(first.pixels)
    joined = Segments(
        *(np.concatenate([values, np.zeros((count - 1, *values.shape[1:]), values.dtype)]) for values in first[:4]),
        [set(own) for own in first.neighbours],
        first.area,
    )

    def queued(one, others):
        others = sorted(others)
        alike = sum(SIMILARITIES[name](joined, one, others) for name in measures) if others else ()
        return [(-float(value), other, one) for value, other in zip(alike, others, strict=True)]

    # of equals the oldest pair first, so that the order is always the same
    queue = [pair for one in range(count) for pair in queued(one, {n for n in first.neighbours[one] if n < one})]
    heapq.heapify(queue)
    gone, new = set(), count
    while new < 2 * count - 1:
        _, a, b = heapq.heappop(queue)
        if a in gone or b in gone:
            continue
        gone |= {a, b}
        _join(joined, a, b, new)
        for pair in queued(new, joined.neighbours[new]):
            heapq.heappush(queue, pair)
        new += 1
    return joined.boxes


def _join(segments, a, b, new):
    """Writes the segment `new`, which a and b become."""
    pixels, boxes = segments.pixels, segments.boxes
    pixels[new] = pixels[a] + pixels[b]
    boxes[new, :2], boxes[new, 2:] = np.minimum(boxes[a, :2], boxes[b, :2]), np.maximum(boxes[a, 2:], boxes[b, 2:])
    for histograms in (segments.colours, segments.textures):
        histograms[new] = (pixels[a] * histograms[a] + pixels[b] * histograms[b]) / pixels[new]
    around = (segments.neighbours[a] | segments.neighbours[b]) - {a, b}
    segments.neighbours.append(around)
    for other in around:
        segments.neighbours[other] -= {a, b}
        segments.neighbours[other].add(new)
