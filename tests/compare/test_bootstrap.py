"""Intervals against SciPy's bootstrap, and what must hold of any of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.compare import bootstrap
from scipy import stats  # type: ignore[import-untyped]

LABELS = st.lists(
    st.tuples(st.integers(1, 80), st.floats(0, 1), st.integers(0, 3)).map(
        lambda row: (row[0], int(row[0] * row[1]), row[2])
    ),
    min_size=2,
    max_size=12,
)


def arrays(rows: list[tuple[int, int, int]]) -> tuple[Any, Any, Any]:
    photos, right, classes = (np.array(column) for column in zip(*rows, strict=True))
    return photos.astype(float), right.astype(float), np.unique(classes, return_inverse=True)[1]


def accuracy(photos: Any, right: Any, axis: int) -> Any:
    return right.sum(axis=axis) / photos.sum(axis=axis)


def balanced(photos: Any, right: Any, classes: Any) -> float:
    return float(np.mean([right[classes == one].sum() / photos[classes == one].sum() for one in np.unique(classes)]))


@given(LABELS)
def test_accuracy_has_scipys_interval(rows: list[tuple[int, int, int]]) -> None:
    photos, right, _ = arrays(rows)
    drawn = bootstrap.accuracies(bootstrap.resample(len(rows), 500, 3), photos, right)
    expected = stats.bootstrap(
        (photos, right),
        accuracy,
        paired=True,
        vectorized=True,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(3),
    )
    found = bootstrap.interval(0.5, drawn, len(rows))
    assert found[1:] == pytest.approx(tuple(expected.confidence_interval))
    np.testing.assert_allclose(np.sort(drawn), np.sort(expected.bootstrap_distribution))


@given(LABELS)
def test_balanced_accuracy_has_scipys_interval(rows: list[tuple[int, int, int]]) -> None:
    photos, right, classes = arrays(rows)
    drawn = bootstrap.balanced_accuracies(bootstrap.resample(len(rows), 100, 3), photos, right, classes)
    expected = stats.bootstrap(
        (photos, right, classes),
        balanced,
        paired=True,
        vectorized=False,
        n_resamples=100,
        method="percentile",
        rng=np.random.default_rng(3),
    )
    assert bootstrap.interval(0.5, drawn, len(rows))[1:] == pytest.approx(tuple(expected.confidence_interval))


@given(st.integers(1, 30), st.integers(1, 50))
def test_every_resample_has_as_many_labels(labels: int, resamples: int) -> None:
    draws = bootstrap.resample(labels, resamples)
    assert draws.shape == (resamples, labels)
    assert (draws.sum(axis=1) == labels).all()
    np.testing.assert_array_equal(draws, bootstrap.resample(labels, resamples))


def test_one_label_has_no_interval() -> None:
    assert bootstrap.interval(0.5, np.array([0.5, 0.5]), 1) == (0.5, None, None)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Of accuracies of labels from a known distribution: 95 % would, and a little fewer with 18 labels."""
    random, kept = np.random.default_rng(0), 0
    for _ in range(200):
        right = np.round(60 * random.beta(4, 1, 18))
        drawn = bootstrap.accuracies(bootstrap.resample(18, 1000), np.full(18, 60.0), right)
        _, low, high = bootstrap.interval(0, drawn, 18)
        assert low is not None
        assert high is not None
        kept += low <= 0.8 <= high
    assert 0.88 <= kept / 200 <= 0.98
