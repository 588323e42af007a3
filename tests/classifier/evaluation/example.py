"""A small model, and outputs of a run with features to order, made without Spark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from orchard.classifier.model import Model
from orchard.pca.projection import Projection
from orchard.tables import columns, parquet
from orchard.tables.columns import FEATURES
from orchard.tables.output import REPORT, Output, open_output

SIZE = 5
CLASSES = ("Apple", "Cherry", "Tomato")
SETTINGS = {
    "backbone": "mobilenet_v2",
    "fingerprint": "c0",
    "runtime": "litert",
    "decoding": "2",
    "preprocessing": "RGB 224x224 scale 1.0 offset 0.0",
}
# Photos: label, and content, by which their hashes are made.
Photo = tuple[str, str]


def model(**changes: Any) -> Model:
    """Classes by the largest of the first three features; familiar near the means of the classes."""
    projection = Projection(np.zeros(SIZE), np.ones(SIZE), np.eye(SIZE)[:, :3], np.full(SIZE, 1 / SIZE))
    made: dict[str, Any] = {
        "projection": projection,
        "coefficients": np.eye(3) * 2,
        "intercepts": np.zeros(3),
        "classes": CLASSES,
        "references": np.eye(SIZE, dtype=np.float32)[:3],
        "threshold": 0.6,
        "limit": 1.5,
        "settings": SETTINGS,
    }
    return Model(**made | changes)


def features(seed: int, count: int, true: Sequence[int] | None = None, scale: float = 1) -> np.ndarray:
    """Float32 (count, SIZE): noise, around the mean of the `true` class if given."""
    noise = np.random.default_rng(seed).normal(size=(count, SIZE)) * 0.6
    return np.asarray((noise + (np.eye(SIZE)[list(true)] if true is not None else 0)) * scale, np.float32)


def facts(split: str = "labels") -> dict[str, Any]:
    """What an evaluation reads of `classifier.json`."""
    training = {
        "features": "training",
        "photos": 9,
        "rule": "first-word",
        "mapping": {},
        "split": {"kind": split, "holdout": 0.2, "blocks": [], "folds": 5},
        "precision": {"wanted": 0.99, "reached": 0.98, "coverage": 0.7},
        "in_no_fold": [],
    }
    return {"folder": "model-0123456789ab", "training": training}


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def training(photos: Sequence[tuple[str, str, int]]) -> pa.Table:
    """A table as in training.parquet, of path, content and fold; the label is the path's first part."""
    paths = [path for path, _, _ in photos]
    labels, hashes = [path.split("/")[0] for path in paths], [sha256(content) for _, content, _ in photos]
    folds = columns.integers([fold for _, _, fold in photos])
    return pa.table([*map(columns.strings, (paths, labels, hashes)), folds], names=["path", "label", "sha256", "fold"])


def output(
    folder: Path, photos: Sequence[tuple[str, str]], matrix: np.ndarray, input: str = "photos", *, rows: int = 7
) -> Output:
    """An output whose features/ has these photos, by path and content, in files of at most `rows`."""
    made = open_output(str(folder))
    made.claim(SETTINGS, anew=False)
    for first in range(0, len(photos), rows):
        part = photos[first : first + rows]
        paths = [path for path, _ in part]
        texts = paths, [path.split("/")[0] for path in paths], [sha256(content) for _, content in part]
        numbers = columns.integers([1] * len(part)), columns.times([0] * len(part))
        vectors = columns.float_lists(np.ascontiguousarray(matrix[first : first + rows]))
        table = pa.table([*map(columns.strings, texts), *numbers, vectors], schema=FEATURES)
        made.features.append([parquet.write(made.store, "features", first, table)])
    made.store.write(REPORT, json.dumps({"input": {"uri": input}}).encode())
    return made


def first_word(label: str) -> str | None:
    return label.split()[0]
