"""The operators on regions as plain loops over numbers, from the papers' text, for tests."""

import math

import numpy as np


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def intersection(a, b):
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def iou(a, b):
    shared = intersection(a, b)
    return shared / (area(a) + area(b) - shared) if shared else 0.0


def covered(a, b):
    shared = intersection(a, b)
    return shared / area(a) if shared else 0.0


def suppress(boxes, scores, groups, threshold):
    """Indices of the boxes that are kept, best first."""
    left = sorted((i for i in range(len(boxes)) if scores[i] > -np.inf), key=lambda i: -scores[i])  # stable
    kept = []
    while left:
        best, *rest = left
        kept.append(best)
        left = [i for i in rest if groups[i] != groups[best] or iou(boxes[best], boxes[i]) <= threshold]
    return kept


def half_away(x):
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def bins(first_pixel, last_pixel, stride, length, count):
    """[(begin, end)] of the cells of each bin along one side."""
    first, last = half_away(first_pixel / stride), half_away(last_pixel / stride)
    cells = max(last - first + 1, 1)
    edges = [(first + i * cells // count, first - (-(i + 1) * cells // count)) for i in range(count)]
    return [(min(max(begin, 0), length), min(max(end, 0), length)) for begin, end in edges]


def pool(x, box, count, stride):
    """One box on one map (h, w, c)."""
    found = np.zeros((count, count, x.shape[2]), x.dtype)
    rows = bins(box[1], box[3] - 1, stride, x.shape[0], count)
    columns = bins(box[0], box[2] - 1, stride, x.shape[1], count)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            if top < bottom and left < right:
                found[i, j] = x[top:bottom, left:right].max(axis=(0, 1))
    return found


def bilinear(x, row, column):
    height, width, _ = x.shape
    if not (-1 <= row <= height and -1 <= column <= width):
        return np.zeros(x.shape[2])
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = math.floor(row), math.floor(column)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = row - top, column - left
    upper = x[top, left] * (1 - across) + x[top, right] * across
    return upper * (1 - down) + (x[bottom, left] * (1 - across) + x[bottom, right] * across) * down


def align(x, box, count, stride, samples, aligned):
    """One box on one map (h, w, c)."""
    left, top = (edge / stride - 0.5 * aligned for edge in box[:2])
    width, height = (max(box[i + 2] - box[i], 0) / stride for i in (0, 1))
    if not aligned:
        width, height = max(width, 1), max(height, 1)
    found = np.zeros((count, count, x.shape[2]))
    for i in range(count):
        for j in range(count):
            for k in range(samples):
                for m in range(samples):
                    row = top + (i + (k + 0.5) / samples) * height / count
                    column = left + (j + (m + 0.5) / samples) * width / count
                    found[i, j] += bilinear(x, row, column) / samples**2
    return found


def assign(boxes, objects, there, crowd, taken, positive, negative, lowest, best, inside_crowd):
    """(labels, objects, overlaps)."""
    own = [k for k in range(len(objects)) if there[k] and not crowd[k]]
    overlap = [
        [iou(box, objects[k]) if k in own and ok else 0 for k in range(len(objects))]
        for box, ok in zip(boxes, taken, strict=True)
    ]
    best_of = [max(row[k] for row in overlap) for k in range(len(objects))]
    labels, matched, largest = [], [], []
    for box, row, ok in zip(boxes, overlap, taken, strict=True):
        top = max(row)
        label = -1
        if lowest <= top < negative:
            label = 0
            if any(covered(box, objects[k]) > inside_crowd for k in range(len(objects)) if crowd[k]):
                label = -1
        if top >= positive or (best and any(row[k] == best_of[k] > 0 for k in own)):
            label = 1
        labels.append(label if ok else -1)
        matched.append(row.index(top))
        largest.append(top)
    return labels, matched, largest
