"""Test-time protocols: many views of an image, many scales, whole images, ensembles; all from one pass over a split.

What is averaged is always the softmax: over the views of a protocol, then over scales, then over the members of an
ensemble (Krizhevsky et al. 2012, section 4.1; Simonyan and Zisserman 2014, arXiv:1409.1556, sections 4.2 to 4.4).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxcnn import data
from jaxcnn.data.views import CROPS, ViewedRecords, default_scale
from jaxcnn.errors import InputError
from jaxcnn.evaluation.ensemble import Networks
from jaxcnn.evaluation.error_table import Protocol, Tally
from jaxcnn.evaluation.trained import Trained
from jaxcnn.training.rundir.evaluations import log_evaluation

BLOCK_BYTES = 2**28  # of views that lie in memory at once


class Table(NamedTuple):
    """The results of a pass.

    Attributes:
      split: "validation", "test" or "train".
      steps: {run directory: the step of its checkpoint}.
      rows: [Row], by protocol.
      subsets: [{"protocol", "members": [run directory], "top1_error", "top5_error"}], every subset separately.
      views: most distinct crops of an image.
      compilations: programs that were compiled.
    """

    split: str
    steps: dict
    rows: list
    subsets: list
    views: int
    compilations: int


def evaluate_protocols(
    workdirs: Sequence[str],
    split: str,
    *,
    crops: Sequence[int] = (),
    scales: Sequence[int] = (),
    dense: bool = False,
    checkpoint: str | int = "best",
    name: str = "",
    data_dir: str = "",
    report: Callable[[int, int], object] | None = None,
) -> Table:
    """Evaluates one network or several under every protocol asked for, in one pass over the images.

    Each image is decoded once, each view of it passes each network once. One row of the table is a protocol and the
    members that were averaged: 1, 10, 12 or 144 crops (`jaxcnn.data.views.crop_views`) at each scale and over the
    scales, 144 at its own scales; dense evaluation (`dense_network`) of the image and its mirror image at each scale
    and over them. The images are those of the first run's config. A NaN makes an image wrong wherever it was averaged
    in. The table of a single run is logged in its evaluations.jsonl.

    Args:
      workdirs: run directories.
      split: "validation", "test" or "train".
      crops: some of 1, 10, 12, 144; empty for 1, or none where dense.
      scales: short sides in pixels; empty for config.data.resize. Where that is 0 one crop is the image as plain
        evaluation has it, and several crops or a dense evaluation are of 256 / 224 of its side.
      dense: whether to evaluate whole images.
      checkpoint: of every run: "best", "latest" or a step.
      name, data_dir: of a data set in place of the runs', as in `Trained.open`.
      report: called with (images done, images in all) after every block.
    Returns:
      A Table.
    Raises:
      InputError: the runs do not go together, one gives no class probabilities, a network cannot be evaluated densely,
        or an argument is not as above.
    """
    workdirs = [str(workdir) for workdir in workdirs]
    members = [Trained(workdir, checkpoint).needs_probabilities("the mean of views or runs") for workdir in workdirs]
    _check_members(members, "" if name else split)
    crops = tuple(sorted(set(crops))) or (() if dense else (1,))
    scales = _scales(scales, members[0], larger=dense or crops != (1,))
    if unknown := set(crops) - set(CROPS):
        raise InputError(f"crops are some of {', '.join(map(str, CROPS))}; not {', '.join(map(str, sorted(unknown)))}.")
    opened = members[0].open(split, name=name, data_dir=data_dir)
    settings, (replicas, size) = members[0].config.data, members[0].on_devices()
    bases, protocols = _protocols(crops, scales, dense)
    views = ViewedRecords(
        opened.records,
        [base for base in bases if base[0] in CROPS],
        dense_scales=scales if dense else (),
        unit=_unit(members[0].shape),
        interpolation=settings.interpolation,
    )
    networks = Networks(members, replicas, batch_size=size)
    if dense:
        networks.check_dense(scales, views.unit)
    tally = Tally(len(members), protocols, len(members[0].classes))
    found = _pass(networks, views, bases, tally, workers=settings.workers, report=report)
    if not tally.seen:
        raise InputError(f"no image of {opened.records.name} {opened.records.split} can be read.")
    steps = {workdir: member.step for workdir, member in zip(workdirs, members, strict=True)}
    table = Table(split, steps, tally.rows(workdirs), tally.each(workdirs), found, networks.compilations)
    if len(members) == 1:
        log_evaluation(
            workdirs[0],
            {
                "architecture": members[0].config.model.name,
                "step": members[0].step,
                "split": split,
                **opened.row,
                "protocols": [row._asdict() for row in table.rows],
            },
        )
    return table


def _check_members(members, split):
    first, *others = members
    if len({member.workdir.resolve() for member in members}) < len(members):
        raise InputError("a run directory is given twice.")
    for member in members:
        if member.config.data.fit != "crop":
            raise InputError(
                f"{member.workdir} was trained with config.data.fit '{member.config.data.fit}'; the views of the "
                "protocols are crops that keep the aspect ratio, which suit 'crop' only."
            )
    for other in others:
        if other.classes != first.classes:
            only = [
                f"only in {a.workdir}: {', '.join(c for c in a.classes if c not in b.classes) or 'none'}"
                for a, b in ((first, other), (other, first))
            ]
            raise InputError(f"the runs have other classes, or the same in another order; {'; '.join(only)}.")
        if other.shape != first.shape:
            raise InputError(f"{first.workdir} takes images of {first.shape}, {other.workdir} of {other.shape}.")
        if split and other.config.data[split] != first.config.data[split]:
            raise InputError(
                f"the split {split} of {first.workdir} is '{first.config.data[split]}', that of {other.workdir} "
                f"'{other.config.data[split]}': what one held out the other may have been trained on."
            )


def _scales(scales, member, *, larger):
    size = member.shape[:2]
    usual = member.config.data.resize or (default_scale(size) if larger else max(size))
    scales = tuple(sorted(set(scales))) or (usual,)
    if scales[0] < max(size):
        raise InputError(
            f"a scale of {scales[0]} is less than the side of the network's images, {max(size)}: crops do not fit."
        )
    return scales


def _unit(shape):
    """32 pixels for images of 224, the stride of the networks that are drawn for those."""
    return max(1, round(max(shape[:2]) / 7))


def _protocols(crops, scales, dense):
    """The averages to take of every image, [(kind, scale)], and the protocols made of them."""
    bases, protocols = [], []
    for kind in (*crops, *(("dense",) if dense else ())):
        name = kind if kind == "dense" else f"{kind} crop{'s' if kind > 1 else ''}"
        first = len(bases)
        if kind == 144:
            bases.append((144, scales[0]))
            protocols.append(Protocol(name, (first,)))
            continue
        for number, scale in enumerate(scales, start=first):
            bases.append((kind, scale))
            protocols.append(Protocol(f"{name}, scale {scale}", (number,)))
        if len(scales) > 1:
            protocols.append(
                Protocol(f"{name}, mean over scales {' '.join(map(str, scales))}", tuple(range(first, len(bases))))
            )
    return bases, protocols


def _pass(networks, views, bases, tally, *, workers, report):
    """Feeds every image through every network into the tally; returns the most distinct crops of an image."""
    total = sum(base[0] for base in bases if base[0] in CROPS)
    size = BLOCK_BYTES // (max(total, 1) * math.prod(views.shape))
    size = min(max(size, 1), networks.batch_size)
    done = most = 0
    with data.epoch(views, batch_size=1, num_workers=workers) as images:
        while block := list(itertools.islice(images, size)):
            done += len(block)
            block = [image for image in block if image["mask"][0]]
            if block:
                most = max(most, *(len(image["views"]) for image in block)) if total else 0
                numbers = range(len(networks.members))
                averages = np.stack([_averages(networks, number, block, bases) for number in numbers])
                tally.add(averages, np.concatenate([image["label"] for image in block]), size)
            if report:
                report(done, len(views))
    return most


def _averages(networks, number, block, bases):
    """The mean softmax of one member over the views of every base, (n, bases, K) float32."""
    found = [[] for _ in block]
    kinds = [base for base in bases if base[0] in CROPS]
    if kinds:
        outputs = networks.probabilities(number, np.concatenate([image["views"] for image in block]))
        starts = np.cumsum([len(image["views"]) for image in block])[:-1]
        ends = np.cumsum([crops for crops, _ in kinds])[:-1]
        for image, output, means in zip(block, np.split(outputs, starts), found, strict=True):
            means.extend(part.mean(axis=0) for part in np.split(output[image["order"]], ends))
    for _, scale in bases[len(kinds) :]:
        whole = [image[f"dense_{scale}"] for image in block]
        for shape in dict.fromkeys(image.shape for image in whole):
            places = [place for place, image in enumerate(whole) if image.shape == shape]
            images = np.stack([whole[place] for place in places])
            outputs = networks.probabilities(number, np.concatenate([images, images[:, :, ::-1]]), dense=True)
            for place, mean in zip(places, outputs.reshape(2, len(places), -1).mean(axis=0), strict=True):
                found[place].append(mean)
    return np.array(found)
