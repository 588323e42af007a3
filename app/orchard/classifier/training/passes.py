"""The fit of softmax regressions, in passes over components."""

import functools
import operator
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from pyspark import SparkContext
from threadpoolctl import threadpool_limits

from orchard.classifier.model import Model
from orchard.classifier.training import logistic
from orchard.classifier.training.components import FETCHED, Components
from orchard.classifier.training.logistic import BETWEEN_FOLDS, Head, Integers, Problem, Sums
from orchard.classifier.training.rows import FileRows, Rows, Task
from orchard.classifier.training.together import minimize_together
from orchard.classifier.training.trials import HeldOut, held_out_of, losses_of
from orchard.pca.moments import Matrix
from orchard.pca.projection import Projection
from orchard.storage.stores import Store

# Of `Passes.solve`: probabilities within 1e-4 of the exact ones, and within 0.001, to compare regularizations.
FINE, COARSE = 1e-6, 1e-4
# Passes compute in float32, in half the time, until a scaled gradient is below: far above what float32 blurs.
EXACT_BELOW = 1e-4


class Passes:
    """Fits softmax regressions to the components of files of features, and tries them on rows they have not seen.

    A context manager, which removes the components from the executors' disks in the end.

    Attributes:
        count: passes over the components that `solve` made so far.
        unfinished: problems that `solve` gave up after a thousand passes.
    """

    def __init__(
        self,
        context: SparkContext,
        store: Store,
        rows: Sequence[FileRows],
        projection: Projection,
        classes: int,
        *,
        class_weight: str = "balanced",
        tasks: int | None = None,
        fetched: int = FETCHED,
    ) -> None:
        """Prepare; features are not read before the first pass.

        Args:
            context: runs the tasks.
            store: of the features.
            rows: what is known of each file's rows.
            projection: of features to components.
            classes: their number.
            class_weight: as of `logistic.class_weights`.
            tasks: how many at most.
            fetched: bytes of components up to which they are fetched; 0: never.
        """
        self.count = self.unfinished = 0
        self._projection, self._class_weight = projection, class_weight
        self._components = Components(context, store, rows, projection, tasks=tasks, fetched=fetched)
        # Used rows by fold and class; the first two rows are of those between folds and without one.
        folds = max((int(file.folds.max(initial=-1)) for file in rows), default=-1)
        self._counts = np.zeros((folds + 3, classes), np.int64)
        for file in rows:
            used = file.classes >= 0
            np.add.at(self._counts, (file.folds[used] - BETWEEN_FOLDS, file.classes[used]), 1)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Free what Spark keeps, except after Ctrl-C, which leaves this thread's connection to the JVM unusable."""
        if kind is None or issubclass(kind, Exception):
            with suppress(Exception):
                self._components.close()

    def problem(self, regularization: float, fold: int = -1) -> Problem:
        """The fit to all used rows but those of a fold; the classes' weights are by the rows that are left."""
        left_out = [BETWEEN_FOLDS, fold] if fold >= 0 else []
        counts = np.delete(self._counts, np.array(left_out, int) - BETWEEN_FOLDS, axis=0).sum(axis=0)
        return Problem(regularization, logistic.class_weights(self._class_weight, counts), fold)

    def solve(self, problems: Sequence[Problem], start: Sequence[Head] | None = None, gtol: float = FINE) -> list[Head]:
        """Solve problems together, from the heads `start`, or from zero, until gradients are below `gtol`.

        Before that they are scaled as by `_scale`, and divided by the regularization where it is below 1. The less it
        is, the less the objective tells heads apart; so the same `gtol` gives about the same error in probabilities.
        """
        scales = np.array([self._scale(problem) for problem in problems])[:, np.newaxis]
        shape = (self._counts.shape[1], scales.shape[2])

        kind: type[np.floating] = np.float32

        def evaluate(numbers: list[int], points: list[Matrix]) -> list[tuple[float, Matrix]]:
            nonlocal kind
            weights = np.array([point.reshape(shape) for point in points]) * scales[numbers]
            asked = [problems[number] for number in numbers]
            values, gradients = self._objectives(weights, asked, kind)
            if kind is np.float32 and np.abs(gradients * scales[numbers]).max(axis=(1, 2)).min() < EXACT_BELOW:
                kind = np.float64
                values, gradients = self._objectives(weights, asked, kind)
            return [*zip(values.tolist(), (gradients * scales[numbers]).reshape(len(numbers), -1), strict=True)]

        starts = [np.zeros(shape)] * len(problems) if start is None else [head.weights for head in start]
        points = [(weights / scale).ravel() for weights, scale in zip(starts, scales, strict=True)]
        gtols = [gtol * min(1.0, problem.regularization) for problem in problems]
        found = minimize_together(evaluate, points, gtols)
        self.unfinished += sum(not one.converged for one in found)
        return [Head.of(one.point.reshape(shape) * scale) for one, scale in zip(found, scales, strict=True)]

    def _scale(self, problem: Problem) -> Matrix:
        """Float64 (k + 1,): coordinates in which the objective curves about alike in all directions, at its start.

        By them L-BFGS needs a fifth of the evaluations: components' variances differ by a factor of hundreds.
        """
        projection, classes = self._projection, self._counts.shape[1]
        variances = projection.explained_variance_ratio[: projection.k] * np.count_nonzero(projection.std)
        likely = (1 - 1 / classes) / classes  # variance of a row's class by the start's probabilities, which are equal
        return np.asarray((likely * np.append(variances, 1) + problem.regularization) ** -0.5)

    def _objectives(
        self, weights: Matrix, problems: Sequence[Problem], kind: type[np.floating]
    ) -> tuple[Matrix, Matrix]:
        self.count += 1
        parts = self._components.run(functools.partial(sums_of, weights, problems, kind))
        return logistic.objectives(functools.reduce(operator.add, parts), weights, problems)

    def losses(self, heads: Sequence[Head], temperatures: npt.ArrayLike) -> tuple[Matrix, float]:
        """Negative log likelihood at temperatures (t,) of each row that has a fold, by the head of that fold.

        Returns:
            Sums float64 (t,) of weight * negative log likelihood, and the sum of weights, which are by class.
        """
        of = logistic.class_weights(self._class_weight, self._counts[-BETWEEN_FOLDS:].sum(axis=0))
        tried = np.asarray(temperatures, np.float64)
        weights = np.array([head.weights for head in heads])
        with threadpool_limits(1, user_api="blas"):
            parts = self._components.run(functools.partial(losses_of, weights, of, tried))
        return sum((losses for losses, _ in parts), np.zeros(len(tried))), sum(weight for _, weight in parts)

    def held_out(
        self,
        heads: Sequence[Head],
        references: npt.NDArray[np.float32],
        reference_places: Integers,
        temperature: float = 1.0,
    ) -> HeldOut:
        """Try the heads of the folds at a temperature, and references (r, features) at places (r,), on features.

        A row's distance is that to the nearest reference whose place differs by 2 or more from the row's own.
        """
        models = [
            Model(
                projection=self._projection,
                coefficients=head.coefficients / temperature,
                intercepts=head.intercepts / temperature,
                classes=(),
                references=references,
                threshold=0.0,
                limit=np.inf,
                settings={},
            )
            for head in heads
        ]
        return HeldOut.join(self._components.run_on_features(functools.partial(held_out_of, models, reference_places)))


def sums_of(weights: Matrix, problems: Sequence[Problem], kind: type[np.floating], rows: Rows, task: Task) -> Sums:
    """A task: the sums over its rows of problems with `weights` (problems, classes, k + 1), computed in `kind`."""
    count = len(problems)
    empty = Sums(np.zeros(count), np.zeros(weights.shape), np.zeros(count))
    return functools.reduce(
        operator.add, (logistic.sums(block, weights, problems) for block in rows.blocks(task, kind)), empty
    )
