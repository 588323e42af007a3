from __future__ import annotations

import functools
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from orchard.errors import InputError
from orchard.pca import job as reduction
from orchard.pca import projection
from orchard.pca.model import model_files, read_model
from orchard.pca.moments import Moments
from orchard.pca.projection import Projection, fix_signs
from orchard.storage.stores import open_store
from orchard.tables import columns
from py4j.protocol import Py4JJavaError
from pyspark.ml import PipelineModel
from pyspark.ml.feature import PCA, PCAModel, StandardScaler, StandardScalerModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql.functions import col

TOLERANCE = 1e-6
EVERYWHERE = open_store("/")  # so that the keys of files are their paths


def files_of(folder: Path, values: np.ndarray, files: int) -> list[str]:
    """A table of features in several parquet files, and their names."""
    folder.mkdir()
    paths = [f"a/{index}.jpg" for index in range(len(values))]
    for number, places in enumerate(np.array_split(np.arange(len(values)), files)):
        vectors = columns.float_lists(values[places].astype(np.float32))
        table = pa.table(
            {
                "path": columns.strings([paths[place] for place in places]),
                "label": columns.strings(["a"] * len(places)),
                "features": vectors,
            }
        )
        pq.write_table(table, folder / f"part-{number:05}.parquet")
    return sorted(str(path) for path in folder.glob("*.parquet"))


def save_model(fitted: Projection, folder: Path, *, spark_version: str) -> None:
    for path, content in model_files(fitted, spark_version=spark_version).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def draw(rows: int, features: int, far: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(rows, features)) @ rng.normal(size=(features, features)) + far
    values[:, 2] = 7.5  # a feature that never changes
    return values


def test_files_are_shared_out_to_as_many_tasks_as_the_driver_can_hear() -> None:
    files = [f"{number}" for number in range(1000)]
    for slots, tasks in ((1, 1), (8, 8), (2000, reduction.MOST_TASKS)):
        groups = reduction.share_out(files, slots)
        assert [file for group in groups for file in group] == files
        assert len(groups) == tasks
        assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert reduction.share_out(files[:3], 8) == [["0"], ["1"], ["2"]]


@pytest.mark.parametrize("shape", [(25, 40), (120, 30)], ids=["rows<features", "rows>features"])
@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_fit_is_stock_pyspark_ml(spark: SparkSession, shape: tuple[int, int], far: float, tmp_path: Path) -> None:
    files = files_of(tmp_path / "features", draw(*shape, far), 3)
    fitted = reduction.fit(spark, EVERYWHERE, files, feature_size=shape[1], variance=0.9)
    vectors = spark.read.parquet(*files).select(array_to_vector(col("features")).alias("v"))
    scaler = StandardScaler(inputCol="v", outputCol="s", withMean=True, withStd=True).fit(vectors)
    pca = PCA(k=fitted.k, inputCol="s", outputCol="p").fit(scaler.transform(vectors))
    np.testing.assert_allclose(fitted.mean, scaler.mean.toArray(), rtol=1e-12)
    np.testing.assert_allclose(fitted.std, scaler.std.toArray(), atol=1e-9)
    np.testing.assert_allclose(
        fitted.explained_variance_ratio[: fitted.k], pca.explainedVariance.toArray(), atol=TOLERANCE
    )
    np.testing.assert_allclose(fitted.loadings, fix_signs(pca.pc.toArray()), atol=TOLERANCE)


@pytest.mark.parametrize("files", [2, 7, 80])
def test_files_do_not_change_the_fit(spark: SparkSession, files: int, tmp_path: Path) -> None:
    one = reduction.fit(spark, EVERYWHERE, files_of(tmp_path / "one", draw(60, 20), 1), feature_size=20)
    many = reduction.fit(spark, EVERYWHERE, files_of(tmp_path / "many", draw(60, 20), files), feature_size=20)
    np.testing.assert_allclose(many.loadings, one.loadings, atol=1e-9)


@pytest.mark.parametrize("slots", [3, 7])
def test_the_fit_is_shared_out_among_as_many_as_asked_for(spark: SparkSession, slots: int, tmp_path: Path) -> None:
    files = files_of(tmp_path / "features", draw(200, 20), 12)
    moments_of = reduction.make_moments_of(EVERYWHERE, 20)
    states = [Moments.from_bytes(moments_of(group)) for group in reduction.share_out(files, slots)]
    assert len(states) == slots != spark.sparkContext.defaultParallelism
    by_hand = projection.fit(functools.reduce(Moments.merge, states), variance=0.9)
    fitted = reduction.fit(spark, EVERYWHERE, files, feature_size=20, variance=0.9, slots=slots)
    assert fitted.loadings.tobytes() == by_hand.loadings.tobytes()


def test_no_rows_at_all(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 0"):
        reduction.fit(spark, EVERYWHERE, files_of(tmp_path / "none", draw(3, 5)[:0], 1), feature_size=5)


def test_saved_model_is_stock_and_gives_the_same_components(spark: SparkSession, tmp_path: Path) -> None:
    files = files_of(tmp_path / "features", draw(50, 30), 2)
    fitted = reduction.fit(spark, EVERYWHERE, files, feature_size=30, components=6)
    save_model(fitted, tmp_path / "model", spark_version=spark.version)
    reduction.write_components(spark, EVERYWHERE, files, fitted, str(tmp_path / "components"))
    model = PipelineModel.load(str(tmp_path / "model"))
    stock = model.transform(
        spark.read.parquet(*files).select("path", array_to_vector(col("features")).alias("features"))
    ).collect()
    ours = {row.path: row.components for row in spark.read.parquet(str(tmp_path / "components")).collect()}
    assert len(ours) == 50
    np.testing.assert_allclose(
        [ours[row.path] for row in stock], [row.components.toArray() for row in stock], atol=1e-5
    )


def test_saved_model_is_what_spark_itself_saves(spark: SparkSession, tmp_path: Path) -> None:
    fitted = reduction.fit(
        spark, EVERYWHERE, files_of(tmp_path / "features", draw(50, 30), 2), feature_size=30, components=6
    )
    save_model(fitted, tmp_path / "ours", spark_version=spark.version)
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


def test_saved_model_of_equal_fits_is_equal_to_the_byte(spark: SparkSession, tmp_path: Path) -> None:
    fitted = reduction.fit(spark, EVERYWHERE, files_of(tmp_path / "features", draw(20, 10), 1), feature_size=10)
    for name in ("one", "two"):
        save_model(fitted, tmp_path / name, spark_version="3.5.6")
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert len(one) == 10


def test_a_saved_model_is_read_back_whole(spark: SparkSession, tmp_path: Path) -> None:
    fitted = reduction.fit(
        spark, EVERYWHERE, files_of(tmp_path / "features", draw(50, 30), 2), feature_size=30, components=6
    )
    save_model(fitted, tmp_path / "model", spark_version="3.5.6")
    again = read_model(open_store(str(tmp_path)), "model", fitted.explained_variance_ratio)
    for name in ("mean", "std", "loadings", "explained_variance_ratio"):
        np.testing.assert_array_equal(getattr(again, name), getattr(fitted, name))


def test_a_vector_of_another_length_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(Py4JJavaError, match="expected 9 rows of 6 features, got 45 numbers"):
        reduction.fit(spark, EVERYWHERE, files_of(tmp_path / "features", draw(9, 5), 1), feature_size=6)
