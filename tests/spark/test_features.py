from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from orchard.errors import PhotoError
from orchard.features.job import (
    BLOCK,
    Network,
    TaskReport,
    TaskReports,
    _decode_block,
    featurize,
    featurize_slice,
    featurize_udf,
)
from orchard.features.progress import make_row_counter
from orchard.network.backbones import MOBILENET_V2
from orchard.network.runtimes import make_predict
from orchard.network.weights import BakedWeights
from orchard.photos.decoding import decode
from orchard.photos.manifest import arrange, partition_bounds, to_table
from orchard.photos.prefetch import Ahead, Content
from orchard.photos.source import Photo, ignore, open_source
from orchard.tables import columns
from pyspark.errors import PythonException
from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def network(weights: BakedWeights) -> Network:
    return Network(MOBILENET_V2, "litert", weights)


def photos_of(folder: Path) -> list[Photo]:
    return arrange(open_source(str(folder)).photos())


def one_by_one(folder: Path, weights: BakedWeights, paths: list[str]) -> np.ndarray:
    predict = make_predict(MOBILENET_V2, "litert", weights.folder)
    return np.stack([predict(decode((folder / path).read_bytes(), MOBILENET_V2.input_size)[None])[0] for path in paths])


def test_tasks_write_what_a_plain_loop_computes(
    spark: SparkSession, network: Network, drawn: Path, tmp_path: Path
) -> None:
    photos = photos_of(drawn)
    bounds = partition_bounds(len(photos), 5)
    reports = featurize(spark, open_source(str(drawn)), network, to_table(photos), bounds, str(tmp_path / "features"))
    assert [(report.partition, report.photos, report.featurized) for report in reports] == [
        (0, 5, 5),
        (1, 5, 5),
        (2, 5, 5),
        (3, 5, 5),
        (4, 4, 4),
    ]
    rows = {row.path: row for row in spark.read.parquet(str(tmp_path / "features")).collect()}
    assert {path: row.label for path, row in rows.items()} == {photo.path: photo.label for photo in photos}
    expected = one_by_one(drawn, network.weights, list(rows))
    np.testing.assert_array_equal(np.array([row.features for row in rows.values()], np.float32), expected)


def test_progress_counts_the_photos_of_the_running_query(
    spark: SparkSession, network: Network, drawn: Path, tmp_path: Path
) -> None:
    photos = photos_of(drawn)
    spark.range(1000).count()  # an earlier query is none of its business
    count = make_row_counter(spark)
    assert count() == 0
    featurize(
        spark,
        open_source(str(drawn)),
        network,
        to_table(photos),
        partition_bounds(len(photos), 2),
        str(tmp_path / "features"),
    )
    deadline = time.monotonic() + 20
    while count() < len(photos) and time.monotonic() < deadline:  # Spark's listeners lag a little
        time.sleep(0.05)
    assert count() == len(photos)


def test_a_partition_without_photos_reports_zero(
    spark: SparkSession, network: Network, drawn: Path, tmp_path: Path
) -> None:
    photos = photos_of(drawn)[:2]
    bounds = partition_bounds(len(photos), 3)
    reports = featurize(spark, open_source(str(drawn)), network, to_table(photos), bounds, str(tmp_path / "features"))
    assert [report.photos for report in reports] == [1, 1, 0]


def test_a_slice_reads_ahead_and_keeps_the_order(network: Network, drawn: Path) -> None:
    content = (drawn / photos_of(drawn)[0].path).read_bytes()
    reads: list[str] = []

    class Recorder:
        uri = "memory"
        readers = 8

        def read(
            self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore, patient: bool = True
        ) -> bytes:
            reads.append(path)
            on_retry()
            return b"" if path.endswith("7") else content

    paths = [f"a/{number}" for number in range(BLOCK * 5 + 5)]
    report = TaskReport(0)
    photos = to_table([Photo(path, "a", 0, 0) for path in paths])
    batches = featurize_slice(Recorder(), network, photos, report, Ahead(photos=40))
    first = next(batches)
    assert BLOCK < len(reads) <= BLOCK + 40
    rest = [row for batch in [first, *batches] for row in batch.to_pylist()]
    assert [row["path"] for row in rest] == [path for path in paths if not path.endswith("7")]
    assert {row["sha256"] for row in rest} == {hashlib.sha256(content).hexdigest()}
    assert sorted(reads) == sorted(paths)
    assert (report.photos, report.featurized, report.retries) == (len(paths), len(rest), len(paths))
    assert {(rejection.path, rejection.reason) for rejection in report.rejections} == {
        (p, "empty") for p in paths if p.endswith("7")
    }


def test_a_task_that_ran_twice_counts_once() -> None:
    reports = TaskReports()
    first, again, other = TaskReport(0, photos=3), TaskReport(0, photos=3), TaskReport(1, photos=2)
    merged = reports.addInPlace(reports.addInPlace({0: first}, {1: other}), {0: again})
    assert sum(report.photos for report in merged.values()) == 5


def test_network_is_loaded_once_a_process(network: Network) -> None:
    assert network.load() is network.load()


def test_udf_on_any_frame_of_bytes(spark: SparkSession, network: Network, drawn: Path) -> None:
    frame = (
        spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(drawn)).select("path", "content")
    )
    bad = spark.createDataFrame(
        [("bad", bytearray(b"not a photo")), ("null", None), ("empty", bytearray())], "path string, content binary"
    )
    extract = featurize_udf(weights=network.weights.folder)
    rows = frame.union(bad).select("path", extract("content").alias("features")).collect()
    assert len(rows) == 27
    assert {row.path for row in rows if row.features is None} == {"bad", "null", "empty"}
    good = [row for row in rows if row.features is not None]
    expected = one_by_one(Path("/"), network.weights, [row.path.removeprefix("file:/").lstrip("/") for row in good])
    np.testing.assert_array_equal(np.array([row.features for row in good], np.float32), expected)


def test_udf_can_raise_instead(spark: SparkSession, network: Network) -> None:
    frame = spark.createDataFrame([(bytearray(b"not a photo"),)], "content binary")
    with pytest.raises(PythonException, match="not_an_image"):
        frame.select(featurize_udf(weights=network.weights.folder, on_error="raise")("content")).collect()
    with pytest.raises(ValueError, match="on_error"):
        featurize_udf(on_error="skip")


def test_float_lists_and_back() -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(columns.float_matrix(columns.float_lists(matrix).slice(1, 2), 3), matrix[1:3])
    assert columns.float_matrix(columns.float_lists(matrix[:0]), 3).shape == (0, 3)
    with pytest.raises(ValueError, match="1 nulls"):
        columns.float_matrix(pa.array([[1.0, 2.0, 3.0], None], columns.FEATURES), 3)


def test_a_photo_is_taken_when_the_one_before_it_is_decoded(drawn: Path) -> None:
    """What is read ahead is bounded; a whole block of large photos held beside it would not be."""
    paths = sorted(drawn.rglob("*.jpg"))[:3]
    pixels = np.zeros((BLOCK, 224, 224, 3), np.uint8)
    decoded: list[int] = []

    def contents() -> Iterator[Content | PhotoError]:
        for path in paths:
            decoded.append(int(pixels.any(axis=(1, 2, 3)).sum()))
            yield Content(path.read_bytes(), path.name)

    block = to_table([Photo(path.name, "a", 1, 1) for path in paths]).combine_chunks().to_batches()[0]
    kept = _decode_block(block, contents(), MOBILENET_V2, pixels, TaskReport(0))
    assert decoded == [0, 1, 2]
    assert kept == {0: paths[0].name, 1: paths[1].name, 2: paths[2].name}
