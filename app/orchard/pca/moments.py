"""Mean and centred cross-products of feature vectors as a mergeable state. Pure NumPy, float64.

While there are fewer rows than features the cross-products are kept as a factor, `factor.T @ factor`, which is smaller
and lets the eigenproblem be solved in rows x rows; from then on as the (features, features) matrix itself. Merging
follows Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """What a set of feature vectors leaves behind for scaling and PCA.

    Attributes:
        count: number of vectors.
        mean: float64 (features,).
        factor: float64 (rows, features) whose Gram matrix is the centred cross-products, or None.
        cross: float64 (features, features), the centred cross-products themselves, or None; one of the two is set.
    """

    count: int
    mean: Matrix
    factor: Matrix | None = None
    cross: Matrix | None = None

    @classmethod
    def empty(cls, features: int) -> Self:
        """The moments of no vector at all."""
        return cls(0, np.zeros(features), factor=np.zeros((0, features)))

    @classmethod
    def of(cls, vectors: npt.NDArray[np.floating]) -> Self:
        """The moments of `vectors` (n, features), of any float type."""
        if len(vectors) == 0:
            return cls.empty(vectors.shape[1])
        # Shifting by a row first keeps precision far from zero and makes a constant feature's deviations exactly 0.
        first = vectors[0].astype(np.float64)
        centred = vectors - first
        shift = centred.mean(axis=0)
        centred -= shift
        return cls(len(vectors), first + shift, factor=centred)._compact()

    def merge(self, other: Self) -> Self:
        """The moments of both sets together; equal up to rounding in whatever order sets are merged."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        between = delta * np.sqrt(self.count * other.count / count)
        if self.factor is not None and other.factor is not None:
            return type(self)(count, mean, factor=np.vstack([self.factor, other.factor, between]))._compact()
        return type(self)(
            count, mean, cross=self.cross_products() + other.cross_products() + np.outer(between, between)
        )

    def cross_products(self) -> Matrix:
        """Centred cross-products, float64 (features, features)."""
        if self.cross is not None:
            return self.cross
        assert self.factor is not None
        return self.factor.T @ self.factor

    def variance(self) -> Matrix:
        """Sample variance (n - 1) of each feature, float64 (features,); needs two vectors or more."""
        if self.count < 2:
            raise ValueError(f"a sample variance needs 2 vectors or more, got {self.count}")
        if self.factor is not None:
            return np.asarray(np.einsum("ij,ij->j", self.factor, self.factor) / (self.count - 1))
        return np.asarray(np.diag(self.cross_products()) / (self.count - 1))

    def _compact(self) -> Self:
        if self.factor is None or len(self.factor) <= len(self.mean):
            return self
        return type(self)(self.count, self.mean, cross=self.cross_products())
