"""Standard scaling followed by PCA, solved from moments. Pure NumPy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from orchard.errors import InputError
from orchard.pca.moments import Matrix, Moments


@dataclass(frozen=True)
class Projection:
    """A fitted standard scaling + PCA.

    Attributes:
        mean: float64 (features,).
        std: float64 (features,), sample standard deviation (n - 1); 0 where a feature never changes.
        loadings: float64 (features, k), orthonormal columns, largest-magnitude entry of each positive.
        explained_variance_ratio: float64 (rank,), of every component there is, largest first.
    """

    mean: Matrix
    std: Matrix
    loadings: Matrix
    explained_variance_ratio: Matrix

    @property
    def k(self) -> int:
        """Number of components kept."""
        return int(self.loadings.shape[1])

    def transform(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(n, features) of any float type -> float32 (n, k); computed in float64."""
        scaled = (features - self.mean) * inverse_or_zero(self.std)
        return np.asarray(scaled @ self.loadings, np.float32)


def fit(moments: Moments, *, variance: float = 0.90, components: int | None = None) -> Projection:
    """Standardise and reduce to `components`, or to the fewest that keep the share `variance`.

    Raises:
        InputError: fewer than 2 vectors, all of them equal, or `components` above the rank.
    """
    check_enough(moments.count, None)
    # One thread: OpenBLAS's wait for each other by spinning, and on a busy machine that took 8 s instead of 0.4.
    with threadpool_limits(1, user_api="blas"):
        return _fit(moments, variance, components)


def _fit(moments: Moments, variance: float, components: int | None) -> Projection:
    std = np.sqrt(moments.variance())
    eigenvalues, vectors = _principal_axes(moments, inverse_or_zero(std))
    if not len(eigenvalues):
        raise InputError(f"all {moments.count} photos have the same features: there is no variance for PCA to keep")
    ratio = eigenvalues / eigenvalues.sum()
    k = components or smallest_k(ratio, variance)
    check_enough(moments.count, k, len(ratio))
    return Projection(moments.mean, std, fix_signs(vectors(k)), ratio)


def check_enough(photos: int, components: int | None, rank: int | None = None) -> None:
    """Raise `InputError` where `photos` are too few for a PCA, or for so many components, of which there are `rank`."""
    if photos < 2:
        raise InputError(f"PCA needs at least 2 featurized photos, got {photos}: give it more photos")
    most = photos - 1 if rank is None else rank
    if components and components > most:
        raise InputError(
            f"--components {components} is more than the {most} that {photos} photos give: ask for {most} or fewer"
        )


def smallest_k(ratio: Matrix, variance: float) -> int:
    """The smallest k whose cumulative ratio is at least `variance`."""
    reached = np.cumsum(ratio) >= variance - 1e-12  # so that a target of 1.0 is reachable in float64
    return int(np.argmax(reached)) + 1 if reached.any() else len(ratio)


def fix_signs(loadings: Matrix) -> Matrix:
    """Flip columns so that the entry of largest magnitude in each is positive."""
    magnitude = np.abs(loadings)
    # The first of equals, where rounding may favour any: two photos give loadings that are all of one magnitude.
    first = (magnitude >= magnitude.max(axis=0) * (1 - 1e-9)).argmax(axis=0)
    largest = loadings[first, np.arange(loadings.shape[1])]
    return loadings * np.where(largest < 0, -1.0, 1.0)


def inverse_or_zero(values: Matrix) -> Matrix:
    """1 / value, and 0 where the value is 0: a feature that never changes carries nothing."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)


def _principal_axes(moments: Moments, scale: Matrix) -> tuple[Matrix, Callable[[int], Matrix]]:
    """Eigenvalues above rounding, largest first, and a function from k to the first k eigenvectors (features, k)."""
    if moments.factor is None:
        values, vectors = _eigh(moments.cross_products() * np.outer(scale, scale))
        return values, lambda k: vectors[:, :k]
    # The rows x rows Gram matrix has the same non-zero eigenvalues, and is the smaller problem.
    factor = moments.factor * scale
    values, vectors = _eigh(factor @ factor.T)
    return values, lambda k: np.linalg.qr(factor.T @ (vectors[:, :k] / np.sqrt(values[:k])))[0]


def _eigh(symmetric: Matrix) -> tuple[Matrix, Matrix]:
    values, vectors = np.linalg.eigh(symmetric)
    values, vectors = values[::-1], vectors[:, ::-1]
    # The usual numerical rank, as in numpy.linalg.matrix_rank, on eigenvalues.
    kept = (values > max(values[0], 0.0) * len(values) * np.finfo(np.float64).eps) & (values > 0)
    return values[: int(kept.sum())], vectors
