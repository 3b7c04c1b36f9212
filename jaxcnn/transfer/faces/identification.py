"""Identification: who of a gallery is it (closed set), and is it anyone of the gallery at all (open set)?"""

from typing import NamedTuple

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.transfer.probe import wilson_interval

RANKS = (1, 5, 10)
FALSE_ALARM_RATES = (1e-1, 1e-2)


class Share(NamedTuple):
    """A share of probes.

    Attributes:
      at: the rank, or the rate of false alarms that is not exceeded.
      n, right: probes, and how many of them are right.
      rate: right / n.
      low, high: Wilson's interval of it, over probes.
      note: a sentence where the probes are too few for this rate; else empty.
    """

    at: float
    n: int
    right: int
    rate: float
    low: float
    high: float
    note: str = ""


class Identification(NamedTuple):
    """The result of a set of probes.

    Attributes:
      people: of the gallery.
      known, unknown: probes of people of the gallery, and of others.
      ranks: [Share], the closed set: the right person is among the first of the gallery. Of known probes alone.
      match: (people,) float, the share of known probes whose person is among the first 1, 2, ...
      detected: [Share], the open set: a known probe's score reaches the threshold and its person is first. The
        threshold is exceeded by at most that share of the unknown. Empty where all probes are known.
    """

    people: int
    known: int
    unknown: int
    ranks: list
    match: np.ndarray
    detected: list


def person_scores(gallery, people, probes, *, metric="cosine"):
    """How alike each probe is to each person: the best of the person's images.

    Args:
      gallery: (n, d) float.
      people: (n,) the person of each row.
      probes: (m, d) float.
      metric: "cosine", x.y / (|x| |y|), or "euclidean", -|x - y|.
    Returns:
      (names (p,) of the people, sorted; scores (m, p) float64).
    """
    names, person = np.unique(people, return_inverse=True)
    gallery, probes = np.asarray(gallery, np.float64), np.asarray(probes, np.float64)
    if metric == "cosine":
        least = np.finfo(float).tiny
        gallery, probes = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), least) for x in (gallery, probes))
        scores = probes @ gallery.T
    else:
        square = (probes**2).sum(axis=1)[:, None] - 2 * probes @ gallery.T + (gallery**2).sum(axis=1)[None]
        scores = -np.sqrt(np.maximum(square, 0))
    best = np.full((len(probes), len(names)), -np.inf)
    for number in range(len(names)):
        best[:, number] = scores[:, person == number].max(axis=1)
    return names, best


def identify(gallery, people, probes, probe_people, *, metric="cosine"):
    """The Identification of probes among the people of a gallery (Grother and Phillips 2011, "Evaluation methods").

    Of people who are equally alike the right one comes last.

    Args:
      gallery, people, probes, metric: as in `person_scores`.
      probe_people: (m,) the person of each probe; one that is not in the gallery is unknown.
    Raises:
      InputError: no probe is of a person of the gallery.
    """
    names, scores = person_scores(gallery, people, probes, metric=metric)
    probe_people = np.asarray(probe_people)
    known = np.isin(probe_people, names)
    if not known.any():
        raise InputError(f"none of the {len(known)} probes is of one of the {len(names)} people of the gallery.")
    place = np.searchsorted(names, probe_people[known])
    own = scores[known, place]
    rank = np.sum(scores[known] >= own[:, None], axis=1)  # from 1, with the person itself
    ranks = [_share(at, rank <= at) for at in RANKS if at <= len(names)]
    match = np.array([np.mean(rank <= at) for at in range(1, len(names) + 1)])
    alarms = scores[~known].max(axis=1)
    detected = [_detected(at, own, rank, alarms) for at in FALSE_ALARM_RATES] if len(alarms) else []
    return Identification(len(names), int(known.sum()), int((~known).sum()), ranks, match, detected)


def _share(at, right, note=""):
    count, n = int(right.sum()), len(right)
    return Share(at, n, count, count / n, *wilson_interval(count, n), note)


def _detected(at, own, rank, alarms):
    """The Share of known probes that are above all but a share of the unknown, and whose person is first."""
    allowed = int(at * len(alarms) * (1 + 1e-9))
    threshold = np.sort(alarms)[::-1][allowed] if allowed < len(alarms) else -np.inf
    few = f"too few probes: {len(alarms)} of unknown people allow no false alarm" if not allowed else ""
    return _share(at, (own > threshold) & (rank == 1), few)
