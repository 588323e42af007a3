"""Tasks that try heads on rows that they have not seen: those of the fold that each was fitted without."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from orchard.classifier.model import Model, squared_distances
from orchard.classifier.training import logistic
from orchard.classifier.training.logistic import Integers
from orchard.classifier.training.rows import Features, Rows, Task, read_features, select
from orchard.pca.moments import Matrix
from orchard.storage.stores import Store


@dataclass(frozen=True)
class HeldOut:
    """What is said of rows by the head that has not seen them: rows that have a class and a fold, in order.

    Attributes:
        probabilities: float64 (n,), the largest of each.
        right: bool (n,), whether it is of the row's class.
        classes: int32 (n,), the row's class.
        folds: int32 (n,).
        distances: float64 (n,), to the nearest reference that is not the row's own or beside it.
    """

    probabilities: Matrix
    right: npt.NDArray[np.bool_]
    classes: Integers
    folds: Integers
    distances: Matrix

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, one after the other; there must be one part at least."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def losses_of(weights: Matrix, of: Matrix, temperatures: Matrix, rows: Rows, task: Task) -> tuple[Matrix, float]:
    """A task: losses at temperatures, by weights (folds, classes, k + 1) and class weights; and the sum of weights."""
    losses, total = np.zeros(len(temperatures)), 0.0
    for block in rows.blocks(task):
        for fold, head in enumerate(weights):
            own = block.folds == fold
            classes, logits = block.classes[own], head @ block.vectors[own].T
            scaled = logits / temperatures[:, np.newaxis, np.newaxis]
            losses += logistic.negative_log_likelihoods(scaled, classes)[0] @ of[classes]
            total += float(of[classes].sum())
    return losses, total


def held_out_of(models: Sequence[Model], reference_places: Integers, store: Store, task: Task) -> HeldOut:
    """A task: what the models of the folds say of its rows."""
    feature_size = len(models[0].projection.mean)
    parts = [_empty()]
    for features in read_features(store, feature_size, task.files):
        chosen = (features.rows.classes >= 0) & (features.rows.folds >= 0)
        parts.append(_held_out(select(features, chosen), models, reference_places))
    return HeldOut.join(parts)


def _empty() -> HeldOut:
    none = np.zeros(0, np.int32)
    return HeldOut(np.zeros(0), np.zeros(0, np.bool_), none, none, np.zeros(0))


def _held_out(features: Features, models: Sequence[Model], reference_places: Integers) -> HeldOut:
    vectors, rows = features
    probabilities, right = np.zeros(len(vectors)), np.zeros(len(vectors), np.bool_)
    for fold, model in enumerate(models):
        own = rows.folds == fold
        said = model.probabilities(vectors[own])
        probabilities[own], right[own] = said.max(axis=1), said.argmax(axis=1) == rows.classes[own]
    squares = squared_distances(vectors, models[0].references)
    near = np.abs(rows.places[:, np.newaxis] - reference_places) < 2
    squares[near] = np.inf
    return HeldOut(probabilities, right, rows.classes, rows.folds, np.sqrt(squares.min(axis=1)))
