"""Error against operations, with area for parameters (Canziani, Paszke and Culurciello 2016, arXiv:1605.07678, fig. 2).

The one file of this folder that looks at runs and draws.
"""

from __future__ import annotations

import math
import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from jaxcnn.analysis.ledger import ILSVRC, LEDGER
from jaxcnn.analysis.summary import summarize
from jaxcnn.architectures import CLAIMS
from jaxcnn.errors import InputError
from jaxcnn.quantity import heading, multiple
from jaxcnn.tasks import CLASSIFICATION, Kind
from jaxcnn.visualize.caption import write_caption
from jaxcnn.visualize.figure import PALETTE, QUIET, literal, new_figure, plain_axes, save_figure

DRAWN = {  # which of the ledger's errors of single networks: of one crop where its paper or its authors print one
    "one crop": (
        "inception_v3", "inception_v4", "inception_resnet_v1", "inception_resnet_v2",
        "resnet50", "resnet101", "resnet152",
        "densenet121", "densenet169", "densenet201", "densenet264",
    ),
    "10 crops": ("alexnet", "zfnet", "zfnet_wide", "plain18", "plain34"),
    "10 crops, shortcut A": ("resnet18",),
    "10 crops, shortcut B": ("resnet34",),
    "dense, trained at 256, tested at 256": ("vgg_a", "vgg_a_lrn", "vgg_b"),
    "dense, trained at 256-512, tested at 384": ("vgg_c", "vgg_d", "vgg_e"),
}  # fmt: skip
TOP_1 = "top-1 error (%)"
ONE = "one crop"
OTHERS = ("10 crops", "dense")  # these errors are lower
AREA_OF_A_MILLION = 11.0  # points squared
KEY = (5e6, 50e6, 140e6)


class Point(NamedTuple):
    """One network: its error, multiply-adds of an image, parameters, how the error was measured and what it is."""

    name: str
    error: float
    macs: int
    parameters: int
    protocol: str
    what: str = TOP_1


def published_points() -> list[Point]:
    """A point for each error of DRAWN, as the ledger has it: top-1, on ILSVRC-2012's validation images."""
    errors = {(e.subject, e.protocol): e.value[0] for e in LEDGER if e.quantity == "error" and e.data == ILSVRC}
    found = []
    for protocol, names in DRAWN.items():
        crops = protocol.partition(",")[0]
        for name in names:
            claim = CLAIMS[name]
            found.append(Point(name, errors[name, protocol], claim.macs, claim.parameters, crops))
    return found


def run_points(workdirs: Iterable[str | os.PathLike[str]]) -> list[Point]:
    """A point for each run directory: its latest evaluation, on the test split where there is one.

    The error is that of the measure by which the runs' task compares them, see `Measure.error`.

    Raises:
      InputError: a directory is not a run's, nothing was evaluated in it, or two runs are compared by other measures.
    """
    from jaxcnn.training.model import make_model
    from jaxcnn.training.rundir.about import measures_there, read_data, read_fields
    from jaxcnn.training.rundir.directory import read_config
    from jaxcnn.training.rundir.evaluations import read_evaluations

    found = []
    for workdir in workdirs:
        config, rows = read_config(workdir), read_evaluations(workdir)
        if not rows:
            raise InputError(f"{workdir} has no evaluation: python -m jaxcnn evaluate --workdir={workdir}")
        row = next((row for row in reversed(rows) if row["split"] == "test"), rows[-1])
        classes, shape = read_data(workdir)
        totals = summarize(make_model(config, shape, classes, read_fields(workdir)), shape)
        _, measures, selects = measures_there(workdir)
        measure = Kind(measures, selects, create=None).main
        found.append(
            Point(
                f"{row['architecture']} ({pathlib.Path(workdir).name})",
                _error(row, measure, measures[measure], workdir),
                totals["macs"],
                totals["parameters"],
                f"{row['split']}, n {row['n']}",
                _what(measure, measures[measure]),
            )
        )
    if len(kinds := dict.fromkeys(point.what for point in found)) > 1:
        raise InputError(f"these runs share no axis: their errors are {', '.join(kinds)}. Draw those of one task.")
    return found


