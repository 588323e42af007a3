"""Metrics against scikit-learn, and against formulas written down independently."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from orchard.classifier.evaluation import metrics
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)

Answers = tuple[np.ndarray, np.ndarray, int]


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """True and answered classes of some photos, and how many classes there are, some of which may not occur."""
    classes, photos = draw(st.integers(2, 6)), draw(st.integers(1, 30))
    indices = arrays(np.int32, photos, elements=st.integers(0, classes - 1))
    return draw(indices), draw(indices), classes


@st.composite
def confidences(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, with many equal ones and many on the edges of bins, and whether the answer was right."""
    photos = draw(st.integers(1, 40))
    values = st.one_of(st.integers(0, 15).map(lambda number: number / 15), st.floats(0, 1))
    return draw(arrays(np.float64, photos, elements=values)), draw(arrays(np.bool_, photos))


distances = arrays(np.float64, st.integers(1, 20), elements=st.integers(0, 8).map(float))


# scikit-learn warns of a single class, and of answers that are no true class.
@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
@given(answers())
@settings(deadline=None)
def test_confusion_matrix_scikit_learn(given_answers: Answers) -> None:
    true, answered, classes = given_answers
    confusion = metrics.confusion_matrix(true, answered, classes)
    np.testing.assert_array_equal(confusion, confusion_matrix(true, answered, labels=range(classes)))
    assert metrics.accuracy(confusion) == pytest.approx(accuracy_score(true, answered), abs=1e-15)
    balanced = balanced_accuracy_score(true, answered)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(balanced, abs=1e-15)
    wanted = precision_recall_fscore_support(true, answered, labels=range(classes), zero_division=np.nan)
    for mine, theirs in zip(metrics.precision_recall_f1(confusion), wanted, strict=False):
        np.testing.assert_allclose(mine, theirs, atol=1e-15)


def test_balanced_accuracy_missing_class() -> None:
    confusion = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    assert metrics.balanced_accuracy(confusion) == (0.75 + 0.5) / 2
    assert math.isnan(metrics.balanced_accuracy(np.zeros((2, 2), np.int64)))


@given(st.data())
@settings(deadline=None)
def test_ranks_scikit_learn(data: st.DataObject) -> None:
    true, _, classes = data.draw(answers())
    scores = data.draw(arrays(np.float64, (len(true), classes), elements=st.integers(0, 4).map(float)))
    ranks = metrics.ranks(scores, true)
    np.testing.assert_array_equal(ranks == 0, scores.argmax(axis=1) == true)
    for k in range(1, classes):
        # Of equal scores scikit-learn prefers the last class, this the first, as the answer does.
        if classes > 2:
            flipped = classes - 1 - true
            theirs = top_k_accuracy_score(flipped, scores[:, ::-1], k=k, labels=range(classes))
            assert (ranks < k).mean() == pytest.approx(theirs, abs=1e-15)


@given(confidences())
def test_expected_calibration_error(given_confidences: tuple[np.ndarray, np.ndarray]) -> None:
    probability, right = given_confidences
    confidence, share, counts = metrics.calibration(probability, right)
    assert counts.sum() == len(probability)
    # |sum of probabilities - number of right answers| of each bin, over all photos.
    edges = np.arange(1, metrics.BINS) / metrics.BINS
    bins = np.array([sum(value > edge for edge in edges) for value in probability])
    wanted = sum(abs((probability - right)[bins == b].sum()) for b in range(metrics.BINS)) / len(probability)
    assert metrics.expected_calibration_error(confidence, share, counts) == pytest.approx(wanted, abs=1e-12)


def test_calibration_of_known_numbers() -> None:
    probability, right = np.array([0.2, 0.5, 0.51, 1.0]), np.array([False, True, True, True])
    confidence, share, counts = metrics.calibration(probability, right, bins=2)
    np.testing.assert_allclose(confidence, [0.35, 0.755])
    np.testing.assert_allclose(share, [0.5, 1.0])
    assert counts.tolist() == [2, 2]
    assert metrics.expected_calibration_error(confidence, share, counts) == pytest.approx((0.3 + 0.49) / 4)


@given(confidences(), st.integers(1, 50))
def test_coverage_curve(given_confidences: tuple[np.ndarray, np.ndarray], points: int) -> None:
    probability, right = given_confidences
    coverage, accuracy, smallest = metrics.coverage_curve(probability, right, points)
    assert 1 <= len(coverage) <= points
    assert coverage[-1] == 1
    assert (np.diff(coverage) > 0).all()
    for share, value, least in zip(coverage, accuracy, smallest, strict=True):
        assert share == (probability >= least).mean()
        assert value == pytest.approx(right[probability >= least].mean(), abs=1e-15)


@given(distances, distances)
@settings(deadline=None)
def test_auroc_as_scikit_learn(familiar: np.ndarray, unfamiliar: np.ndarray) -> None:
    kinds = np.repeat([0, 1], [len(familiar), len(unfamiliar)])
    wanted = roc_auc_score(kinds, np.concatenate([familiar, unfamiliar]))
    assert metrics.auroc(familiar, unfamiliar) == pytest.approx(wanted, abs=1e-12)


@given(distances, st.floats(0.01, 1))
def test_keeping(values: np.ndarray, share: float) -> None:
    limit = metrics.keeping(values, share)
    assert (values <= limit).mean() >= share - 1e-12
    assert (values < limit).mean() < share


@given(distances, distances)
def test_flagged_curve_counts_both_kinds(familiar: np.ndarray, unfamiliar: np.ndarray) -> None:
    curve = metrics.flagged_curve(familiar, unfamiliar)
    assert curve[0][-1] == 1
    for kept, flagged, limit in zip(*curve, strict=True):
        assert kept == (familiar <= limit).mean()
        assert flagged == pytest.approx((unfamiliar > limit).mean(), abs=1e-12)


def test_shares_by_group() -> None:
    shares = metrics.shares_by_group(np.array([True, False, True]), np.array([0, 0, 2]), 3)
    np.testing.assert_array_equal(shares, [0.5, np.nan, 1])
