from __future__ import annotations

import functools
import itertools
import operator
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.training import logistic
from orchard.classifier.training.logistic import Block, Head, Problem
from orchard.classifier.training.together import Minimum, minimize_together
from orchard.pca.moments import Matrix
from scipy.optimize import approx_fprime  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

CLASSES, K = 4, 6


def draw(rows: int, *, classes: int = CLASSES, k: int = K, seed: int = 1) -> Block:
    """Rows of overlapping classes, of which the first is much the largest, in folds -1, 0 and 1."""
    rng = np.random.default_rng(seed)
    of = (rng.integers(0, classes, rows) * rng.integers(0, 2, rows)).astype(np.int32)
    vectors = rng.normal(size=(rows, k)) + rng.normal(size=(classes, k))[of]
    folds = rng.integers(-1, 2, rows).astype(np.int32)
    return Block(np.column_stack([vectors * np.geomspace(5, 0.5, k), np.ones(rows)]), of, folds)


def part(block: Block, rows: slice) -> Block:
    return Block(block.vectors[rows], block.classes[rows], block.folds[rows])


def problems(block: Block) -> list[Problem]:
    weights = logistic.class_weights("balanced", np.bincount(block.classes, minlength=CLASSES))
    return [Problem(1e-3, weights), Problem(0.1, np.ones(CLASSES), 0), Problem(1.0, weights, 1)]


def solve(block: Block, of: Sequence[Problem], classes: int, gtol: float = 1e-9) -> list[Head]:
    shape = (classes, block.vectors.shape[1])

    def evaluate(numbers: list[int], points: list[Matrix]) -> list[tuple[float, Matrix]]:
        asked, weights = [of[number] for number in numbers], np.array([point.reshape(shape) for point in points])
        values, gradients = logistic.objectives(logistic.sums(block, weights, asked), weights, asked)
        return [(float(value), gradient.ravel()) for value, gradient in zip(values, gradients, strict=True)]

    found = minimize_together(evaluate, [np.zeros(shape).ravel()] * len(of), [gtol] * len(of))
    assert all(minimum.converged for minimum in found)
    return [Head.of(minimum.point.reshape(shape)) for minimum in found]


def probabilities(head: Head, block: Block) -> Matrix:
    logits = (block.vectors @ head.weights.T).T[np.newaxis]
    return np.asarray(logistic.negative_log_likelihoods(logits, block.classes)[1][0].T)


def test_gradient_is_that_of_the_value() -> None:
    block = draw(60)
    of, weights = problems(block), np.random.default_rng(2).normal(size=(3, CLASSES, K + 1))
    _, gradients = logistic.objectives(logistic.sums(block, weights, of), weights, of)

    for number in range(3):

        def value(point: Matrix, number: int = number) -> float:
            at = point.reshape(1, CLASSES, K + 1)
            return float(logistic.objectives(logistic.sums(block, at, [of[number]]), at, [of[number]])[0][0])

        expected = approx_fprime(weights[number].ravel(), value, 1e-6)
        np.testing.assert_allclose(gradients[number].ravel(), expected, atol=1e-4)


@given(st.lists(st.integers(0, 60), max_size=5), st.integers(0, 2**32 - 1))
def test_sums_merge(cuts: list[int], seed: int) -> None:
    block = draw(60, seed=seed)
    weights = np.random.default_rng(seed).normal(size=(3, CLASSES, K + 1))
    edges = [0, *sorted(cuts), 60]
    parts = [part(block, slice(start, end)) for start, end in itertools.pairwise(edges)]
    merged = functools.reduce(operator.add, (logistic.sums(one, weights, problems(block)) for one in parts))
    for name, expected in vars(logistic.sums(block, weights, problems(block))).items():
        np.testing.assert_allclose(vars(merged)[name], expected, atol=1e-9)


def test_fold_leaves_its_rows_out() -> None:
    block = draw(60)
    weights = np.random.default_rng(2).normal(size=(1, CLASSES, K + 1))
    kept = block.folds != 1
    without = Block(block.vectors[kept], block.classes[kept], block.folds[kept])
    one = logistic.sums(block, weights, [Problem(1, np.ones(CLASSES), 1)])
    other = logistic.sums(without, weights, [Problem(1, np.ones(CLASSES))])
    np.testing.assert_allclose(one.gradients, other.gradients)
    assert one.weights[0] == other.weights[0] == kept.sum()


