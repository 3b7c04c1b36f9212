"""Verification: rates as scikit-learn's and plain loops have them, LFW's protocol by hand, few pairs said to be few."""

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import accuracy_score, det_curve, roc_auc_score
from sklearn.preprocessing import StandardScaler

from jaxcnn import InputError
from jaxcnn.tasks.verification import area, equal_error_rate, roc
from jaxcnn.transfer.faces.pairs import Pairs
from jaxcnn.transfer.faces.verification import (
    at_false_accept_rate,
    best_threshold,
    by_folds,
    pair_scores,
    similarity,
    verify,
    worst_pairs,
)
from jaxcnn.visualize.verification import draw_worst_pairs


@pytest.fixture(scope="module", params=["distinct", "ties"])
def scored(request):
    """(scores, same) of 3,000 pairs, of which a third are of one person."""
    random = np.random.default_rng(0)
    same = random.random(3000) < 1 / 3
    scores = random.normal(size=3000) + 1.3 * same
    return (np.round(scores, 1) if request.param == "ties" else scores), same


def folded(same, folds=10):
    rows = np.arange(len(same))
    return Pairs(rows, rows, same, rows % folds)


def test_rates_are_those_of_scikit_learn(scored):
    scores, same = scored
    false_accepts, false_rejects, thresholds = det_curve(same, scores)
    curve = roc(scores, same)
    for f, r, t in zip(false_accepts, false_rejects, thresholds, strict=True):
        place = np.flatnonzero(curve.thresholds == t)[0]
        assert (curve.false_accepts[place], curve.true_accepts[place]) == pytest.approx((f, 1 - r), abs=1e-12)
    assert area(scores, same) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    for rate in (1e-1, 1e-2, 1e-3):
        found = at_false_accept_rate(scores, same, rate)
        at = np.flatnonzero(false_accepts <= rate)[0]
        assert found.true_accept_rate == pytest.approx(1 - false_rejects[at], abs=1e-12)
        assert found.false_accepts == round(false_accepts[at] * np.sum(~same))
        assert np.sum(scores[~same] >= found.threshold) == found.false_accepts
        interval = scipy.stats.binomtest(int(np.sum(scores[same] >= found.threshold)), int(same.sum()))
        assert (found.low, found.high) == tuple(interval.proportion_ci(method="wilson"))


def test_the_equal_error_rate_lies_between_the_thresholds_around_it(scored):
    scores, same = scored
    rates = [(np.mean(scores[~same] >= t), np.mean(scores[same] < t)) for t in np.unique(scores)[::-1]]
    above = next(place for place, (accepts, rejects) in enumerate(rates) if accepts >= rejects)
    (a0, r0), (a1, r1) = rates[above - 1], rates[above]
    part = (r0 - a0) / ((r0 - a0) + (a1 - r1))
    assert equal_error_rate(scores, same) == pytest.approx(a0 + part * (a1 - a0), abs=1e-12)


@pytest.mark.parametrize("scores, expected", [([3, 2, 1, 0], 0.0), ([0, 1, 2, 3], 1.0), ([1, 1, 1, 1], 0.5)])
def test_equal_error_rates_by_hand(scores, expected):
    assert equal_error_rate(np.array(scores, float), np.array([True, True, False, False])) == expected


def test_few_pairs_are_said_to_be_few():
    same = np.arange(600) < 300
    scores = np.where(same, 1.0, 0.0) + np.random.default_rng(0).normal(size=600)
    notes = [rate.note for rate in verify(scores, folded(same)).at_rates]
    assert notes[0] == ""
    assert notes[1] == "too few pairs: only 3 of 300 may be false accepts; at least 10 are wanted"
    assert notes[3] == "too few pairs: none of 300 false accepts is allowed; 0.0001 takes 10,000 pairs"


def test_nothing_may_be_accepted_where_the_most_alike_are_two_people():
    found = at_false_accept_rate(np.array([1.0, 2.0, 3.0]), np.array([True, True, False]), 1e-1)
    assert (found.true_accept_rate, found.false_accepts) == (0, 0) and 3 < found.threshold < 3.001


def test_the_best_threshold_against_all(scored):
    scores, same = scored[0][:200], scored[1][:200]
    found = best_threshold(scores, same)
    most = max(accuracy_score(same, scores >= t) for t in [*np.unique(scores), np.inf])
    assert accuracy_score(same, scores >= found) == most


