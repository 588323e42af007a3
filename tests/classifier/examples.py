"""A random but valid classifier, of any sizes."""

from __future__ import annotations

import numpy as np
from orchard.classifier.model import Model
from orchard.network.backbones import MOBILENET_V2
from orchard.pca.projection import Projection
from orchard.photos.decoding import DECODING_VERSION

SETTINGS = {
    "backbone": MOBILENET_V2.name,
    "fingerprint": MOBILENET_V2.fingerprint,
    "runtime": "litert",
    "decoding": str(DECODING_VERSION),
    "preprocessing": MOBILENET_V2.preprocessing,
}
TRAINING = {
    "features": "out",
    "photos": 30,
    "rule": "folder",
    "mapping": {},
    "split": {"kind": "labels", "holdout": 0.2, "blocks": [], "folds": 5},
    "precision": {"wanted": 0.99, "reached": 0.98, "coverage": 0.7},
    "in_no_fold": [],
}
FACTS = {"temperature": 1.25, "training": TRAINING, "versions": {"orchard": "0"}}


def make_model(
    classes: int = 3, features: int = 12, k: int = 4, *, references: int = 5, constant: int = 0, seed: int = 0
) -> Model:
    """A classifier that says something of features of mean 0 and variance 1.

    The first `constant` features never changed in its training: their standard deviation is 0. Some of such features
    are within `limit` of a reference, and some are not.
    """
    rng = np.random.default_rng(seed)
    std = rng.uniform(0.5, 2, features)
    std[:constant] = 0
    loadings = np.linalg.qr(rng.normal(size=(features, k)))[0]
    ratio = np.sort(rng.dirichlet(np.ones(features)))[::-1]
    intercepts = rng.normal(size=classes)
    return Model(
        projection=Projection(rng.normal(size=features) / 10, std, np.ascontiguousarray(loadings), ratio),
        coefficients=rng.normal(size=(classes, k)),
        intercepts=intercepts - intercepts.mean(),
        classes=tuple(f"Class {number} é" for number in range(classes)),
        references=rng.normal(size=(references, features)).astype(np.float32),
        threshold=1.2 / (classes + 0.2),
        limit=float(np.sqrt(2 * features)),
        settings=SETTINGS,
    )
