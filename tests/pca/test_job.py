from __future__ import annotations

import functools
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.errors import InputError, OutputError
from orchard.pca import job, projection
from orchard.pca.model import model_files, model_number, read_model, write_model
from orchard.pca.moments import Moments
from orchard.pca.projection import Projection, fix_signs
from orchard.storage.stores import open_store
from orchard.tables import columns, parquet
from orchard.tables.parquet import DataFile
from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.ml import PipelineModel
from pyspark.ml.feature import PCA, PCAModel, StandardScaler, StandardScalerModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql.functions import col

TOLERANCE = 1e-6


def files_of(folder: Path, values: np.ndarray, files: int) -> list[DataFile]:
    """A table of features in several parquet files of a store at `folder`."""
    names = [f"a/{index}.jpg" for index in range(len(values))]
    written = []
    for number, rows in enumerate(np.array_split(np.arange(len(values)), files)):
        paths = columns.strings([names[row] for row in rows])
        vectors = columns.float_lists(values[rows].astype(np.float32))
        table = pa.table({"path": paths, "label": columns.strings(["a"] * len(rows)), "features": vectors})
        written.append(parquet.write(open_store(str(folder)), "features", number, table))
    return written


def fit(context: SparkContext, folder: Path, files: list[DataFile], **options: object) -> Projection:
    return job.fit(context, open_store(str(folder)), files, **options)  # type: ignore[arg-type]


def read_vectors(spark: SparkSession, folder: Path, files: list[DataFile]) -> object:
    return spark.read.parquet(*(str(folder / file.key) for file in files))


def draw(rows: int, features: int, far: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(rows, features)) @ rng.normal(size=(features, features)) + far
    values[:, 2] = 7.5  # a feature that never changes
    return values


@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(1, 200))
def test_group_files_keeps_order_and_balances_rows(rows: list[int], slots: int) -> None:
    files = [DataFile(f"{number}", 1, count) for number, count in enumerate(rows)]
    groups = job.group_files(files, slots)
    assert [key for group in groups for key in group] == [file.key for file in files]
    assert 1 <= len(groups) <= max(1, min(slots, len(files), job.MOST_TASKS))
    if len(groups) > 1:
        fair = sum(rows) / min(slots, len(files), job.MOST_TASKS)
        assert max(sum(rows[int(key)] for key in group) for group in groups) <= fair + max(rows)


@pytest.mark.parametrize("shape", [(25, 40), (120, 30)], ids=["rows<features", "rows>features"])
@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_fit_is_stock_pyspark_ml(spark: SparkSession, shape: tuple[int, int], far: float, tmp_path: Path) -> None:
    files = files_of(tmp_path, draw(*shape, far), 3)
    fitted = fit(spark.sparkContext, tmp_path, files, feature_size=shape[1], variance=0.9)
    frame = spark.read.parquet(*(str(tmp_path / file.key) for file in files))
    vectors = frame.select(array_to_vector(col("features")).alias("v"))
    scaler = StandardScaler(inputCol="v", outputCol="s", withMean=True, withStd=True).fit(vectors)
    pca = PCA(k=fitted.k, inputCol="s", outputCol="p").fit(scaler.transform(vectors))
    ratio = fitted.explained_variance_ratio[: fitted.k]
    np.testing.assert_allclose(fitted.mean, scaler.mean.toArray(), rtol=1e-12)
    np.testing.assert_allclose(fitted.std, scaler.std.toArray(), atol=1e-9)
    np.testing.assert_allclose(ratio, pca.explainedVariance.toArray(), atol=TOLERANCE)
    np.testing.assert_allclose(fitted.loadings, fix_signs(pca.pc.toArray()), atol=TOLERANCE)


@pytest.mark.parametrize("files", [2, 7, 80])
def test_fit_in_any_partitioning(context: SparkContext, files: int, tmp_path: Path) -> None:
    one = fit(context, tmp_path, files_of(tmp_path, draw(60, 20), 1), feature_size=20)
    many = fit(context, tmp_path, files_of(tmp_path, draw(60, 20), files), feature_size=20)
    np.testing.assert_allclose(many.loadings, one.loadings, atol=1e-9)


def test_fit_is_the_merge_of_its_tasks(context: SparkContext, tmp_path: Path) -> None:
    files = files_of(tmp_path, draw(200, 20), 12)
    groups = job.group_files(files, context.defaultParallelism)
    states = [job.moments_of(open_store(str(tmp_path)), 20, group) for group in groups]
    by_hand = projection.fit(functools.reduce(Moments.merge, states), variance=0.9)
    fitted = fit(context, tmp_path, files, feature_size=20, variance=0.9)
    assert fitted.loadings.tobytes() == by_hand.loadings.tobytes()