@pytest.mark.parametrize(
    "scores, same, expected",
    [
        ([0.9, 0.7, 0.3, 0.1], [1, 1, 0, 0], 0.5),
        ([0.9, 0.9], [1, 0], 0.9),  # accepting both or none is as good; the first of the two is all but at the score
        ([0.2, 0.1], [1, 1], 0.1),
    ],
)
def test_thresholds_by_hand(scores, same, expected):
    assert best_threshold(np.array(scores), np.array(same, bool)) == pytest.approx(expected)


def test_the_protocol_of_lfw_by_hand():
    # fold 0 is best parted between 0.4 and 0.6, fold 1 between 0.2 and 0.3; each is tested with the other's threshold
    scores = np.array([0.9, 0.6, 0.4, 0.1, 0.8, 0.3, 0.2, 0.1])
    same = np.array([True, True, False, False] * 2)
    found = by_folds(scores, Pairs(None, None, same, np.repeat([0, 1], 4)))
    assert found.thresholds == pytest.approx((0.25, 0.5))
    assert found.accuracies == (0.75, 0.75) and (found.accuracy, found.standard_error) == (0.75, 0)
    np.testing.assert_array_equal(found.accepted, [True, True, True, False, True, False, False, False])


def test_mean_and_standard_error_over_folds(scored):
    scores, same = scored
    pairs = folded(same)
    accuracies = []
    for fold in range(10):
        own = pairs.fold == fold
        threshold = best_threshold(scores[~own], same[~own])
        accuracies.append(np.mean((scores[own] >= threshold) == same[own]))
    found = verify(scores, pairs).by_folds
    assert found.accuracies == tuple(accuracies)
    assert found.standard_error == pytest.approx(scipy.stats.sem(accuracies))


def test_similarities():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 5, 3)).astype(np.float32)
    expected = [a @ b / np.sqrt(a @ a * (b @ b)) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(similarity(x, y), expected, rtol=1e-6)
    np.testing.assert_allclose(similarity(x, y, metric="euclidean"), -np.sqrt(((x - y) ** 2).sum(axis=1)), rtol=1e-6)
    assert similarity(np.zeros((1, 3)), x[:1]) == 0
    with pytest.raises(ValueError, match="unknown metric 'l2'"):
        similarity(x, y, metric="l2")


def test_whitening_sees_nothing_of_a_fold_s_own_people():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(40, 4)) @ np.diag([9, 3, 1, 0.1])
    rows = np.arange(40).reshape(4, 10)  # rows of each of 4 folds
    first, second = rows[:, ::2].ravel(), rows[:, 1::2].ravel()
    pairs = Pairs(first, second, np.arange(20) % 2 == 0, np.repeat(np.arange(4), 5))
    found = pair_scores(vectors, pairs, metric="euclidean", whiten=4)
    for fold in range(4):  # with all components it is the distance of Mahalanobis
        others = np.delete(rows, fold, axis=0).ravel()
        inverse = np.linalg.inv(np.cov(vectors[others].T))
        difference = (vectors[first] - vectors[second])[pairs.fold == fold]
        expected = -np.sqrt(np.einsum("nd,de,ne->n", difference, inverse, difference))
        np.testing.assert_allclose(found[pairs.fold == fold], expected, rtol=1e-9)
    with pytest.raises(InputError, match="whitening by 5 components: 30 images of 4 numbers have 4"):
        pair_scores(vectors, pairs, whiten=5)
    with pytest.raises(InputError, match="whitening by 4 components: the vectors of 30 images vary in 3 directions"):
        pair_scores(np.float32(vectors) * np.float32([1, 1, 1, 0]), pairs, whiten=4)
    scaled = StandardScaler().fit_transform(vectors)
    np.testing.assert_array_equal(pair_scores(scaled, pairs), similarity(scaled[first], scaled[second]))


def test_the_worst_pairs_of_both_kinds():
    scores, same = np.array([0.9, 0.2, 0.5, 0.8, 0.1, 0.4]), np.array([True, True, True, False, False, False])
    found = verify(scores, folded(same, 2))
    alike, different = worst_pairs(found, folded(same, 2), count=2)
    assert alike.tolist() == [1, 2] and different.tolist() == [3, 5]


def test_scores_that_are_no_numbers():
    with pytest.raises(InputError, match="the scores of 1 of 4 pairs are not finite"):
        verify(np.array([1, np.nan, 0, 0]), folded(np.array([True, False] * 2), 2))


def test_where_no_threshold_is_applied_the_similarity_stands_alone():
    pair = (np.zeros((2, 4, 4, 1), np.uint8), ("a", "b"), 0.8551)
    figure = draw_worst_pairs([(*pair, None), (*pair, False)], [(*pair, None), (*pair, True)])
    words = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert words == ["0.855", "0.855, rejected", "0.855", "0.855, accepted"]
