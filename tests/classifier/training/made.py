"""Features to train on, made without photos: clusters, a label each, near the direction of its class."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from orchard.classifier.options import TrainOptions
from orchard.classifier.training.train import train
from orchard.console import Reporter
from pyspark import SparkContext

from tests.classifier.evaluation.example import output
from tests.runs import opening

SIZE = 12
# Class by class, the labels and how many photos each has.
LABELS = {"Apple 1": 14, "Apple 2": 9, "Apple 3": 11, "Cherry 1": 12, "Cherry 2": 8, "Plum 1": 30}


def make_features(
    folder: Path, labels: Mapping[str, int] = LABELS, *, seed: int = 0, noise: float = 0.8, rows: int = 7
) -> Path:
    """An output in a folder, whose features are noise around a mean of the label, which is near that of its class."""
    random, classes = np.random.default_rng(seed), sorted({label.split()[0] for label in labels})
    photos, vectors = list[tuple[str, str]](), list[np.ndarray]()
    for label, count in labels.items():
        mean = 3 * np.eye(SIZE)[classes.index(label.split()[0])] + random.normal(0, 0.4, SIZE)
        photos += [(f"{label}/{frame}.jpg", f"{seed} {label} {frame}") for frame in range(count)]
        vectors.append(np.maximum(mean + random.normal(0, 0.8, (count, SIZE)), 0))
    output(folder, photos, np.concatenate(vectors).astype(np.float32), rows=rows)
    return folder


def train_in(
    context: SparkContext, folder: Path, features: Path, *, log: TextIO | None = None, **options: Any
) -> dict[str, Any]:
    """A training in a Spark context that stays open."""
    wanted = {"labels": "first-word", "features": str(features), "output": str(folder), **options}
    return train(TrainOptions(**wanted), Reporter(log or io.StringIO()), open_context=opening(context))
