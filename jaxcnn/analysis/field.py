"""Receptive fields: which box of the image each position of an array can see, and how an operation changes it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

IMAGE_AXES = (0, 1)  # vertical, horizontal


class Factor(NamedTuple):
    """A part of an axis: its length, and by how many pixels (vertical, horizontal) the box moves at each step."""

    length: int
    steps: tuple[int, ...]


class View(NamedTuple):
    """The part of the image that an array depends on.

    Attributes:
      start: (vertical, horizontal), the first pixel of the box at position 0; below zero it lies in the padding.
      size: (vertical, horizontal), of the box.
      axes: for each axis of the array its factors, outermost first: a flattened axis has several.
    """

    start: tuple[int, ...]
    size: tuple[int, ...]
    axes: tuple[tuple[Factor, ...], ...]


class Field(NamedTuple):
    """The receptive field of the positions of a layer; every attribute is (vertical, horizontal).

    Attributes:
      size: pixels; where an axis has no positions any more (global pooling, a flattened full connection), the pixels of
        the image that are seen.
      stride: pixels from one position to the next; 0 where there is one position for the whole image.
      padding: (before, after): how far the first box begins before the image and the last one ends behind it;
        below zero are pixels that no position sees.
      offset: the pixel at the centre of the first box, counted from 0.
      whole: whether each position sees the whole image.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    offset: tuple[float, float]
    whole: bool


def flat(length: int) -> tuple[Factor, ...]:
    """An axis along which the box stays."""
    return (Factor(length, (0, 0)),)


def image_view(shape: Sequence[int]) -> View:
    """Of the images (n, h, w, c) themselves."""
    n, h, w, c = shape
    return View((0, 0), (1, 1), (flat(n), (Factor(h, (1, 0)),), (Factor(w, (0, 1)),), flat(c)))


def read_field(view: View, image: Sequence[int]) -> Field:
    """The `Field` of a view of images of (h, w) pixels."""
    size, stride, padding, whole = [], [], [], True
    for a in IMAGE_AXES:
        view = _one_axis(view, a)
        moving = [f for axis in view.axes for f in axis if f.steps[a]]
        first = view.start[a] + sum(min(0, f.steps[a] * (f.length - 1)) for f in moving)
        last = view.start[a] + view.size[a] - 1 + sum(max(0, f.steps[a] * (f.length - 1)) for f in moving)
        box = view.size[a]
        one = all(f.length == 1 for f in moving)
        whole &= one and first <= 0 and last >= image[a] - 1
        if not moving:
            first, last = max(first, 0), min(last, image[a] - 1)
            box = last - first + 1
        size.append(box)
        stride.append(min((abs(f.steps[a]) for f in moving), default=0))
        padding.append((-first, last - (image[a] - 1)))
    offset = tuple((s - 1) / 2 - p[0] for s, p in zip(size, padding, strict=True))
    return Field(tuple(size), tuple(stride), tuple(padding), offset, whole)


def _one_axis(view, a):
    """The view with the axis along which the box makes the largest steps; channels that hold pixels are joined."""
    steps = [max(abs(f.steps[a]) for f in axis) for axis in view.axes]
    others = [axis for axis, step in enumerate(steps) if step and axis != steps.index(max(steps))]
    return collapse(view, others, image_axes=(a,))


def collapse(view: View, axes: Sequence[int] | None = None, image_axes: Sequence[int] = IMAGE_AXES) -> View:
    """The union of the boxes along some axes, all by default: afterwards the box does not move along them."""
    axes = range(len(view.axes)) if axes is None else axes
    start, size, new = list(view.start), list(view.size), list(view.axes)
    for axis in axes:
        for f in view.axes[axis]:
            for a in image_axes:
                reach = f.steps[a] * (f.length - 1)
                start[a] += min(0, reach)
                size[a] += abs(reach)
        new[axis] = tuple(
            Factor(f.length, tuple(0 if a in image_axes else f.steps[a] for a in IMAGE_AXES)) for f in view.axes[axis]
        )
    return View(tuple(start), tuple(size), tuple(new))


def slide(
    view: View, axis: int, *, length: int, kernel: int = 1, stride: int = 1, before: int = 0, dilation: int = 1
) -> View:
    """A window along one axis: position i sees i * stride - before + u * dilation, u < kernel."""
    factors = view.axes[axis]
    if (kernel, stride, before) == (1, 1, 0) and length == prod(f.length for f in factors):
        return view
    if len(factors) > 1:
        view = even(view, axis)
        factors = view.axes[axis]
    steps = factors[0].steps
    start, size = list(view.start), list(view.size)
    for a in IMAGE_AXES:
        reach = steps[a] * (kernel - 1) * dilation
        start[a] += min(0, reach) - before * steps[a]
        size[a] += abs(reach)
    moved = Factor(length, tuple(step * stride for step in steps))
    return View(tuple(start), tuple(size), (*view.axes[:axis], (moved,), *view.axes[axis + 1 :]))


