from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchard.errors import InputError
from orchard.pca.moments import Moments
from orchard.pca.projection import fit, fix_signs, smallest_k
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

TOLERANCE = 1e-6


def draw(rows: int, features: int, *, far: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(rows, features)) @ rng.normal(size=(features, features)) + far
    return mixed.astype(np.float32)


def moments_in_pieces(values: np.ndarray, pieces: int) -> Moments:
    total = Moments.empty(values.shape[1])
    for piece in np.array_split(values, pieces):
        total = total.merge(Moments.of(piece))
    return total


def assert_same_as_sklearn(values: np.ndarray, *, pieces: int) -> None:
    fitted = fit(moments_in_pieces(values, pieces), variance=0.9)
    # scikit-learn's scaler divides by n, ours as Spark's by n - 1: the same direction and ratio, another length.
    scaled = StandardScaler().fit_transform(values.astype(np.float64)) * np.sqrt((len(values) - 1) / len(values))
    expected = PCA(svd_solver="full").fit(scaled)
    rank = len(fitted.explained_variance_ratio)
    np.testing.assert_allclose(
        fitted.explained_variance_ratio, expected.explained_variance_ratio_[:rank], atol=TOLERANCE
    )
    np.testing.assert_allclose(expected.explained_variance_ratio_[rank:], 0, atol=TOLERANCE)
    np.testing.assert_allclose(fitted.loadings, fix_signs(expected.components_[: fitted.k].T), atol=TOLERANCE)
    np.testing.assert_allclose(
        fitted.transform(values), (scaled @ fix_signs(expected.components_[: fitted.k].T)), atol=1e-4
    )


@pytest.mark.parametrize("shape", [(12, 40), (41, 40), (400, 40), (2, 5)])
@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_pca_is_scikit_learns(shape: tuple[int, int], pieces: int) -> None:
    assert_same_as_sklearn(draw(*shape), pieces=pieces)


def test_constant_features_stay_zero() -> None:
    values = draw(60, 20)
    values[:, [3, 11]] = 0.1
    fitted = fit(moments_in_pieces(values, 4))
    assert (fitted.std[[3, 11]] == 0).all()
    np.testing.assert_allclose(fitted.loadings[[3, 11]], 0, atol=1e-12)
    assert_same_as_sklearn(values, pieces=4)


def test_values_far_from_zero_keep_their_precision() -> None:
    near = np.random.default_rng(1).integers(-100, 100, size=(300, 16)).astype(np.float64)
    fitted, far = fit(moments_in_pieces(near, 5)), fit(moments_in_pieces(near + 1e9, 5))
    np.testing.assert_allclose(far.std, fitted.std, rtol=1e-9)
    np.testing.assert_allclose(far.explained_variance_ratio, fitted.explained_variance_ratio, atol=TOLERANCE)
    np.testing.assert_allclose(far.loadings, fitted.loadings, atol=TOLERANCE)


@settings(deadline=None)
@given(st.integers(0, 40), st.lists(st.integers(0, 40), max_size=4), st.integers(0, 1000))
def test_merging_equals_computing_at_once(rows: int, cuts: list[int], seed: int) -> None:
    values = draw(rows, 9, far=50, seed=seed)
    total = Moments.empty(9)
    for piece in np.split(values, sorted(min(cut, rows) for cut in cuts)):
        total = total.merge(Moments.of(piece))
    assert total.count == rows
    if rows:
        np.testing.assert_allclose(total.mean, values.mean(axis=0, dtype=np.float64), rtol=1e-12)
        exact = values - values.mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(total.cross_products(), exact.T @ exact, atol=1e-8 * max(1, rows))


def test_largest_loading_of_each_component_is_positive() -> None:
    loadings = fit(Moments.of(draw(50, 12)), variance=1.0).loadings
    assert (loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])] > 0).all()
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(loadings.shape[1]), atol=1e-9)


@pytest.mark.parametrize(("target", "k"), [(0.5, 1), (0.5000001, 2), (0.8, 2), (1.0, 3)])
def test_smallest_k(target: float, k: int) -> None:
    assert smallest_k(np.array([0.5, 0.3, 0.2]), target) == k


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_photos(rows: int) -> None:
    with pytest.raises(InputError, match=f"at least 2 featurized photos, got {rows}"):
        fit(Moments.of(draw(rows, 5)))


def test_more_components_than_the_rank() -> None:
    with pytest.raises(InputError, match="--components 8 is more than the 7 that 8 photos give"):
        fit(Moments.of(draw(8, 20)), components=8)
    assert fit(Moments.of(draw(8, 20)), components=7).k == 7


def test_photos_without_variance() -> None:
    with pytest.raises(InputError, match="same features"):
        fit(Moments.of(np.full((5, 3), 0.3, np.float32)))
