"""A fitted classifier as arrays: what is computed of features, without Spark. Pure NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from orchard.pca.moments import Matrix
from orchard.pca.projection import Projection, inverse_or_zero


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of n photos.

    Attributes:
        probabilities: float64 (n, classes), calibrated.
        unfamiliarity: float64 (n,), the distance to what the classifier was trained on, see `Model.distances`.
        unsure: bool (n,), whether the answer is "unsure": the largest probability is below the model's threshold, or
            the unfamiliarity is above its limit.
    """

    probabilities: Matrix
    unfamiliarity: Matrix
    unsure: npt.NDArray[np.bool_]

    @property
    def best(self) -> npt.NDArray[np.intp]:
        """Index of the most probable class, (n,); the first of equals."""
        return np.asarray(self.probabilities.argmax(axis=1), np.intp)


@dataclass(frozen=True)
class Model:
    """Standard scaling, PCA and multinomial logistic regression; and when to trust them.

    Attributes:
        projection: the scaling and PCA.
        coefficients: float64 (classes, k), divided by the temperature.
        intercepts: float64 (classes,), divided by the temperature, of mean 0.
        classes: names, in order of the rows of `coefficients`.
        references: float32 (references, features), means of training photos: of consecutive frames of each label.
        threshold: the smallest probability with which a class is answered.
        limit: the largest distance to the nearest reference of a familiar photo.
        settings: what features must be made with: backbone, fingerprint, runtime, decoding, as of `orchard.plan`.
    """

    projection: Projection
    coefficients: Matrix
    intercepts: Matrix
    classes: tuple[str, ...]
    references: npt.NDArray[np.float32]
    threshold: float
    limit: float
    settings: Mapping[str, str]

    @cached_property
    def weights(self) -> Matrix:
        """Scaling, PCA and head as one matrix, float64 (features, classes), for features less their mean."""
        scale = inverse_or_zero(self.projection.std)
        return np.asarray(scale[:, np.newaxis] * (self.projection.loadings @ self.coefficients.T))

    def probabilities(self, features: npt.NDArray[np.floating]) -> Matrix:
        """(n, features) of any float type -> float64 (n, classes)."""
        return softmax((features - self.projection.mean) @ self.weights + self.intercepts)

    def distances(self, features: npt.NDArray[np.floating]) -> Matrix:
        """Euclidean distance to the nearest reference: (n, features) of any float type -> float64 (n,)."""
        return np.asarray(np.sqrt(squared_distances(features, self.references).min(axis=1)))

    def predict(self, features: npt.NDArray[np.floating]) -> Predictions:
        """What the classifier says of (n, features)."""
        return self.judge(self.probabilities(features), self.distances(features))

    def judge(self, probabilities: Matrix, distances: Matrix) -> Predictions:
        """What is answered for these probabilities (n, classes) and distances (n,), whatever computed them."""
        unsure = (probabilities.max(axis=1) < self.threshold) | (distances > self.limit)
        return Predictions(probabilities, distances, unsure)


def softmax(logits: Matrix) -> Matrix:
    """exp(logits) of each row (n, classes), divided by their sum."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def squared_distances(features: npt.NDArray[np.floating], references: npt.NDArray[np.floating]) -> Matrix:
    """Squared Euclidean distances, float64 (n, references), of (n, features) from (references, features)."""
    points, centres = features.astype(np.float64), references.astype(np.float64)
    squares = (points**2).sum(axis=1)[:, np.newaxis] + (centres**2).sum(axis=1)
    return np.asarray(np.maximum(squares - 2 * points @ centres.T, 0))