def test_large_logits_stay_finite() -> None:
    block = draw(60)
    total = logistic.sums(block, np.full((1, CLASSES, K + 1), 1e5) * np.arange(CLASSES)[:, None], problems(block)[:1])
    assert all(np.isfinite(part).all() for part in vars(total).values())


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any))
def test_class_weights_are_scikit_learns(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    expected = np.zeros(len(counts))
    expected[np.unique(labels)] = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    np.testing.assert_allclose(logistic.class_weights("balanced", np.array(counts)), expected)
    np.testing.assert_array_equal(logistic.class_weights("none", np.array(counts)), 1)


@pytest.mark.parametrize("classes", [3, 49])
@pytest.mark.parametrize("kind", ["balanced", "none"])
def test_solution_is_scikit_learns(classes: int, kind: str) -> None:
    block = draw(800, classes=classes, k=12)
    kept = block.folds != 1
    weights = logistic.class_weights(kind, np.bincount(block.classes[kept], minlength=classes))
    rows, strength = weights[block.classes[kept]], 1e-2
    expected = LogisticRegression(C=1 / (strength * rows.sum()), tol=1e-9, solver="newton-cholesky")
    expected.fit(block.vectors[kept, :-1], block.classes[kept], sample_weight=rows)
    (head,) = solve(block, [Problem(strength, weights, 1)], classes)
    np.testing.assert_allclose(probabilities(head, block), expected.predict_proba(block.vectors[:, :-1]), atol=1e-5)
    np.testing.assert_allclose(head.coefficients, expected.coef_, atol=1e-5)
    assert abs(head.intercepts.mean()) < 1e-12


def test_minimize_together_drops_done() -> None:
    rounds: list[list[int]] = []

    def evaluate(numbers: list[int], points: list[Matrix]) -> list[tuple[float, Matrix]]:
        rounds.append(numbers)
        scales = [np.geomspace(1, 10.0**number, 5) for number in numbers]
        pairs = zip(points, scales, strict=True)
        return [(float((scale * (point - 1) ** 2).sum()), 2 * scale * (point - 1)) for point, scale in pairs]

    first = minimize_together(evaluate, [np.zeros(5), np.zeros(5), np.zeros(5)], [1e-8] * 3)
    again = minimize_together(evaluate, [np.zeros(5), np.zeros(5), np.zeros(5)], [1e-8] * 3)
    assert all(minimum.converged for minimum in first)
    np.testing.assert_allclose([minimum.point for minimum in first], 1, atol=1e-8)
    assert [minimum.point.tobytes() for minimum in first] == [minimum.point.tobytes() for minimum in again]
    half = rounds[: len(rounds) // 2]
    assert half == rounds[len(half) :]
    assert [sum(number in asked for asked in half) for number in range(3)] == [one.evaluations for one in first]
    assert half[0] == [0, 1, 2]
    assert len(half) == max(minimum.evaluations for minimum in first)


def test_minimize_together_not_converged() -> None:
    def evaluate(numbers: list[int], points: list[Matrix]) -> list[tuple[float, Matrix]]:
        return [(float(np.logaddexp(0, -point).sum()), -1 / (1 + np.exp(point))) for point in points]

    (found,) = minimize_together(evaluate, [np.zeros(2)], [1e-12], most=3)
    assert isinstance(found, Minimum)
    assert not found.converged
    assert minimize_together(evaluate, [], []) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_ends_all_threads(error: type[BaseException]) -> None:
    calls: list[int] = []

    def evaluate(numbers: list[int], points: list[Matrix]) -> list[tuple[float, Matrix]]:
        calls.append(len(numbers))
        if len(calls) == 2:
            raise error
        return [(float((point**4).sum()), 4 * point**3) for point in points]

    before = threading.active_count()
    with pytest.raises(error):
        minimize_together(evaluate, [np.ones(3)] * 4, [1e-8] * 4)
    assert calls == [4, 4]
    assert threading.active_count() == before
