"""How good answers are, computed of arrays. Pure NumPy; names and definitions are scikit-learn's where it has them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.pca.moments import Matrix

Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]

BINS, CURVE_POINTS = 15, 100


def confusion_matrix(true: Ints, answered: Ints, classes: int) -> npt.NDArray[np.int64]:
    """Photos by true class (row) and answered class (column): indices (n,) twice -> int64 (classes, classes)."""
    pairs = true.astype(np.int64) * classes + answered
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def accuracy(confusion: Ints) -> float:
    """Share of right answers; NaN where there are none."""
    return float(_ratio(np.trace(confusion), confusion.sum()))


def balanced_accuracy(confusion: Ints) -> float:
    """Mean recall of the classes that occur; NaN where none does."""
    recall = precision_recall_f1(confusion)[1]
    return float(recall[~np.isnan(recall)].mean()) if confusion.any() else float("nan")


def precision_recall_f1(confusion: Ints) -> tuple[Matrix, Matrix, Matrix]:
    """Of each class, float64 (classes,) three times; NaN where a class is never answered, or does not occur."""
    right, occurs, answered = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return _ratio(right, answered), _ratio(right, occurs), _ratio(2 * right, occurs + answered)


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Matrix:
    """The quotient, and NaN where the whole is 0."""
    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.asarray(np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes != 0))


def ranks(probabilities: Matrix, true: Ints) -> npt.NDArray[np.intp]:
    """How many classes come before the true one, by decreasing probability; of equals, the first comes first.

    (n, classes) and indices (n,) -> intp (n,): 0 where the answer is right, below k where the k best have it.
    """
    own = np.take_along_axis(probabilities, true[:, np.newaxis].astype(np.intp), axis=1)
    earlier = np.arange(probabilities.shape[1]) < true[:, np.newaxis]
    before = (probabilities > own) | ((probabilities == own) & earlier)
    return np.asarray(before.sum(axis=1), np.intp)


def calibration(probability: Matrix, right: Bools, bins: int = BINS) -> tuple[Matrix, Matrix, npt.NDArray[np.int64]]:
    """Mean probability, share of right answers and number of photos of each bin, (bins,) each; NaN of empty bins.

    The bins are equally wide; the one numbered b holds probabilities above b / bins, up to (b + 1) / bins.
    """
    inner = np.arange(1, bins) / bins
    index = np.searchsorted(inner, probability, side="left")
    counts = np.bincount(index, minlength=bins)
    sums = (np.bincount(index, weights=values, minlength=bins) for values in (probability, right.astype(np.float64)))
    confidence, share = (_ratio(total, counts) for total in sums)
    return confidence, share, counts.astype(np.int64)


def expected_calibration_error(confidence: Matrix, share: Matrix, counts: Ints) -> float:
    """Mean over the photos of |mean probability - share of right answers| of their bin; NaN without photos."""
    gaps = np.where(counts > 0, np.abs(confidence - share), 0)
    return float(_ratio((gaps * counts).sum(), counts.sum()))


def coverage_curve(probability: Matrix, right: Bools, points: int = CURVE_POINTS) -> tuple[Matrix, Matrix, Matrix]:
    """What is right of the answers with the highest probabilities.

    For some smallest probabilities, decreasing: the share of the photos that have at least it, the share of right
    answers among those, and that probability; (m,) each, at most `points`. Photos of equal probability stay together.
    """
    order = np.argsort(-probability, kind="stable")
    ordered, total = probability[order], np.cumsum(right[order])
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.zeros(0, np.intp)
    wanted = np.ceil(np.arange(1, points + 1) * len(ordered) / points).astype(np.intp) - 1
    ends = np.unique(ends[np.searchsorted(ends, wanted)]) if len(ordered) else ends
    return (ends + 1) / max(1, len(ordered)), total[ends] / (ends + 1), ordered[ends]


def auroc(familiar: Matrix, unfamiliar: Matrix) -> float:
    """Chance that an unfamiliar photo is farther away than a familiar one, equals counting half: (n,), (m,)."""
    ordered = np.sort(familiar)
    below, above = (np.searchsorted(ordered, unfamiliar, side).sum() for side in ("left", "right"))
    return float(_ratio((below + above) / 2, len(familiar) * len(unfamiliar)))


def keeping(distances: Matrix, share: float) -> float:
    """The smallest of the distances (n,), n > 0, that is not exceeded by at least `share` of them."""
    return float(np.quantile(distances, share, method="inverted_cdf"))


def flagged_curve(familiar: Matrix, unfamiliar: Matrix, points: int = CURVE_POINTS) -> tuple[Matrix, Matrix, Matrix]:
    """For some limits, increasing: share of familiar photos kept, share of unfamiliar ones flagged, limit; (m,) each.

    The limits are distances of familiar photos.
    """
    shares = np.arange(1, points + 1) / points
    limits = np.unique(np.quantile(familiar, shares, method="inverted_cdf"))
    kept = np.searchsorted(np.sort(familiar), limits, side="right") / len(familiar)
    flagged = 1 - np.searchsorted(np.sort(unfamiliar), limits, side="right") / len(unfamiliar)
    return kept, flagged, limits


def shares_by_group(values: Bools, groups: Ints, count: int) -> Matrix:
    """Share of true values (n,) in each group of `count`, by its index (n,); NaN of empty groups."""
    return _ratio(np.bincount(groups, weights=values, minlength=count), np.bincount(groups, minlength=count))
