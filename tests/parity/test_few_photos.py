"""A classifier of a few photos, in seconds: what it answers is what NumPy, scikit-learn and stock pyspark answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from orchard import Classifier
from orchard.classifier.inputs import HELD_OUT, is_trained_on
from orchard.classifier.saved import Saved, read_classifier, read_training
from orchard.network.weights import BakedWeights
from orchard.sample import draw_samples
from pyspark import SparkContext
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql.functions import col
from sklearn.linear_model import LogisticRegression

from tests.classifier.training.made import train_in
from tests.conftest import SHARED
from tests.runs import Output, link_photos, run_in

LAMBDA = 0.05
# Three classes of Fruits-360 by first word, and of each label a frame in ten of its turn.
LABELS = ("Apple 5", "Apple 7", "Apple 8", "Cherry 1", "Cherry 2", "Cherry 4", "Tomato 2", "Tomato 3", "Tomato 4")
STEP = 10


class Made(NamedTuple):
    """Photos, the output of a run on them, and a classifier of that."""

    photos: Path
    output: Output
    saved: Saved


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, weights: BakedWeights, context: SparkContext) -> Made:
    folder = tmp_path_factory.mktemp("few")
    photos = few_photos(folder / "photos")
    output = run_in(context, input=photos, output=folder / "out")
    train_in(context, folder / "classifier", folder / "out", regularization=LAMBDA)
    return Made(photos, output, read_classifier(str(folder / "classifier")))


def few_photos(folder: Path) -> Path:
    """Real photos where there are any, else drawn ones of five classes."""
    root = SHARED / "fruits-360" / "Training"
    if not root.is_dir():
        draw_samples(folder, varieties=5, per_variety=10, seed=5)
        return folder
    frames = [path for label in LABELS for path in sorted((root / label).glob("*.jpg"))[::STEP]]
    return link_photos(folder, root, [str(path.relative_to(root)) for path in frames])


def independent_logits(features: np.ndarray, classes: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Logits (n, classes) of all rows, by scaling and PCA in NumPy and scikit-learn's fit to the rows `used`."""
    trained = features[used]
    std = trained.std(axis=0, ddof=1)
    scaled = (features - trained.mean(axis=0)) / np.where(std > 0, std, 1)
    _, sizes, axes = np.linalg.svd(scaled[used], full_matrices=False)
    kept = np.cumsum(sizes**2) / (sizes**2).sum()
    components = scaled @ axes[: np.searchsorted(kept, 0.9) + 1].T
    strength = 1 / (LAMBDA * len(trained))
    head = LogisticRegression(C=strength, class_weight="balanced", tol=1e-8, max_iter=10_000)
    return np.asarray(head.fit(components[used], classes[used]).decision_function(components))


def test_train_and_predict_are_numpy_and_scikit_learn(made: Made) -> None:
    rows = made.output.rows("features")
    table = read_training(made.saved).sort_by("path")
    folds = np.array(table.column("fold").to_pylist())
    assert table.column("path").to_pylist() == [row["path"] for row in rows]
    classes = np.array([row["label"].split()[0] for row in rows])
    logits = independent_logits(made.output.matrix("features", "features"), classes, is_trained_on(folds))
    powers = np.exp(logits / made.saved.facts["temperature"])
    answers = Classifier.load(made.saved.store.uri).predict([made.photos / row["path"] for row in rows])
    found = np.array([[*answer.probabilities.values()] for answer in answers])
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), atol=1e-4)
    right = np.unique(classes)[logits.argmax(axis=1)] == classes
    evaluation = json.loads(Path(made.saved.store.uri, "evaluation.json").read_text())
    assert evaluation["accuracy"] == pytest.approx(right[folds == HELD_OUT].mean())


def test_stock_pyspark_answers_as_predict(made: Made, spark: SparkSession) -> None:
    features = spark.read.parquet(str(made.output.folder / "features"))
    pipeline = PipelineModel.load(str(Path(made.saved.store.uri, made.saved.facts["pipeline"])))
    rows = pipeline.transform(features.withColumn("features", array_to_vector(col("features")))).collect()
    answers = Classifier.load(made.saved.store.uri).predict([made.photos / row["path"] for row in rows])
    found = np.array([[*answer.probabilities.values()] for answer in answers])
    np.testing.assert_allclose([row["probability"].toArray() for row in rows], found, atol=1e-5)
    assert [row["class"] for row in rows] == [answer.best for answer in answers]
