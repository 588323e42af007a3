"""Features without photos, alike to real ones: for fits alone. Made when first asked for, untimed."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from orchard.network.backbones import MOBILENET_V2
from orchard.pca import projection
from orchard.pca.moments import Moments
from orchard.tables import columns

FILES = 4  # of a table of features: a run's default number of partitions
# A spectrum like that of the 2,940 photos' features, which need 124 components for 90 % of the variance; 3,000 rows of
# these need 114.
RANK, DECAY, NOISE, SHIFT, DEAD = 300, 0.9, 0.15, 0.1, 32
# Of features with classes: how fast components' variances fall, and how far classes are apart, in standard deviations.
SPECTRUM, APART = 0.94, 0.2


@functools.cache
def features(work: Path, rows: int) -> tuple[str, int]:
    """A folder of made-up features in `work`, and how many components keep 90 % of their variance."""
    matrix, folder = make_features(rows), work / f"features{rows}"
    folder.mkdir()
    for number, part in enumerate(np.array_split(matrix, FILES)):
        pq.write_table(pa.table({"features": columns.float_lists(part)}), folder / f"part-{number:05}.parquet")
    return str(folder), projection.fit(Moments.of(matrix), variance=0.90).k


def make_features(rows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Features (rows, 1280) like a network's after ReLU and pooling: low rank plus noise, some columns zero."""
    random = np.random.default_rng(seed)
    strength = np.arange(1, RANK + 1, dtype=np.float32) ** -DECAY
    loadings = random.standard_normal((RANK, MOBILENET_V2.feature_size), dtype=np.float32)
    loadings *= (strength / np.linalg.norm(strength))[:, None]
    made: npt.NDArray[np.float32] = random.standard_normal((rows, RANK), dtype=np.float32) @ loadings
    made += NOISE * random.standard_normal(made.shape, dtype=np.float32) + SHIFT
    made[:, :DEAD] = 0
    return made.clip(min=0)


@functools.cache
def labelled(work: Path, rows: int, classes: int, k: int) -> str:
    """A folder of made-up features of overlapping classes, of what reduces them to `k` components, and of these."""
    features, of = make_classes(rows, classes, k)
    fitted, folder = projection.fit(Moments.of(features), components=k), work / f"labelled{rows}"
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(rows), FILES)):
        _write_classes(folder / f"features-{number:05}.parquet", "features", features[part], of[part])
    _write_classes(folder / "components.parquet", "components", fitted.transform(features), of)
    np.savez(folder / "projection.npz", **vars(fitted))
    return str(folder)


def make_classes(rows: int, classes: int, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Features (rows, 1280) of rank `k` and the class of each; their components' variances go from about 100 to 0.5."""
    random = np.random.default_rng(rows)
    strength = np.arange(1, k + 1, dtype=np.float32) ** -SPECTRUM
    of = np.sqrt(random.random(rows, np.float32)) * classes  # the last class is the largest
    means = APART * random.standard_normal((classes, k), dtype=np.float32)
    inner = random.standard_normal((rows, k), dtype=np.float32) + means[of.astype(np.int32)]
    loadings = random.standard_normal((k, MOBILENET_V2.feature_size), dtype=np.float32)
    return (inner * np.sqrt(strength)) @ loadings, of.astype(np.int32)


def _write_classes(path: Path, name: str, matrix: npt.NDArray[np.float32], of: npt.NDArray[np.int32]) -> None:
    classes = columns.numbers(of, np.int32, pa.int32())
    pq.write_table(pa.table({name: columns.float_lists(matrix), "class": classes}), path, row_group_size=2048)