def spread(
    view: View, axis: int, *, length: int, kernel: int = 1, stride: int = 1, before: int = 0, dilation: int = 1
) -> View:
    """The way back of `slide`: position i sees every j with i = j * stride - before + u * dilation, u < kernel.

    Neighbours see boxes that move by turns; here is one that holds them all and moves evenly.
    """
    view = even(view, axis)
    steps, start, size = view.axes[axis][0].steps, list(view.start), list(view.size)
    if any(step % stride for step in steps):  # less than a pixel from one position to the next
        return _with_axis(collapse(view, [axis]), axis, flat(length))
    seen = [
        (i, (i + before - u * dilation) // stride)
        for i in range(stride)
        for u in range(kernel)
        if (i + before - u * dilation) % stride == 0
    ]
    for a in IMAGE_AXES:
        places = [steps[a] * j - steps[a] // stride * i for i, j in seen]
        start[a] += min(places)
        size[a] += max(places) - min(places)
    moved = Factor(length, tuple(step // stride for step in steps))
    return _with_axis(view._replace(start=tuple(start), size=tuple(size)), axis, (moved,))


def even(view: View, axis: int) -> View:
    """An axis as one factor: a box that holds those of its positions and moves evenly, or all where none does."""
    factors = view.axes[axis]
    if len(factors) == 1:
        return view
    length, start, size = prod(f.length for f in factors), list(view.start), list(view.size)
    within = length // factors[0].length
    if any(step % within for step in factors[0].steps):
        return _with_axis(collapse(view, [axis]), axis, flat(length))
    steps = tuple(step // within for step in factors[0].steps)
    for f in factors[1:]:
        within //= f.length
        for a in IMAGE_AXES:
            ahead = (f.length - 1) * (f.steps[a] - within * steps[a])
            start[a] += min(0, ahead)
            size[a] += abs(ahead)
    return _with_axis(view._replace(start=tuple(start), size=tuple(size)), axis, (Factor(length, steps),))


def reshape(view: View, shape: Sequence[int]) -> View:
    """Row-major: factors are joined and split, and find each other again when an array is folded back."""
    factors = [f for axis in view.axes for f in axis if f.length != 1]
    axes = []
    for length in shape:
        taken = []
        while length > 1:
            f = factors.pop(0) if factors else Factor(0, (0, 0))
            if f.length and length % f.length == 0:
                taken.append(f)
                length //= f.length
            elif f.length and f.length % length == 0:
                rest = f.length // length
                taken.append(Factor(length, tuple(rest * step for step in f.steps)))
                factors.insert(0, Factor(rest, f.steps))
                length = 1
            else:
                return View(*collapse(view)[:2], tuple(flat(n) for n in shape))
        axes.append(_joined(taken) or flat(length))
    return View(view.start, view.size, tuple(axes))


def _joined(factors):
    """Factors that move evenly as one."""
    found = []
    for f in factors:
        if found and found[-1].steps == tuple(f.length * step for step in f.steps):
            f = Factor(found.pop().length * f.length, f.steps)
        found.append(f)
    return tuple(found)


def union(views: Sequence[View]) -> View:
    """The box around the boxes of arrays of one shape. Boxes that move differently are first joined along the way."""
    if len(views) == 1:
        return views[0]
    views = _aligned(views)
    for a in IMAGE_AXES:
        steps = {tuple(f.steps[a] for axis in v.axes for f in axis if f.length > 1) for v in views}
        if len(steps) > 1:
            views = [collapse(v, image_axes=(a,)) for v in views]
    start = tuple(min(v.start[a] for v in views) for a in IMAGE_AXES)
    size = tuple(max(v.start[a] + v.size[a] for v in views) - start[a] for a in IMAGE_AXES)
    moving = max(views, key=lambda v: sum(abs(step) for axis in v.axes for f in axis for step in f.steps))
    return View(start, size, moving.axes)


def _aligned(views):
    """The same views with the same factors on each axis."""
    views = list(views)
    for axis in range(len(views[0].axes)):
        still = [all(f.steps == (0, 0) for f in v.axes[axis]) for v in views]
        shapes = {tuple(f.length for f in v.axes[axis]) for v, s in zip(views, still, strict=True) if not s}
        if len(shapes) > 1:
            length = prod(shapes.pop())
            views = [_with_axis(collapse(v, [axis]), axis, flat(length)) for v in views]
        elif shapes:
            like = tuple(Factor(n, (0, 0)) for n in shapes.pop())
            views = [_with_axis(v, axis, like) if s else v for v, s in zip(views, still, strict=True)]
        else:
            length = prod(f.length for f in views[0].axes[axis])
            views = [_with_axis(v, axis, flat(length)) for v in views]
    return views


def _with_axis(view, axis, factors):
    return view._replace(axes=(*view.axes[:axis], factors, *view.axes[axis + 1 :]))