def _error(row, name, measure, workdir):
    """A number that falls as a network gets better, in per cent of a fraction."""
    if row.get(name) is None:
        raise InputError(f"{workdir} has no {measure.label or name} on {row['split']}: it has no place on the axis.")
    return multiple(measure._asdict()) * measure.error(row[name])


def _what(name, measure):
    """ "Squared error (lower is better)", "100 % minus mAP (%)", "Minus PSNR (dB)"; of top-1 accuracy as papers do."""
    if (name, measure) == ("top1", CLASSIFICATION.measures["top1"]):
        return TOP_1
    label = measure.label or name
    if measure.higher_is_better:
        label = f"{'100 % minus' if measure.unit == 'points' else 'minus'} {label}"
    return heading({**measure._asdict(), "label": label})


def draw_frontier(
    points: Sequence[Point],
    path: str | os.PathLike[str],
    *,
    title: str = "Error against operations, area for parameters",
) -> Figure:
    """Draws points and, dotted, their frontier; below them stands what errors of runs are of.

    Args:
      points: a sequence of `Point`.
      path: where to write the figure; the suffix names the format.
      title: str.
    Returns:
      A matplotlib Figure.
    """
    figure = new_figure(10, 6.6)
    axes = figure.subplots()
    plain_axes(axes, title=title, xlabel="multiply-adds of an image", ylabel=literal(points[0].what))
    families = list(dict.fromkeys(family(point.name) for point in points))
    axes.set_xscale("log")
    low, high = min(p.macs for p in points), max(p.macs for p in points)
    axes.set_xlim(low / 1.6, high * 1.9)
    edge = frontier(points)
    axes.plot([p.macs for p in edge], [p.error for p in edge], color=QUIET, linewidth=1, linestyle=":", zorder=1)
    for point in sorted(points, key=lambda p: -p.parameters):  # the small ones on top
        color = PALETTE[families.index(family(point.name)) % len(PALETTE)]
        face = color if point.protocol not in OTHERS else "none"
        circle: dict[str, Any] = {"s": _area(point.parameters), "edgecolors": color, "linewidths": 1.2, "zorder": 2}
        axes.scatter(point.macs, point.error, facecolors=face, alpha=0.5 if face == color else 0.9, **circle)
        axes.scatter(point.macs, point.error, s=6, color=color, zorder=3)
    errors = [p.error for p in points]
    margin = max(0.12 * (max(errors) - min(errors)), 0.5)
    axes.set_ylim(max(min(errors) - margin, 0) if min(errors) >= 0 else None, max(errors) + margin)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: count(value))
    _key(axes, points)
    _label(figure, axes, points)
    if words := _measured_on(points):
        write_caption(figure, words)
    save_figure(figure, path)
    return figure


