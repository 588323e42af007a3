"""Measures of "not like anything I was trained on", compared on the same features. NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from orchard.classifier.inputs import open_features, read_photos
from orchard.classifier.model import Model, squared_distances
from orchard.classifier.training.splits import order_rows, reference_blocks
from orchard.tables import columns, parquet
from sklearn.metrics import roc_auc_score

Matrix = npt.NDArray[np.float64]
Score = Callable[[Matrix], Matrix]
KEPT = 0.9  # of the test photos


class Features(NamedTuple):
    """Of n photos: float64 (n, 1280), and their rows by label, in order of their names."""

    vectors: Matrix
    rows: dict[str, npt.NDArray[np.int64]]


def read(folder: Path) -> Features:
    """The features in an output of a run."""
    output = open_features("--features", str(folder))
    photos, vectors = read_photos(output), list[Matrix]()
    for file in photos.files:
        column = parquet.read(output.store, file.key, ["features"]).column(0).combine_chunks()
        vectors.append(columns.float_matrix(column, len(column[0])).astype(np.float64))
    return Features(np.concatenate(vectors), order_rows(photos.paths, photos.labels))


def scores(model: Model, training: Features) -> dict[str, Score]:
    """Measures by name, each from vectors (n, 1280) to float64 (n,): larger is less familiar."""
    vectors, folds = training.vectors, np.zeros(len(training.vectors), np.int64)
    scale, mean = vectors.std(axis=0, ddof=1), vectors.mean(axis=0)
    labels = np.array([vectors[rows].mean(axis=0) for rows in training.rows.values()])
    blocks = [block for label in reference_blocks(training.rows, folds) for block in label]
    within = np.concatenate([vectors[rows] - vectors[rows].mean(axis=0) for rows in training.rows.values()])
    return {
        "largest probability (1 - p)": lambda x: 1 - model.probabilities(x).max(axis=1),
        "residual outside the components": _residual((vectors - mean) / scale, mean, scale, model.projection.k),
        "residual outside 900 components": _residual((vectors - mean) / scale, mean, scale, 900),
        "the same, features not scaled": _residual(vectors - mean, mean, np.ones_like(scale), 900),
        "Mahalanobis, nearest label": _mahalanobis(within, labels),
        "Mahalanobis, one mean": _mahalanobis(vectors - mean, mean[np.newaxis]),
        "relative Mahalanobis": _difference(
            _mahalanobis(within, labels), _mahalanobis(vectors - mean, mean[np.newaxis])
        ),
        "cosine, nearest label's mean": _cosine(labels),
        "distance to the mean": _nearest(mean[np.newaxis]),
        "distance to the nearest label's mean": _nearest(labels),
        "distance to the nearest mean of frames (Orchard's)": _nearest(
            np.array([vectors[rows].mean(axis=0) for rows in blocks])
        ),
        "distance to the nearest photo": _nearest(vectors),
    }


def _residual(centred: Matrix, mean: Matrix, scale: Matrix, components: int) -> Score:
    axes = np.linalg.svd(centred, full_matrices=False)[2][components:].T

    def score(x: Matrix) -> Matrix:
        return np.asarray(((((x - mean) / scale) @ axes) ** 2).sum(axis=1))

    return score


def _mahalanobis(deviations: Matrix, centres: Matrix) -> Score:
    """With a tenth of the mean variance added to the covariance of `deviations`, which is singular otherwise."""
    values, axes = np.linalg.eigh(np.cov(deviations.T))
    whitened = axes / np.sqrt(values.clip(0) + values.mean() / 10)
    return lambda x: squared_distances(x @ whitened, centres @ whitened).min(axis=1)


def _difference(one: Score, other: Score) -> Score:
    return lambda x: one(x) - other(x)


def _cosine(centres: Matrix) -> Score:
    unit = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    return lambda x: 1 - (x / np.linalg.norm(x, axis=1, keepdims=True) @ unit.T).max(axis=1)


def _nearest(centres: Matrix) -> Score:
    return lambda x: np.asarray(squared_distances(x, centres).min(axis=1))


def compare(model: Model, training: Path, test: Path, strangers: dict[str, Matrix]) -> dict[str, dict[str, float]]:
    """Of each measure and each set of strangers: the share flagged where `KEPT` of the test are kept, and the AUROC."""
    familiar, found = read(test).vectors, {}
    for name, score in scores(model, read(training)).items():
        kept = score(familiar)
        limit, numbers = np.quantile(kept, KEPT), dict[str, float]()
        for kind, vectors in strangers.items():
            far = score(vectors)
            truth = np.repeat([0, 1], [len(kept), len(far)])
            numbers[kind] = float((far > limit).mean())
            numbers[f"{kind} AUROC"] = float(roc_auc_score(truth, np.concatenate([kept, far])))
        found[name] = numbers
    return found
