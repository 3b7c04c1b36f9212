"""Identification: who of a gallery is it (closed set), and is it anyone of the gallery at all (open set)?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances

from jaxcnn.analysis.proportion import wilson_interval
from jaxcnn.errors import InputError, look_up

RANKS = (1, 5, 10)
FALSE_ALARM_RATES = (1e-1, 1e-2)
METRICS = {"cosine": cosine_similarity, "euclidean": lambda x, y: -euclidean_distances(x, y)}


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


class WrongProbe(NamedTuple):
    """A probe whose own person is not the first of the gallery.

    Attributes:
      probe: its row.
      own, taken: rows of the gallery, each the most alike: of its person, and of the others.
      own_score, taken_score: how alike they are.
    """

    probe: int
    own: int
    taken: int
    own_score: float
    taken_score: float


def person_scores(
    gallery: np.ndarray, people: np.ndarray, probes: np.ndarray, *, metric: str = "cosine"
) -> tuple[np.ndarray, np.ndarray]:
    """How alike each probe is to each person: the best of the person's images.

    Args:
      gallery: (n, d) float.
      people: (n,) the person of each row.
      probes: (m, d) float.
      metric: "cosine", x.y / (|x| |y|), or "euclidean", -|x - y|.
    Returns:
      (names (p,) of the people, sorted; scores (m, p) float64).
    Raises:
      ValueError: there is no such metric.
    """
    names, person = np.unique(people, return_inverse=True)
    scores = _scores(gallery, probes, metric)
    best = np.full((len(probes), len(names)), -np.inf)
    for number in range(len(names)):
        best[:, number] = scores[:, person == number].max(axis=1)
    return names, best


def _scores(gallery, probes, metric):
    """(m, n) float64, how alike each probe is to each image of the gallery."""
    return look_up(metric, table=METRICS, kind="metric")(np.float64(probes), np.float64(gallery))


def identify(
    gallery: np.ndarray, people: np.ndarray, probes: np.ndarray, probe_people: np.ndarray, *, metric: str = "cosine"
) -> Identification:
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


def wrong_probes(
    gallery: np.ndarray,
    people: np.ndarray,
    probes: np.ndarray,
    probe_people: np.ndarray,
    *,
    metric: str = "cosine",
    count: int,
) -> list[WrongProbe]:
    """The known probes that another person is at least as alike to, by the largest difference first.

    Args:
      gallery, people, probes, probe_people, metric: as in `identify`.
      count: at most so many.
    Returns:
      [WrongProbe].
    """
    scores = _scores(gallery, probes, metric)
    of_own = np.asarray(people) == np.asarray(probe_people)[:, None]
    own, others = np.where(of_own, scores, -np.inf), np.where(of_own, -np.inf, scores)
    excess = others.max(axis=1) - own.max(axis=1)
    wrong = np.flatnonzero(of_own.any(axis=1) & (excess >= 0))
    return [
        WrongProbe(int(row), int(own[row].argmax()), int(others[row].argmax()), own[row].max(), others[row].max())
        for row in wrong[np.argsort(-excess[wrong], kind="stable")][:count]
    ]


def _share(at, right, note=""):
    count, n = int(right.sum()), len(right)
    return Share(at, n, count, count / n, *wilson_interval(count, n), note)


def _detected(at, own, rank, alarms):
    """The Share of known probes that are above all but a share of the unknown, and whose person is first."""
    allowed = int(at * len(alarms) * (1 + 1e-9))
    threshold = np.sort(alarms)[::-1][allowed] if allowed < len(alarms) else -np.inf
    few = f"too few probes: {len(alarms)} of unknown people allow no false alarm" if not allowed else ""
    return _share(at, (own > threshold) & (rank == 1), few)