def _measured_on(points):
    """A line for each split of runs: "test, n 360: resnet20 (a), resnet20 (b)"; "" of published errors."""
    runs = {}
    for point in points:
        if point.protocol not in (ONE, *OTHERS):
            runs.setdefault(point.protocol, []).append(point.name)
    return "\n".join(f"{protocol}: {', '.join(names)}" for protocol, names in runs.items())


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats in both error and operations, by operations; errors of several crops, which
    are lower, are left out.
    """
    same = [p for p in points if p.protocol not in OTHERS]
    edge = [p for p in same if not any(_beats(q, p) for q in same)]
    return sorted(edge, key=lambda p: p.macs)


def _beats(one, other):
    """Whether a point is as good in both and better in one: two that are alike both stay."""
    return one.error <= other.error and one.macs <= other.macs and (one.error, one.macs) != (other.error, other.macs)


def _key(axes, points):
    """The meaning of the area and the filling."""
    handles = []
    largest = max(p.parameters for p in points)
    for number in KEY if largest > KEY[0] else (largest,):
        label = f"{count(number)} parameters"
        handles.append(axes.scatter([], [], s=_area(number), color=QUIET, alpha=0.4, label=label))
    protocols = {p.protocol for p in points}
    if protocols & {ONE, *OTHERS}:
        ring = {"s": 60, "edgecolors": QUIET}
        handles.append(axes.scatter([], [], facecolors=QUIET, alpha=0.5, label="one crop", **ring))
        handles.append(axes.scatter([], [], facecolors="none", label="10 crops or dense", **ring))
    options = {"frameon": False, "fontsize": 9, "labelspacing": 2.4, "borderpad": 1.2, "handletextpad": 1.4}
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), **options)


def _label(figure, axes, points):
    """Writes each name outside its circle, where it covers no other name and, if there is such a place, no circle."""
    figure.draw_without_rendering()
    centres = axes.transData.transform([(p.macs, p.error) for p in points])
    radii = [_radius(point) * figure.dpi / 72 for point in points]
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in centres]
    for index in sorted(range(len(points)), key=lambda i: (points[i].parameters, points[i].name)):
        point, found = points[index], {}
        text = axes.annotate(
            literal(point.name), (point.macs, point.error), (0, 0), textcoords="offset points", fontsize=8.5,
            va="center", zorder=4,
        )  # fmt: skip
        for dx, dy, align in _places(_radius(point), first=_free_side(index, points, centres * 72 / figure.dpi)):
            text.set(position=(dx, dy), ha=align)
            box = text.get_window_extent()
            names = any(box.overlaps(other) for other in taken)
            circles = sum(_covers(box, *circle) for circle in zip(centres, radii, strict=True))
            found.setdefault((names, circles), ((dx, dy), align, box))  # the nearest of its kind
            if (names, circles) == (False, 0):
                break
        place, align, box = found[min(found)]
        text.set(position=place, ha=align)
        taken.append(box)


def _covers(box, centre, radius):
    """Whether a box and a circle overlap."""
    nearest = [min(max(at, low), high) for at, low, high in zip(centre, box.min, box.max, strict=True)]
    return math.dist(nearest, centre) < radius


def _free_side(index, points, centres):
    """Which side a name tries first: 1, the right, or -1 where a circle that is hard to tell from this one lies there.

    Args:
      centres: of all circles, in points (1/72 inch).
    """
    apart = [(math.dist(centres[index], centre), i) for i, centre in enumerate(centres) if i != index]
    distance, nearest = min(apart, default=(math.inf, index))
    covered = distance < max(_radius(points[index]), _radius(points[nearest]))
    return -1 if covered and centres[nearest][0] > centres[index][0] else 1


def _places(radius, *, first):
    """Offsets in points to try, near ones first; first is 1 for those on the right, -1 for those on the left."""
    for distance in (3, 9, 16, 25, 36):
        for dx, dy in ((1, 0), (-1, 0), (0.75, 0.75), (0.75, -0.75), (-0.75, 0.75), (-0.75, -0.75), (0, 1), (0, -1)):
            dx *= first
            align = "center" if dx == 0 else "left" if dx > 0 else "right"
            yield dx * (radius + distance), dy * (radius + distance + 3), align


def _radius(point):
    return math.sqrt(_area(point.parameters) / math.pi)


def _area(parameters):
    return max(AREA_OF_A_MILLION * parameters / 1e6, 12)


def family(name: str) -> str:
    """resnet50 and resnet101 are one family, and so are vgg_a and vgg_d."""
    return re.split(r"[\d_ (]", name, maxsplit=1)[0]


def count(number: float) -> str:
    """1.8G, 138M, 650: a number for a reader."""
    for letter, power in (("G", 9), ("M", 6), ("k", 3)):
        if number >= 10**power:
            value = number / 10**power
            whole = value >= 10 or math.isclose(value, round(value))
            return f"{value:.0f}{letter}" if whole else f"{value:.1f}{letter}"
    return f"{number:.0f}"
