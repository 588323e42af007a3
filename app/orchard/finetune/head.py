"""The first softmax on top of the network, fitted while its features are still those of the parent."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits

from orchard.classifier.training.logistic import Block, Problem, objectives, sums
from orchard.network.tuning.tuner import Array, SoftmaxHead

_REGULARIZATION, _ITERATIONS = 0.01, 200
# Features that hardly vary now may do so later: they are not blown up to the size of the others.
_LEAST_DEVIATION = 0.1


def fit_head(features: Array, classes: npt.NDArray[np.int32], count: int) -> SoftmaxHead:
    """A softmax regression on features (n, features) of `count` classes (n,), standardised."""
    mean = features.mean(axis=0, dtype=np.float64)
    scale = np.maximum(features.std(axis=0, dtype=np.float64), _LEAST_DEVIATION)
    vectors = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    problems = [Problem(_REGULARIZATION, np.ones(count))]
    block = Block(vectors, classes, np.full(len(features), -1, np.int32))
    shape = count, vectors.shape[1]

    def objective(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        given = weights.reshape(1, *shape)
        value, gradient = objectives(sums(block, given, problems), given, problems)
        return float(value[0]), gradient.ravel()

    with threadpool_limits(1, user_api="blas"):  # the same sums on every machine
        start = np.zeros(shape[0] * shape[1])
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    weights = found.x.reshape(shape).T.astype(np.float32)
    as_stored = mean.astype(np.float32), scale.astype(np.float32)
    return SoftmaxHead(*as_stored, np.ascontiguousarray(weights[:-1]), np.ascontiguousarray(weights[-1]))