def test_fit_without_rows(context: SparkContext, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 0"):
        fit(context, tmp_path, files_of(tmp_path, draw(3, 5)[:0], 1), feature_size=5)


def test_fit_refuses_vectors_of_another_length(context: SparkContext, tmp_path: Path) -> None:
    with pytest.raises(Py4JJavaError, match="expected 9 rows of 6 features"):
        fit(context, tmp_path, files_of(tmp_path, draw(9, 5), 1), feature_size=6)


def test_transform_of_all_and_of_some(spark: SparkSession, tmp_path: Path) -> None:
    context, store = spark.sparkContext, open_store(str(tmp_path))
    files = files_of(tmp_path, draw(50, 30), 3)
    fitted = fit(context, tmp_path, files, feature_size=30, components=6)
    write_model(store, "model", model_files(fitted, spark_version=spark.version))
    written = job.transform(context, store, files, fitted)
    assert sum(file.rows for file in written) == 50
    model = PipelineModel.load(str(tmp_path / "model"))
    frame = spark.read.parquet(*(str(tmp_path / file.key) for file in files))
    stock = model.transform(frame.select("path", array_to_vector(col("features")).alias("features"))).collect()
    ours = {row["path"]: row["components"] for file in written for row in parquet.read(store, file.key).to_pylist()}
    expected = [row.components.toArray() for row in stock]
    np.testing.assert_allclose([ours[row.path] for row in stock], expected, atol=1e-5)
    some = job.transform(context, store, files, fitted, frozenset({"a/3.jpg", "a/40.jpg"}))
    again = {row["path"]: row["components"] for file in some for row in parquet.read(store, file.key).to_pylist()}
    assert again == {path: ours[path] for path in ("a/3.jpg", "a/40.jpg")}


def test_saved_model_is_what_spark_itself_saves(spark: SparkSession, tmp_path: Path) -> None:
    fitted = fit(spark.sparkContext, tmp_path, files_of(tmp_path, draw(50, 30), 2), feature_size=30, components=6)
    write_model(open_store(str(tmp_path)), "ours", model_files(fitted, spark_version=spark.version))
    ours = PipelineModel.load(str(tmp_path / "ours"))
    scaler, pca = cast(StandardScalerModel, ours.stages[0]), cast(PCAModel, ours.stages[1])
    for stage, expected in (
        (scaler, {"inputCol": "features", "outputCol": "scaled", "withMean": True, "withStd": True}),
        (pca, {"inputCol": "scaled", "outputCol": "components", "k": 6}),
    ):
        assert {param.name: value for param, value in stage.extractParamMap().items()} == expected
    np.testing.assert_array_equal(scaler.mean.toArray(), fitted.mean)
    np.testing.assert_array_equal(scaler.std.toArray(), fitted.std)
    np.testing.assert_array_equal(pca.pc.toArray(), fitted.loadings)
    np.testing.assert_array_equal(np.asarray(pca.explainedVariance.toArray()), fitted.explained_variance_ratio[:6])
    ours.save(str(tmp_path / "again"))
    for name in ("0_orchard_scaler", "1_orchard_pca"):
        one, other = (
            spark.read.parquet(str(tmp_path / which / "stages" / name / "data")) for which in ("ours", "again")
        )
        assert one.schema == other.schema
        assert one.collect() == other.collect()


def test_model_files_of_equal_fits_are_equal(context: SparkContext, tmp_path: Path) -> None:
    fitted = fit(context, tmp_path, files_of(tmp_path, draw(20, 10), 1), feature_size=10)
    assert model_files(fitted, spark_version="3.5.6") == model_files(fitted, spark_version="3.5.6")
    assert len(model_files(fitted, spark_version="3.5.6")) == 10


def test_read_model_is_the_inverse_of_write_model(context: SparkContext, tmp_path: Path) -> None:
    fitted = fit(context, tmp_path, files_of(tmp_path, draw(50, 30), 2), feature_size=30, components=6)
    store = open_store(str(tmp_path))
    write_model(store, "model", model_files(fitted, spark_version="3.5.6"))
    again = read_model(store, "model", 30)
    for name in ("mean", "std", "loadings"):
        np.testing.assert_array_equal(getattr(again, name), getattr(fitted, name))
    np.testing.assert_array_equal(again.explained_variance_ratio, fitted.explained_variance_ratio[:6])
    assert model_number(again) == model_number(fitted) != 0


def test_read_model_refuses_what_it_cannot_use(context: SparkContext, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    with pytest.raises(OutputError, match="--keep-model"):
        read_model(store, "model", 30)
    fitted = fit(context, tmp_path, files_of(tmp_path, draw(20, 10), 1), feature_size=10)
    files = model_files(fitted, spark_version="3.5.6")
    write_model(store, "model", files)
    with pytest.raises(OutputError, match="10 features, not 30"):
        read_model(store, "model", 30)
    store.delete(["model/metadata/part-00000"])  # as a killed write_model leaves it
    with pytest.raises(OutputError, match="--keep-model"):
        read_model(store, "model", 10)
