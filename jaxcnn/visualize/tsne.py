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
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, new_figure, show_image, style

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


COMPONENTS = 50  # that principal component analysis leaves before t-SNE (the paper's section 4.2)
MARKERS = ("o", "s", "^", "D")
THUMBNAIL = 0.036  # of the side of the map
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


def look(label: int) -> tuple[str, str]:
    """(colour, matplotlib marker) of a class: 28 that differ, then round again."""
    return PALETTE[label % len(PALETTE)], MARKERS[label // len(PALETTE) % len(MARKERS)]


def draw_tsne(
    places: np.ndarray, sample: Sample, classes: Sequence[str], *, title: str = "", thumbnails: bool = False
) -> Figure:
    """Draws a map: a point an image, coloured by its true class; what the network gets wrong has a dark ring.

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
    """Draws a point (n, 2) in the colour and shape of its class; those that are ringed (n,) bool lie above."""
    for label in np.unique(labels):
        color, marker = look(label)
        for chosen, ring, width, above in ((~ringed, "white", 0.4, 2), (ringed, "#111827", 1.3, 3)):
            x, y = places[chosen & (labels == label)].T
            edge = {"edgecolors": ring, "linewidths": width, "zorder": above}
            axes.scatter(x, y, s=30, color=color, marker=marker, gid=f"class {label}", **edge)


def _draw_thumbnails(axes, places, sample):
    for (x, y), image, label in zip(places, sample.images, sample.labels, strict=True):
        half = THUMBNAIL / 2
        show_image(axes, image, extent=(x - half, x + half, y - half, y + half), zorder=2)
        frame = [x - half, x + half, x + half, x - half, x - half], [y - half, y - half, y + half, y + half, y - half]
        axes.plot(*frame, linewidth=1.6, zorder=2, **style(label))


def explain_classes(
    axes: Any, labels: np.ndarray, classes: Sequence[str], *, rings: bool = False, frames: bool = False
) -> None:
    """Names beside a map the classes of its points, or of its frames, and what a ring says."""
    handles, names = [], []
    for label in np.unique(labels):
        color, marker = look(label)
        point = {"color": color, "marker": marker, "linestyle": "", "markersize": 7}
        handles.append(Line2D([], [], **({"linewidth": 2, **style(label)} if frames else point)))
        names.append(literal(classes[label], limit=24))
    if rings:
        handles.append(Line2D([], [], color="white", marker="o", linestyle="", markeredgecolor="#111827"))
        names.append("predicted wrong")
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0, "ncols": -(-len(names) // LINES)}
    legend = axes.legend(handles, [str(i) for i in range(len(names))], frameon=False, fontsize=10, **place)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)  # set afterwards: a label that begins with "_" would be dropped
        text.set_color(QUIET if name == "predicted wrong" else "black")
