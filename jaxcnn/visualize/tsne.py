"""A map of images by t-SNE of what a stage makes of them (van der Maaten and Hinton 2008)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import sklearn.decomposition
import sklearn.manifold
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from threadpoolctl import threadpool_limits

from jaxcnn.transfer.stages import read_stage
from jaxcnn.visualize.figure import OTHERS, PALETTE, QUIET, literal, new_figure, others, show_image, style

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


COMPONENTS = 50  # that principal component analysis leaves before t-SNE (the paper's section 4.2)
MARKERS = ("o", "s", "^", "D")
MARKS = len(PALETTE) * len(MARKERS)  # that differ
THUMBNAIL = 0.036  # the longer side of an image, of the side of the map
LINES = 16  # of a column of names: more than the lowest map has room for would squeeze it


class Sample(NamedTuple):
    """Images and what a network makes of them.

    Attributes:
      images: uint8 (n, h, w, c).
      labels: (n,) int, all 0 of data whose images have no class.
      positions: (n,) int, in the split.
      vectors: (n, d) float32 of a stage; maps are averaged over the image.
      probabilities: (n, K) float32; None of a network that gives none.
    """

    images: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    vectors: np.ndarray
    probabilities: np.ndarray | None

    @property
    def predicted(self) -> np.ndarray | None:
        """(n,), the most probable class of each; None without probabilities."""
        return None if self.probabilities is None else self.probabilities.argmax(axis=1)

    @property
    def wrong(self) -> np.ndarray:
        """(n,) bool, whether the prediction is wrong; nothing is without one."""
        return np.zeros(len(self.labels), bool) if self.predicted is None else self.predicted != self.labels


def sample_stage(
    trained: Trained,
    records: Any,
    stage: str,
    *,
    count: int,
    seed: int = 0,
    report: Callable[[int, int], object] | None = None,
) -> Sample:
    """Draws images without replacement and reads a stage for them.

    Args:
      trained: a Trained.
      records: Records.
      stage: a name of `jaxcnn.transfer.stages.stage_names`.
      count: how many images; all where there are fewer.
      seed: of the draw.
      report: called with (images done, all).
    Returns:
      A `Sample`, in the order of the data; records that cannot be read are left out.
    """

    def read(variables, images):
        values = read_stage(trained.model, variables, trained.normalise(images), stage)
        return values.mean(axis=(1, 2)) if values.ndim == 4 else values.reshape(len(values), -1)

    positions, batch, vectors = draw_images(trained, records, read, count=count, seed=seed, report=report)
    images = batch["image"]
    probabilities = trained.probabilities(images) if trained.gives_probabilities() else None
    labels = batch.get("label", np.zeros(len(images), np.int32))
    return Sample(images, labels, positions, vectors.astype(np.float32), probabilities)


def draw_images(
    trained: Trained,
    records: Any,
    function: Callable[..., Any],
    *,
    count: int,
    seed: int,
    report: Callable[[int, int], object] | None = None,
) -> Any:
    """Draws images without replacement and applies a function to them.

    Args:
      trained, records, function: as in `Inference.stream`.
      count, seed, report: as in `sample_stage`.
    Returns:
      (positions (n,), the batch as Records.read returns it, the function's pytree), of all images that can be read.
    """
    drawn = np.sort(np.random.default_rng(seed).permutation(len(records))[:count])
    found = trained.stream(function, records, positions=drawn, report=report)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def check_perplexity(perplexity: float, count: int) -> None:
    """Raises ValueError where t-SNE of `count` points cannot have this perplexity."""
    if not 1 <= perplexity < count:
        raise ValueError(f"perplexity is {perplexity:g}; for {count} images it is at least 1 and below {count}")


def embed(vectors: np.ndarray, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Lays vectors out in the plane by t-SNE, from their 50 first principal components on.

    Args:
      vectors: (n, d) float.
      perplexity: how many neighbours a point has, about; below n.
      seed: equal seeds give equal maps.
    Returns:
      (n, 2) float32, scaled into [0, 1] by one factor.
    Raises:
      ValueError: perplexity is below 1 or not below n, or a vector is not finite.
    """
    vectors = np.asarray(vectors, np.float32)
    check_perplexity(perplexity, len(vectors))
    if not np.isfinite(vectors).all():
        raise ValueError("the activations are not all finite")
    components = min(COMPONENTS, *vectors.shape)
    reduced = sklearn.decomposition.PCA(components, svd_solver="full").fit_transform(vectors)
    method = sklearn.manifold.TSNE(perplexity=perplexity, init="pca" if components > 1 else "random", random_state=seed)
    with threadpool_limits(1):  # sums over threads would make another map on another number of cores
        places = method.fit_transform(reduced)
    places = places - places.min(axis=0)
    return places / (places.max() or 1)


def marks(labels: np.ndarray) -> dict[int, int | None]:
    """The mark of each class of labels (n,): of more than 28 classes the most frequent have one, the others None.

    It is the class's own number where all are below 28, so that two maps agree; else its place among those with a mark.
    """
    found, counts = np.unique(labels, return_counts=True)
    named = np.sort(found[np.argsort(-counts, kind="stable")[:MARKS]]).tolist()
    numbers = {label: label if found[-1] < MARKS else place for place, label in enumerate(named)}
    return {label: numbers.get(label) for label in found.tolist()}


def look(mark: int | None) -> tuple[str, str]:
    """(colour, matplotlib marker) of a mark, a number below 28; grey where it is None."""
    return (OTHERS, "o") if mark is None else (PALETTE[mark % len(PALETTE)], MARKERS[mark // len(PALETTE)])


def draw_tsne(
    places: np.ndarray, sample: Sample, classes: Sequence[str], *, title: str = "", thumbnails: bool = False
) -> Figure:
    """Draws a map: a point an image, coloured by its true class; what the network gets wrong has a dark ring.

    Of more than 28 classes those of the most images have a colour and a name, the others are grey.

    Args:
      places: (n, 2) in [0, 1].
      sample: a `Sample`.
      classes: names of the classes; may be empty.
      title: text above.
      thumbnails: the images themselves instead of points, framed in the colour of their class.
    Returns:
      A matplotlib Figure of one axes.
    """
    margin = THUMBNAIL if thumbnails else 0.02
    figure = new_figure(10.5, max(8.4 * (places[:, 1].max() + 2 * margin) + 0.4, 4))
    axes = figure.subplots()
    axes.set_title(literal(title, limit=110), loc="left", fontsize=11)
    if thumbnails:
        _draw_thumbnails(axes, places, sample)
    else:
        draw_points(axes, places, sample.labels, sample.wrong)
    axes.set_xlim(-margin, places[:, 0].max() + margin)
    axes.set_ylim(-margin, places[:, 1].max() + margin)
    axes.set_aspect("equal")
    hide_scales(axes)
    if classes:
        rings = not thumbnails and bool(sample.wrong.any())
        explain_classes(axes, sample.labels, classes, rings=rings, frames=thumbnails)
    return figure


def hide_scales(axes: Any) -> None:
    """Leaves a light frame of axes whose numbers say nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#e5e7eb")


def draw_points(axes: Any, places: np.ndarray, labels: np.ndarray, ringed: np.ndarray) -> None:
    """Draws a point (n, 2) in the colour and shape of its class; grey ones lie below, those ringed (n,) bool above."""
    for label, mark in marks(labels).items():
        color, marker = look(mark)
        height = 1 if mark is None else 2
        for chosen, ring, width, above in ((~ringed, "white", 0.4, height), (ringed, "#111827", 1.3, 3)):
            x, y = places[chosen & (labels == label)].T
            edge = {"edgecolors": ring, "linewidths": width, "zorder": above}
            axes.scatter(x, y, s=30, color=color, marker=marker, gid=f"class {label}", **edge)


def _draw_thumbnails(axes, places, sample):
    height, width = np.array(sample.images.shape[1:3]) * THUMBNAIL / max(sample.images.shape[1:3])
    numbers = marks(sample.labels)
    for (x, y), image, label in zip(places, sample.images, sample.labels, strict=True):
        left, right, bottom, top = x - width / 2, x + width / 2, y - height / 2, y + height / 2
        show_image(axes, image, extent=(left, right, bottom, top), zorder=2)
        frame = [left, right, right, left, left], [bottom, bottom, top, top, bottom]
        axes.plot(*frame, linewidth=1.6, zorder=2, **_line(numbers[label]))


def _line(mark):
    return {"color": OTHERS} if mark is None else style(mark)


def explain_classes(
    axes: Any, labels: np.ndarray, classes: Sequence[str], *, rings: bool = False, frames: bool = False
) -> None:
    """Names beside a map the classes of its points, or of its frames, how many are grey, and what a ring says."""
    numbers = marks(labels)
    named = [label for label, mark in numbers.items() if mark is not None]
    handles, notes = [_key(numbers[label], frames) for label in named], []
    if len(named) < len(numbers):
        handles.append(_key(None, frames))
        notes.append(others(len(numbers) - len(named)))
    if rings:
        handles.append(Line2D([], [], color="white", marker="o", linestyle="", markeredgecolor="#111827"))
        notes.append("predicted wrong")
    columns = -(-len(handles) // LINES)
    limit, size = (24, 10) if columns == 1 else (18, 9)  # two columns of longer names would be wider than the map
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0, "ncols": columns, "fontsize": size}
    legend = axes.legend(handles, [str(i) for i in range(len(handles))], frameon=False, **place)
    names = [literal(classes[label], limit=limit) for label in named]
    for number, (text, name) in enumerate(zip(legend.get_texts(), [*names, *notes], strict=True)):
        text.set_text(name)  # set afterwards: a label that begins with "_" would be dropped
        text.set_color("black" if number < len(names) else QUIET)


def _key(mark, frame):
    """What stands beside a name: a frame's line, or a point."""
    color, marker = look(mark)
    point = {"color": color, "marker": marker, "linestyle": "", "markersize": 7}
    return Line2D([], [], **({"linewidth": 2, **_line(mark)} if frame else point))
