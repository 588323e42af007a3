"""Softmax regressions: loss and gradient of several at once over a block of rows, as a state that merges by adding.

Several, because cross-validation fits one regression a fold on nearly the same rows: reading a row, and multiplying a
matrix by it, costs little more for five regressions than for one. Pure NumPy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from orchard.pca.moments import Matrix

Integers = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Problem:
    """One regression: the weighted mean of rows' negative log likelihood + regularization / 2 * sum of coefficients².

    It is what pyspark.ml minimizes with regParam = regularization and standardization = False, and scikit-learn with
    C = 1 / (regularization * sum of weights). Intercepts are free.

    Attributes:
        regularization: above 0.
        class_weights: float64 (classes,), the weight of a row by its class.
        fold: rows of this fold are left out; -1: none is.
    """

    regularization: float
    class_weights: Matrix
    fold: int = -1


@dataclass(frozen=True)
class Head:
    """A fitted regression: coefficients float64 (classes, k), intercepts float64 (classes,) of mean 0."""

    coefficients: Matrix
    intercepts: Matrix

    @classmethod
    def of(cls, weights: Matrix) -> Self:
        """The head in weights (classes, k + 1), intercepts last; probabilities only depend on their differences."""
        return cls(np.ascontiguousarray(weights[:, :-1]), weights[:, -1] - weights[:, -1].mean())

    @property
    def weights(self) -> Matrix:
        """Both as one float64 (classes, k + 1), intercepts last."""
        return np.column_stack([self.coefficients, self.intercepts])


@dataclass(frozen=True)
class Block:
    """Some rows.

    Attributes:
        vectors: float64 or float32 (n, k + 1); the last column is 1, which an intercept is multiplied by.
        classes: int32 (n,), index of each row's class.
        folds: int32 (n,), fold of each row; -1: none; `BETWEEN_FOLDS`.
    """

    vectors: Vectors
    classes: Integers
    folds: Integers


@dataclass(frozen=True)
class Sums:
    """Sums over rows, of each of several problems.

    Attributes:
        losses: float64 (problems,), of weight * negative log likelihood.
        gradients: float64 (problems, classes, k + 1), of the same.
        weights: float64 (problems,).
    """

    losses: Matrix
    gradients: Matrix
    weights: Matrix

    def __add__(self, other: Self) -> Self:
        """The sums over both sets of rows."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return type(self)(*(one + another for one, another in pairs))


def class_weights(kind: str, counts: npt.NDArray[np.integer]) -> Matrix:
    """Weights of rows by class, float64 (classes,), for `counts` (classes,) rows of each.

    `balanced`: rows / (classes * count), as in scikit-learn, so that all classes count alike; `none`: 1.
    """
    if kind == "none":
        return np.ones(len(counts))
    shares = np.count_nonzero(counts) * counts.astype(np.float64)
    return np.asarray(np.divide(counts.sum(), shares, out=np.zeros(len(counts)), where=counts > 0))


# Of a row: used in the fit to all rows only, as it is near rows of another fold.
BETWEEN_FOLDS = -2


def row_weights(problems: Sequence[Problem], classes: Integers, folds: Integers) -> Matrix:
    """The weight of each row (n,) in each problem, float64 (problems, n)."""
    left_out = np.array([[problem.fold] for problem in problems])
    weights: Matrix = np.array([problem.class_weights for problem in problems])[:, classes]
    return np.where(((folds == left_out) | (folds == BETWEEN_FOLDS)) & (left_out >= 0), 0.0, weights)


def negative_log_likelihoods(logits: Vectors, classes: Integers) -> tuple[Vectors, Vectors]:
    """Of each row in each problem (problems, n), and the probabilities: `logits` (problems, classes, n) overwritten."""
    logits -= logits.max(axis=1, keepdims=True)
    own = logits[:, classes, np.arange(len(classes))]
    powers = np.exp(logits, out=logits)
    totals = powers.sum(axis=1, keepdims=True)
    powers /= totals
    return np.asarray(np.log(totals[:, 0]) - own), powers


def sums(block: Block, weights: Matrix, problems: Sequence[Problem]) -> Sums:
    """The sums over a block of rows of problems with `weights` (problems, classes, k + 1): two products of matrices.

    They are computed in the type of the block's vectors; in float32 in half the time, to about 1e-7 of their size.
    """
    count, classes, width = weights.shape
    rows = row_weights(problems, block.classes, block.folds)
    # Rows along the last axis: the steps along the classes are then long and even.
    logits = weights.reshape(count * classes, width).astype(block.vectors.dtype) @ block.vectors.T
    losses, residuals = negative_log_likelihoods(logits.reshape(count, classes, -1), block.classes)
    residuals[:, block.classes, np.arange(len(block.classes))] -= 1
    residuals *= rows[:, np.newaxis]
    gradients = residuals.reshape(count * classes, -1) @ block.vectors
    return Sums((rows * losses).sum(axis=1), gradients.reshape(weights.shape), rows.sum(axis=1))


def objectives(total: Sums, weights: Matrix, problems: Sequence[Problem]) -> tuple[Matrix, Matrix]:
    """Values (problems,) and gradients (problems, classes, k + 1) of the problems, by the sums over all rows."""
    strength = np.array([problem.regularization for problem in problems])
    penalized = weights.copy()
    penalized[:, :, -1] = 0
    values = total.losses / total.weights + strength / 2 * (penalized**2).sum(axis=(1, 2))
    gradients = total.gradients / total.weights[:, np.newaxis, np.newaxis]
    return values, gradients + strength[:, np.newaxis, np.newaxis] * penalized
