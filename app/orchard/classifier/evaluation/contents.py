"""The content of evaluation.json, from the scores of all photos. Pure."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from orchard.classifier.evaluation import metrics
from orchard.classifier.evaluation.scores import Bools, Numbers, Scores, Unfamiliar
from orchard.classifier.model import Model
from orchard.pca.moments import Matrix

# The share of evaluated photos that a second limit keeps: limits of different classifiers compare at the same share.
KEPT, TOLD_APART = 0.9, 0.5
CALIBRATION_ERROR = (
    f"mean over photos of |mean probability - share of right answers| in {metrics.BINS} equally wide bins of the "
    "largest probability"
)


def sum_up(model: Model, scores: Scores) -> dict[str, Any]:
    """The keys of `evaluation.json` that are about photos of known classes."""
    confusion, right = metrics.confusion_matrix(scores.true, scores.best, len(model.classes)), scores.right
    return {
        "photos": len(right),
        "accuracy": metrics.accuracy(confusion),
        "balanced_accuracy": metrics.balanced_accuracy(confusion),
        "top_3_accuracy": float((scores.rank < 3).mean()),
        "familiar": float((scores.distance <= model.limit).mean()),
        **_without_shared(model, scores),
        "classes": _classes(model, confusion),
        "confusion_matrix": {"classes": list(model.classes), "counts": confusion.tolist()},
        "calibration": _calibration(scores.probability, right),
        "coverage": _coverage(model, scores),
        "labels": _labels(model, scores),
        "mistakes": [asdict(mistake) for mistake in scores.mistakes],
    }


def _without_shared(model: Model, scores: Scores) -> dict[str, float | None]:
    kept = ~scores.shared
    confusion = metrics.confusion_matrix(scores.true[kept], scores.best[kept], len(model.classes))
    return {
        "accuracy_without_shared": _number(metrics.accuracy(confusion)),
        "balanced_accuracy_without_shared": _number(metrics.balanced_accuracy(confusion)),
    }


def _number(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return None if math.isnan(value) else float(value)


def _classes(model: Model, confusion: metrics.Ints) -> dict[str, Any]:
    columns = (*metrics.precision_recall_f1(confusion), confusion.sum(axis=1))
    rows = zip(model.classes, *(column.tolist() for column in columns), strict=True)
    return {
        name: {"precision": _number(precision), "recall": _number(recall), "f1": _number(f1), "support": support}
        for name, precision, recall, f1, support in rows
    }


def _calibration(probability: Matrix, right: Bools) -> dict[str, Any]:
    bins = metrics.calibration(probability, right)
    rows = enumerate(zip(*(column.tolist() for column in bins), strict=True))
    return {
        "definition": CALIBRATION_ERROR,
        "expected_calibration_error": metrics.expected_calibration_error(*bins),
        "bins": [
            {
                "above": number / metrics.BINS,
                "up_to": (number + 1) / metrics.BINS,
                "confidence": _number(confidence),
                "accuracy": _number(share),
                "count": count,
            }
            for number, (confidence, share, count) in rows
        ],
    }


def _coverage(model: Model, scores: Scores) -> dict[str, Any]:
    right, answered = scores.right, ~scores.unsure
    curve = zip(*(column.tolist() for column in metrics.coverage_curve(scores.probability, right)), strict=True)
    return {
        "curve": [{"coverage": a, "accuracy": b, "probability": c} for a, b, c in curve],
        "at_threshold": {
            "threshold": model.threshold,
            "limit": model.limit,
            "coverage": float(answered.mean()),
            "precision": float(right[answered].mean()) if answered.any() else None,
            "photos": int(answered.sum()),
        },
    }


def _labels(model: Model, scores: Scores) -> dict[str, Any]:
    count, right = len(scores.labels), scores.right
    of_label = np.zeros(count, np.int64)
    of_label[scores.label] = scores.true
    shares = {"accuracy": right, "familiar": scores.distance <= model.limit, "answered": ~scores.unsure}
    found = {name: metrics.shares_by_group(values, scores.label, count) for name, values in shares.items()}
    photos = np.bincount(scores.label, minlength=count)
    return {
        label: {
            "class": model.classes[of_label[number]],
            "photos": int(photos[number]),
            **{name: float(values[number]) for name, values in found.items()},
        }
        for number, label in enumerate(scores.labels)
        if photos[number]
    }


def sum_up_unfamiliar(
    model: Model, scores: Scores, unfamiliar: Unfamiliar, left_out: Mapping[str, int]
) -> dict[str, Any]:
    """The key `unfamiliar`: photos of none of the classes, compared with the evaluated ones.

    `left_out` are photos that are of a class of the model, by label.
    """
    familiar, others = scores.distance, scores.distance[~scores.shared]
    wide = metrics.keeping(familiar, KEPT)
    # Photos that were trained on are near to it, and their share makes the limit smaller.
    apart = _at(metrics.keeping(others, KEPT), others, unfamiliar.distance) if len(others) else None
    curve = zip(*(column.tolist() for column in metrics.flagged_curve(familiar, unfamiliar.distance)), strict=True)
    labels = _unfamiliar_labels(model, wide, unfamiliar)
    return {
        "photos": len(unfamiliar.distance),
        "left_out": dict(left_out),
        "at_limit": _at(model.limit, familiar, unfamiliar.distance),
        "at_90_percent_kept": _at(wide, familiar, unfamiliar.distance),
        "at_90_percent_kept_without_shared": apart,
        "unsure": float(unfamiliar.unsure.mean()),
        "auroc": metrics.auroc(familiar, unfamiliar.distance),
        "curve": [{"kept": kept, "flagged": flagged, "limit": limit} for kept, flagged, limit in curve],
        "labels": labels,
        "not_told_apart": [label for label, row in labels.items() if row["flagged"] < TOLD_APART],
    }


def _at(limit: float, familiar: Matrix, unfamiliar: Matrix) -> dict[str, float]:
    return {"limit": limit, "kept": float((familiar <= limit).mean()), "flagged": float((unfamiliar > limit).mean())}


def _unfamiliar_labels(model: Model, wide: float, unfamiliar: Unfamiliar) -> dict[str, Any]:
    def flagged(limit: float) -> list[float]:
        far = unfamiliar.distance > limit
        return [*map(float, metrics.shares_by_group(far, unfamiliar.label, len(unfamiliar.labels)))]

    photos: Numbers = np.bincount(unfamiliar.label, minlength=len(unfamiliar.labels)).astype(np.int32)
    rows = zip(unfamiliar.labels, photos.tolist(), flagged(model.limit), flagged(wide), strict=True)
    return {
        label: {"photos": count, "flagged": narrow, "flagged_at_90_percent_kept": at_wide}
        for label, count, narrow, at_wide in rows
    }
