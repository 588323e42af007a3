"""The same classifier by Keras, NumPy and scikit-learn: nothing of Orchard but the file of weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

_BATCH = 64


class Photos(NamedTuple):
    """Features float64 (n, 1280), and the first words of the names of the photos' folders, (n,)."""

    features: npt.NDArray[np.float64]
    classes: npt.NDArray[np.str_]


class Scores(NamedTuple):
    """Components that keep 90 % of the variance, accuracy, and balanced accuracy."""

    k: int
    accuracy: float
    balanced_accuracy: float


def read_photos(folder: Path, weights: Path) -> Photos:
    """Features of the JPEGs below a folder by Keras' MobileNetV2, whose `.weights.h5` is `weights`."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    model = tf.keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    model.load_weights(str(weights))
    return read_by(model, folder, 224, mean=127.5, deviation=127.5)


def read_by(model: Any, folder: Path, size: int, *, mean: float, deviation: float) -> Photos:
    """Features of the JPEGs below a folder by a Keras model that takes `(pixels - mean) / deviation`, `size` wide."""
    paths = sorted(folder.rglob("*.jpg"))
    batches = _batches(paths, size)
    features = np.concatenate(
        [model.predict_on_batch((batch - np.float32(mean)) / np.float32(deviation)) for batch in batches]
    )
    return Photos(features.astype(np.float64), np.array([path.parent.name.split()[0] for path in paths]))


def _batches(paths: list[Path], size: int) -> Iterator[npt.NDArray[np.float32]]:
    for start in range(0, len(paths), _BATCH):
        pictures = (Image.open(path).convert("RGB") for path in paths[start : start + _BATCH])
        resized = [np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)) for picture in pictures]
        yield np.stack(resized).astype(np.float32)


def score(training: Photos, test: Photos, regularization: float) -> Scores:
    """Scale, reduce, and fit a balanced multinomial logistic regression on `training`; evaluate it on `test`."""
    scaler = StandardScaler().fit(training.features)
    pca = PCA(0.9, svd_solver="full").fit(scaler.transform(training.features))
    strength = 1 / (regularization * len(training.classes))
    head = LogisticRegression(C=strength, class_weight="balanced", tol=1e-8, max_iter=10_000)
    head.fit(pca.transform(scaler.transform(training.features)), training.classes)
    found = head.predict(pca.transform(scaler.transform(test.features)))
    return Scores(
        int(pca.n_components_),
        float(accuracy_score(test.classes, found)),
        float(balanced_accuracy_score(test.classes, found)),
    )
