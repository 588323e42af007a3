"""What an exported file answers, compared with the classifier it was made from, and how long both take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.classifier.model import Model, Predictions
from orchard.network.bake.interpreting import open_model
from orchard.network.runtimes import Pixels, Predict

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """What was measured on some photos.

    Attributes:
        photos: how many.
        accuracy: shares of right answers, of the classifier and of the file, where the classes are known.
        equal: share of photos with the same answer, be it a class or "unsure".
        largest, mean: absolute differences of probabilities.
        unfamiliarity: largest difference, relative to the value, or to the limit where the value is smaller.
        milliseconds: a photo, medians: of the backbone alone, with its preprocessing, and of the file.
    """

    photos: int
    accuracy: tuple[float, float] | None
    equal: float
    largest: float
    mean: float
    unfamiliarity: float
    milliseconds: tuple[float, float]

    def facts(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "photos": self.photos,
            "accuracy": self.accuracy and dict(zip(("classifier", "file"), self.accuracy, strict=True)),
            "equal_answers": self.equal,
            "probabilities": {"largest_difference": self.largest, "mean_difference": self.mean},
            "unfamiliarity": {"largest_relative_difference": self.unfamiliarity},
            "milliseconds": dict(zip(("backbone", "file"), self.milliseconds, strict=True)),
        }


def compare(
    model: Model, predict: Predict, content: bytes, pixels: Pixels, classes: Sequence[str | None]
) -> Comparison:
    """Run both on the same pixels (n, height, width, 3), photo by photo in turn; `classes` are the true ones."""
    run = open_model(content)
    features, probabilities, distances, seconds = [], [], [], []
    for one in pixels:
        started = time.perf_counter()
        features.append(predict(one[np.newaxis])[0])
        between = time.perf_counter()
        chances, distance = run(one)
        seconds.append((between - started, time.perf_counter() - between))
        probabilities.append(chances[0])
        distances.append(distance[0])
    exact = model.predict(np.stack(features))
    found = model.judge(np.stack(probabilities).astype(np.float64), np.array(distances, np.float64))
    return _compare(model, exact, found, classes, np.array(seconds))


def _compare(
    model: Model, exact: Predictions, found: Predictions, classes: Sequence[str | None], seconds: Numbers
) -> Comparison:
    differences = np.abs(found.probabilities - exact.probabilities)
    scale = np.maximum(exact.unfamiliarity, model.limit)
    scale[scale == 0] = 1  # of copies of one photo
    same = np.where(exact.unsure, found.unsure, ~found.unsure & (found.best == exact.best))
    milliseconds = np.median(seconds, axis=0) * 1000
    return Comparison(
        photos=len(differences),
        accuracy=_accuracy(model, exact, found, classes),
        equal=float(same.mean()),
        largest=float(differences.max()),
        mean=float(differences.mean()),
        unfamiliarity=float((np.abs(found.unfamiliarity - exact.unfamiliarity) / scale).max()),
        milliseconds=(float(milliseconds[0]), float(milliseconds[1])),
    )


def _accuracy(
    model: Model, exact: Predictions, found: Predictions, classes: Sequence[str | None]
) -> tuple[float, float] | None:
    known = np.array([name is not None for name in classes])
    if not known.any():
        return None
    right = [np.array(model.classes)[said.best] == np.array(classes, object) for said in (exact, found)]
    return float(right[0][known].mean()), float(right[1][known].mean())
