"""Identification: ranks and detections as plain loops count them."""

import numpy as np
import pytest

from jaxcnn import InputError
from jaxcnn.transfer.faces.identification import identify, person_scores, wrong_probes


@pytest.fixture(scope="module")
def people():
    """(gallery, names, probes, names) of 12 people in 3 dimensions; the last two people are not in the gallery."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(14, 3))
    person = np.repeat(np.arange(14), 4)
    vectors = centres[person] + 0.4 * random.normal(size=(56, 3))
    names = np.array([f"p{number}" for number in person])
    gallery = (np.arange(56) % 4 < 2) & (person < 12)
    return vectors[gallery], names[gallery], vectors[np.arange(56) % 4 >= 2], names[np.arange(56) % 4 >= 2]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_ranks_and_detections_against_loops(people, metric):
    gallery, names, probes, own = people

    def alike(x, y):
        return x @ y / np.sqrt(x @ x * (y @ y)) if metric == "cosine" else -np.sqrt(((x - y) ** 2).sum())

    known, alarms = [], []
    for probe, person in zip(probes, own, strict=True):
        scores = {}
        for image, name in zip(gallery, names, strict=True):
            scores[name] = max(scores.get(name, -np.inf), alike(probe, image))
        order = sorted(scores, key=scores.get, reverse=True)
        if person in scores:
            known.append((order.index(person) + 1, scores[person]))
        else:
            alarms.append(scores[order[0]])
    found = identify(*people, metric=metric)
    assert (found.people, found.known, found.unknown) == (12, 24, 4)
    for share, at in zip(found.ranks, (1, 5, 10), strict=True):
        assert (share.at, share.n, share.right) == (at, 24, sum(rank <= at for rank, _ in known))
        assert share.low < share.rate < share.high or share.rate == 1
    np.testing.assert_allclose(found.match, [np.mean([r <= at for r, _ in known]) for at in range(1, 13)])
    assert found.detected[0].right == sum(rank == 1 and score > max(alarms) for rank, score in known)
    assert "4 of unknown people allow no false alarm" in found.detected[0].note


def test_a_share_of_false_alarms_lowers_the_threshold():
    gallery, names = np.eye(2), ["a", "b"]
    probes = np.array([[1, 0.1], [0.1, 1], *[[1, t] for t in np.linspace(0.2, 1, 10)]])
    found = identify(gallery, names, probes, ["a", "b", *["x"] * 10], metric="cosine")
    assert [share.right for share in found.detected] == [2, 2] and found.detected[0].note == ""
    harder = np.array([[1, 0.25], [0.25, 1], *[[1, t] for t in np.linspace(0.2, 1, 10)]])
    found = identify(gallery, names, harder, ["a", "b", *["x"] * 10])  # one alarm of ten is above both
    assert [share.right for share in found.detected] == [2, 0]


def test_equally_alike_people_come_before_the_right_one():
    found = identify(np.array([[1.0, 0], [1.0, 0]]), ["a", "b"], np.array([[1.0, 0]]), ["a"])
    assert found.ranks[0].right == 0 and found.match.tolist() == [0, 1] and found.detected == []


def test_a_person_is_as_alike_as_the_best_image():
    names, scores = person_scores(np.array([[1.0, 0], [0, 1], [1, 1]]), ["b", "b", "a"], np.array([[0, 2.0]]))
    assert names.tolist() == ["a", "b"]
    np.testing.assert_allclose(scores, [[np.sqrt(0.5), 1]])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_wrong_probes_are_those_whose_person_is_not_first(people, metric):
    gallery, names, probes, own = people

    def alike(x, y):
        return x @ y / np.sqrt(x @ x * (y @ y)) if metric == "cosine" else -np.sqrt(((x - y) ** 2).sum())

    expected = []
    for row, (probe, person) in enumerate(zip(probes, own, strict=True)):
        scores = [alike(probe, image) for image in gallery]
        mine = [place for place in range(24) if names[place] == person]
        best, other = (max(places, key=scores.__getitem__, default=None) for places in (mine, set(range(24)) - {*mine}))
        if mine and scores[other] >= scores[best]:
            expected.append((row, best, other, scores[best], scores[other]))
    expected.sort(key=lambda found: found[3] - found[4])
    found = wrong_probes(*people, metric=metric, count=99)
    assert len(found) == 24 - identify(*people, metric=metric).ranks[0].right > 3
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert wrong_probes(*people, metric=metric, count=2) == found[:2]
    one = names == names[0]  # a person alone is always the first
    assert wrong_probes(gallery[one], names[one], probes, own, count=9) == []


def test_a_metric_that_is_none_is_named():
    with pytest.raises(ValueError, match="unknown metric 'cosines'; did you mean 'cosine'"):
        person_scores(np.eye(2), ["a", "b"], np.eye(2), metric="cosines")


def test_probes_of_nobody_are_refused():
    with pytest.raises(InputError, match="none of the 1 probes is of one of the 1 people"):
        identify(np.eye(1), ["a"], np.eye(1), ["b"])
