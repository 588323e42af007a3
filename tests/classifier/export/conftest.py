"""A classifier of the drawn photos, and its file."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from orchard.classifier.export.export import export
from orchard.classifier.model import Model
from orchard.classifier.options import ExportOptions
from orchard.classifier.saved import write_classifier
from orchard.console import Reporter
from orchard.network.backbones import MOBILENET_V2
from orchard.network.runtimes import Pixels, make_predict
from orchard.network.weights import BakedWeights
from orchard.pca.projection import Projection
from orchard.photos.decoding import decode
from orchard.storage.stores import LocalStore
from orchard.tables import columns
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from tests.classifier.examples import FACTS, SETTINGS, TRAINING


@dataclass(frozen=True)
class Made:
    """A saved classifier, the photos it was trained on, and their features."""

    uri: str
    model: Model
    photos: list[Path]
    pixels: Pixels
    features: np.ndarray


def fit(features: np.ndarray, labels: list[str]) -> Model:
    mean, std = features.mean(axis=0, dtype=np.float64), features.std(axis=0, ddof=1, dtype=np.float64)
    scaled = (features - mean) * np.divide(1, std, out=np.zeros_like(std), where=std > 0)
    pca = PCA(6, svd_solver="full").fit(scaled)
    head = LogisticRegression(C=1e-3).fit(pca.transform(scaled), labels)
    projection = Projection(mean, std, pca.components_.T, pca.explained_variance_ratio_)
    parts = projection, head.coef_, head.intercept_ - head.intercept_.mean(), tuple(head.classes_)
    model = Model(*parts, features[::5].astype(np.float32), threshold=0.0, limit=1.0, settings=SETTINGS)
    said = model.predict(features)
    threshold, limit = np.quantile(said.probabilities.max(axis=1), 0.3), np.quantile(said.unfamiliarity, 0.7)
    return Model(*parts, model.references, threshold=float(threshold), limit=float(limit), settings=SETTINGS)


@pytest.fixture(scope="session")
def made(weights: BakedWeights, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    photos = sorted(drawn.rglob("*.jpg"))
    pixels = np.stack([decode(path.read_bytes(), MOBILENET_V2.input_size) for path in photos])
    features = make_predict(MOBILENET_V2, "litert", weights.folder)(pixels)
    labels = [path.parent.name for path in photos]
    model, uri = fit(features, labels), str(tmp_path_factory.mktemp("export") / "classifier")
    mapping = {label: label for label in sorted(set(labels))}
    facts = {**FACTS, "training": {**TRAINING, "input": str(drawn), "rule": "folder", "mapping": mapping, "test": None}}
    texts = [path.relative_to(drawn).as_posix() for path in photos], labels, ["" for _ in photos]
    folds = columns.integers([-1 if number % 3 == 0 else number % 3 for number in range(len(photos))])
    training = pa.table([*map(columns.strings, texts), folds], names=["path", "label", "sha256", "fold"])
    write_classifier(LocalStore(uri), model, training, facts, spark_version="3.5.6")
    return Made(uri, model, photos, pixels, features)


def run_export(made: Made, output: str | Path, **options: Any) -> dict[str, Any]:
    """An export in this process. TensorFlow warns of its own deprecations, and in tests warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return export(ExportOptions(classifier=made.uri, output=str(output), **options), Reporter(io.StringIO()))


@pytest.fixture(scope="session")
def exported(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A float32 file, and what the export said of it."""
    path = tmp_path_factory.mktemp("exported") / "fruit.tflite"
    return path, run_export(made, path)
