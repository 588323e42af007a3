"""A classifier of real photos: as good as one made without Orchard, and the same answers wherever it runs."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from orchard import Classifier
from orchard.classifier.saved import read_classifier
from orchard.network.backbones import MOBILENET_V2
from orchard.network.bake.interpreting import open_model
from orchard.network.weights import BakedWeights
from orchard.photos.decoding import decode
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql.functions import col

from bench.independent import read_photos, score
from bench.pictures import write_pictures
from tests.parity.processes import apart
from tests.run.processes import wait_for
from tests.runs import orchard

pytestmark = pytest.mark.slow
# What must be within 0.5 points.
POINTS = 0.005


def call(*words: object) -> dict[str, Any]:
    """The content of what a command prints as JSON."""
    done = orchard(*words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def fruits(tmp_path_factory: pytest.TempPathFactory, shared: Path, weights: BakedWeights) -> Path:
    """Outputs of runs, and a classifier of apples, cherries and tomatoes."""
    folder = tmp_path_factory.mktemp("fruits")
    write_pictures(folder / "pictures")
    inputs = {"training": "Training", "test": "Test", "near": "original-size"}
    places = {name: shared / "fruits-360" / place for name, place in inputs.items()} | {"far": folder / "pictures"}
    for name, place in places.items():
        call("run", "--input", place, "--output", folder / name)
    words = "train", "--features", folder / "training", "--labels", "first-word", "--test", folder / "test"
    call(*words, "--output", folder / "classifier")
    return folder


def test_accuracy_is_that_of_keras_and_scikit_learn(fruits: Path, shared: Path, weights: BakedWeights) -> None:
    found = json.loads((fruits / "classifier" / "evaluation.json").read_text())
    saved = read_classifier(str(fruits / "classifier"))
    path = Path(weights.path(MOBILENET_V2.keras_file))
    training, test = (apart(read_photos, shared / "fruits-360" / name, path) for name in ("Training", "Test"))
    expected = score(training, test, saved.facts["training"]["regularization"])
    assert saved.model.projection.k == expected.k
    assert found["accuracy"] == pytest.approx(expected.accuracy, abs=POINTS)
    assert found["balanced_accuracy"] == pytest.approx(expected.balanced_accuracy, abs=POINTS)


def test_the_leak_between_training_and_test_is_named(fruits: Path) -> None:
    found = json.loads((fruits / "classifier" / "evaluation.json").read_text())["flatters"]
    pairs = {(row["training"], row["evaluated"]): row["photos"] for row in found["shared_folders"]}
    assert pairs == {("Apple Rotten 1", "Apple 21"): 60, ("Apple worm 1", "Apple 22"): 60}
    assert (found["shared_photos"], found["shared_under_other_path"]) == (120, 120)


@pytest.mark.parametrize(("kind", "share"), [("far", 0.99), ("near", 0.75)])
def test_pictures_of_no_class_are_unfamiliar(fruits: Path, tmp_path: Path, kind: str, share: float) -> None:
    words = "evaluate", fruits / "classifier", "--features", fruits / "test", "--unfamiliar", fruits / kind
    found = call(*words, "--output", tmp_path)["unfamiliar"]
    assert found["at_90_percent_kept"]["flagged"] >= share
    assert found["at_90_percent_kept_without_shared"]["flagged"] >= share


def test_the_same_answers_everywhere(fruits: Path, shared: Path, tmp_path: Path, spark: SparkSession) -> None:
    """By stock pyspark, without Spark, on Spark, and by the exported file."""
    saved, photos = read_classifier(str(fruits / "classifier")), shared / "fruits-360" / "Test"
    stock = PipelineModel.load(str(fruits / "classifier" / saved.facts["pipeline"]))
    features = spark.read.parquet(str(fruits / "test" / "features")).withColumn(
        "features", array_to_vector(col("features"))
    )
    rows = stock.transform(features).select("path", "probability", "class").collect()
    call("predict", fruits / "classifier", "--input", photos, "--output", tmp_path / "answers")
    predicted = {row["path"]: row for row in pq.read_table(tmp_path / "answers" / "predictions").to_pylist()}
    call("export", fruits / "classifier", "--output", tmp_path / "fruit.tflite")
    run = open_model((tmp_path / "fruit.tflite").read_bytes())
    chosen = random.Random(0).sample(sorted(predicted), 60)
    single = dict(
        zip(chosen, Classifier.load(str(fruits / "classifier")).predict([photos / p for p in chosen]), strict=True)
    )
    assert len(rows) == len(predicted) == 1080
    for row in rows:
        found = predicted[row["path"]]
        np.testing.assert_allclose(found["probabilities"], row["probability"].toArray(), atol=1e-5)
        assert found["class"] == row["class"]
        if row["path"] in single:
            one = single[row["path"]]
            np.testing.assert_allclose(found["probabilities"], list(one.probabilities.values()), atol=1e-5)
            assert (found["class"], found["unsure"]) == (one.best, one.unsure)
            probabilities, distance = run(decode((photos / row["path"]).read_bytes(), MOBILENET_V2.input_size))
            np.testing.assert_allclose(found["probabilities"], probabilities[0], atol=1e-4)
            assert found["unfamiliarity"] == pytest.approx(float(distance[0]), rel=1e-4)


@pytest.mark.parametrize(("quantize", "tolerance", "loss"), [("float16", 1e-2, 0.002), ("int8", 0.5, 0.05)])
def test_what_quantization_costs(fruits: Path, tmp_path: Path, quantize: str, tolerance: float, loss: float) -> None:
    path = tmp_path / "fruit.tflite"
    found = call("export", fruits / "classifier", "--output", path, "--quantize", quantize)["comparison"]
    assert found["probabilities"]["largest_difference"] <= tolerance
    assert found["accuracy"]["file"] >= found["accuracy"]["classifier"] - loss - 1e-9


def test_a_train_that_is_killed_while_it_writes_leaves_a_whole_classifier(fruits: Path, tmp_path: Path) -> None:
    """The earlier one, or the new one."""
    folder, chance = tmp_path / "c", random.Random(1)
    words = [sys.executable, "-m", "orchard", "train", "--labels", "first-word", "--regularization", "0.1"]
    words += ["--features", str(fruits / "test"), "--output", str(folder), "--class-weight"]
    made = dict[str, str]()
    for weight in ("none", "balanced"):
        subprocess.run([*words, weight], check=True, capture_output=True)
        made[weight] = read_classifier(str(folder)).facts["folder"]
    for _ in range(4):
        before = read_classifier(str(folder)).facts["folder"]
        for left in set(folder.glob("model-*")) - {folder / before}:  # of the one that was killed before
            shutil.rmtree(left)
        (weight,) = (name for name, of_weight in made.items() if of_weight != before)
        with subprocess.Popen(
            [*words, weight], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, text=True
        ) as train:
            assert wait_for((folder / made[weight]).exists, train)
            time.sleep(chance.uniform(0, 0.1))
            train.kill()
        assert read_classifier(str(folder)).facts["folder"] in made.values()
    subprocess.run([*words, "none"], check=True, capture_output=True)
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {made["none"]}
