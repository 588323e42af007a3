"""What a model says of each photo, in a few numbers, and which of its mistakes it is surest of."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from orchard.classifier.evaluation.leaks import Leaks
from orchard.classifier.evaluation.metrics import ranks
from orchard.classifier.evaluation.reading import Batch
from orchard.classifier.model import Model, Predictions
from orchard.pca.moments import Matrix

# A label is one turning fruit, whose frames look alike: a few of them say as much as all.
MISTAKES, MISTAKES_PER_LABEL = 24, 3
Numbers = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mistake:
    """A photo of class `true` that was taken for `answered`, with this probability and distance."""

    path: str
    label: str
    true: str
    answered: str
    probability: float
    distance: float


@dataclass(frozen=True)
class Scores:
    """Of n photos of known classes.

    Attributes:
        labels: the names of the labels that occur.
        label, true, best: numbers of the photo's label, its class and the most probable class, int32 (n,).
        rank: how many classes the model prefers to the true one, int32 (n,).
        probability: of the most probable class, float64 (n,).
        distance: the unfamiliarity, float64 (n,).
        unsure: whether no class is answered, (n,).
        shared: whether the same bytes were trained on, (n,).
        mistakes: the most probable wrong answers, most probable first.
    """

    labels: tuple[str, ...]
    label: Numbers
    true: Numbers
    best: Numbers
    rank: Numbers
    probability: Matrix
    distance: Matrix
    unsure: Bools
    shared: Bools
    mistakes: list[Mistake]

    @property
    def right(self) -> Bools:
        """Whether the most probable class is the true one, (n,)."""
        return np.asarray(self.best == self.true)


def score(
    model: Model, batches: Iterable[Batch], classes: Mapping[str, str], leaks: Leaks, done: Callable[[int], None]
) -> Scores:
    """Score photos, at least one, whose labels have these `classes`; `done` is told how many there were so far."""
    numbers = {name: number for number, name in enumerate(model.classes)}
    labels = {label: number for number, label in enumerate(sorted(classes))}
    of_label = np.array([numbers[classes[label]] for label in labels], np.int32)
    parts, mistakes, count = list[tuple[npt.NDArray[np.generic], ...]](), Mistakes(), 0
    for batch in batches:
        predictions, label = _predict(model, batch), np.array([labels[name] for name in batch.labels], np.int32)
        true, best = of_label[label], predictions.best.astype(np.int32)
        rank = ranks(predictions.probabilities, true).astype(np.int32)
        probability = predictions.probabilities.max(axis=1)
        shared = leaks.add(batch.paths, batch.hashes)
        mistakes.add(batch, model.classes, true, best, probability, predictions.unfamiliarity)
        parts.append((label, true, best, rank, probability, predictions.unfamiliarity, predictions.unsure, shared))
        done(count := count + len(batch.paths))
    joined: Any = (np.concatenate(column) for column in zip(*parts, strict=True))
    label, true, best, rank, probability, distance, unsure, shared = joined
    worst = mistakes.worst()
    return Scores(tuple(labels), label, true, best, rank, probability, distance, unsure, shared, worst)


@dataclass(frozen=True)
class Unfamiliar:
    """Of m photos of none of the model's classes: number of the label (int32), distance, and whether unsure, (m,)."""

    labels: tuple[str, ...]
    label: Numbers
    distance: Matrix
    unsure: Bools


def score_unfamiliar(model: Model, batches: Iterable[Batch], labels: Iterable[str]) -> Unfamiliar:
    """Score photos, at least one, of these labels, of none of the model's classes."""
    numbers = {label: number for number, label in enumerate(sorted(labels))}
    parts = list[tuple[Numbers, Matrix, Bools]]()
    for batch in batches:
        predictions, label = _predict(model, batch), np.array([numbers[name] for name in batch.labels], np.int32)
        parts.append((label, predictions.unfamiliarity, predictions.unsure))
    label, distance, unsure = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Unfamiliar(tuple(numbers), label, distance, unsure)


def _predict(model: Model, batch: Batch) -> Predictions:
    # One thread: the same bits on every machine, and no threads that wait for each other by spinning.
    with threadpool_limits(1, user_api="blas"):
        return model.predict(batch.features)


class Mistakes:
    """Collects wrong answers: of each label the `MISTAKES_PER_LABEL` with the highest probabilities."""

    def __init__(self) -> None:
        self._by_label = defaultdict[str, list[Mistake]](list)

    def add(
        self,
        batch: Batch,
        classes: tuple[str, ...],
        true: Numbers,
        best: Numbers,
        probability: Matrix,
        distance: Matrix,
    ) -> None:
        """Look at the photos of a batch, (n,) each; `true` and `best` are numbers of `classes`."""
        for row in np.flatnonzero(true != best).tolist():
            names, numbers = (classes[true[row]], classes[best[row]]), (float(probability[row]), float(distance[row]))
            found = Mistake(batch.paths[row], batch.labels[row], *names, *numbers)
            known = self._by_label[found.label]
            self._by_label[found.label] = sorted([*known, found], key=_surest)[:MISTAKES_PER_LABEL]

    def worst(self) -> list[Mistake]:
        """The `MISTAKES` of them with the highest probabilities, highest first."""
        return sorted((found for of_label in self._by_label.values() for found in of_label), key=_surest)[:MISTAKES]


def _surest(mistake: Mistake) -> tuple[float, str]:
    return -mistake.probability, mistake.path
