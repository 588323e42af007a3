"""The saved pipeline: what stock pyspark.ml makes of it, and what it saves itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.model import Model
from orchard.classifier.pipeline import pipeline_files, read_pipeline
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import PCA, IndexToString, StandardScaler
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col

from tests.classifier.examples import make_model

STAGES = ["0_orchard_scaler", "1_orchard_pca", "2_orchard_logistic_regression", "3_orchard_classes"]


def save(model: Model, folder: Path) -> None:
    for path, content in pipeline_files(model, spark_version="3.5.6").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def vectors(spark: SparkSession, features: np.ndarray) -> DataFrame:
    rows = [(number, row.tolist()) for number, row in enumerate(features)]
    return spark.createDataFrame(rows, "number int, values array<double>").withColumn(
        "features", array_to_vector(col("values"))
    )


@pytest.mark.parametrize(("classes", "constant"), [(2, 0), (2, 3), (3, 0), (7, 1)])
def test_pipeline_in_stock_pyspark(classes: int, constant: int, spark: SparkSession, tmp_path: Path) -> None:
    model = make_model(classes, 20, 6, constant=constant)
    save(model, tmp_path / "pipeline")
    features = np.random.default_rng(1).normal(scale=2, size=(40, 20))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    rows = loaded.transform(vectors(spark, features)).orderBy("number").collect()
    expected = model.probabilities(features)
    np.testing.assert_allclose([row["probability"].toArray() for row in rows], expected, rtol=0, atol=1e-12)
    assert [row["class"] for row in rows] == [model.classes[index] for index in expected.argmax(axis=1)]
    components = [row["components"].toArray() for row in rows]
    np.testing.assert_allclose(components, model.projection.transform(features), rtol=1e-5, atol=1e-5)


def stock_folder(spark: SparkSession, folder: Path) -> Path:
    """What pyspark saves of the same four stages, fitted by itself."""
    frame = vectors(spark, np.random.default_rng(0).normal(size=(60, 12))).withColumn("label", col("number") % 3)
    stages: list[Any] = [
        StandardScaler(inputCol="features", outputCol="scaled", withMean=True, withStd=True),
        PCA(k=4, inputCol="scaled", outputCol="components"),
        LogisticRegression(featuresCol="components", family="multinomial", maxIter=2),
        IndexToString(inputCol="prediction", outputCol="class", labels=["a", "é", "c"]),
    ]
    Pipeline(stages=stages).fit(frame).save(str(folder))
    return folder


def kinds_of_files(folder: Path) -> list[str]:
    """Paths without the names that Spark draws, and without its checksums."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".crc"]
    return sorted(
        "/".join(part.partition("_")[0] or part for part in path.parent.parts) + "/" + path.name.partition("-")[0]
        for path in paths
    )


def test_pipeline_files_as_pyspark_saves(spark: SparkSession, tmp_path: Path) -> None:
    save(make_model(), tmp_path / "ours")
    ours, stock = tmp_path / "ours", stock_folder(spark, tmp_path / "stock")
    assert kinds_of_files(ours) == kinds_of_files(stock)
    for one, other in zip(metadata(ours), metadata(stock), strict=True):
        assert list(one) == list(other)
        assert one["class"] == other["class"]
        assert one["paramMap"].keys() >= other["paramMap"].keys() - {"maxIter"}
    for number in range(3):
        (one_file,), (other_file,) = (
            list(folder.glob(f"stages/{number}_*/data/*.parquet")) for folder in (ours, stock)
        )
        one, other = pq.read_schema(one_file), pq.read_schema(other_file)
        assert one.equals(other)
        kept = b"org.apache.spark.sql.parquet.row.metadata"
        assert json.loads(one.metadata[kept]) == json.loads(other.metadata[kept])


def metadata(folder: Path) -> list[dict[str, Any]]:
    files = [folder / "metadata" / "part-00000", *sorted(folder.glob("stages/*/metadata/part-00000"))]
    return [json.loads(file.read_bytes()) for file in files]


def test_read_pipeline_pyspark_saved_again(spark: SparkSession, tmp_path: Path) -> None:
    save(make_model(), tmp_path / "ours")
    PipelineModel.load(str(tmp_path / "ours")).save(str(tmp_path / "again"))
    for stage in STAGES[:3]:
        one, other = (
            spark.read.parquet(str(tmp_path / which / "stages" / stage / "data")) for which in ("ours", "again")
        )
        assert one.schema == other.schema
        assert one.collect() == other.collect()


@given(st.integers(2, 6), st.integers(1, 15), st.data(), st.integers(0, 2**32 - 1))
def test_read_pipeline_is_the_inverse(classes: int, features: int, data: st.DataObject, seed: int) -> None:
    model = make_model(classes, features, data.draw(st.integers(1, features)), seed=seed)
    files = pipeline_files(model, spark_version="3.5.6")
    assert files == pipeline_files(model, spark_version="3.5.6")
    projection, coefficients, intercepts, names = read_pipeline(files)
    for name in ("mean", "std", "loadings"):
        np.testing.assert_array_equal(getattr(projection, name), getattr(model.projection, name))
    ratio = model.projection.explained_variance_ratio[: projection.k]
    np.testing.assert_array_equal(projection.explained_variance_ratio, ratio)
    np.testing.assert_array_equal(coefficients, model.coefficients)
    np.testing.assert_array_equal(intercepts, model.intercepts)
    assert names == model.classes
