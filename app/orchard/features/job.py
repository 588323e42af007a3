"""Spark edge: photos to features, in the Python workers, one slice of the manifest a task."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import AccumulatorParam, TaskContext

from orchard.errors import PhotoError
from orchard.features.frames import features_schema, write_vectors
from orchard.network.backbones import MOBILENET_V2, Backbone, get_backbone
from orchard.network.runtimes import Predict, make_predict
from orchard.network.weights import BakedWeights, check_file, find_weights
from orchard.photos.decoding import Pixels, decode
from orchard.photos.manifest import from_table
from orchard.photos.prefetch import AHEAD, Ahead, Content, read_ahead
from orchard.photos.source import Photo, PhotoReader, Rejection
from orchard.tables import columns

if TYPE_CHECKING:
    from pyspark import Accumulator, Broadcast
    from pyspark.sql import DataFrame, SparkSession

# Photos decoded before the network runs: small enough to stay in cache, large enough to read ahead of.
BLOCK = 32
_DETAIL_LENGTH = 300
_COUNTING = threading.Lock()


@dataclass
class TaskReport:
    """What one task did: photos it was given, photos it featurized, rejections, seconds by kind of work, and what had to be tried again.

    Attributes:
        retries: reads that were tried again.
        attempt: how many attempts at the whole task failed before this one.
    """

    partition: int
    photos: int = 0
    featurized: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    waiting: float = 0.0
    decoding: float = 0.0
    predicting: float = 0.0
    retries: int = 0
    attempt: int = 0

    def count_retry(self) -> None:
        """One read more that had to be tried again; called by many threads."""
        with _COUNTING:
            self.retries += 1


class TaskReports(AccumulatorParam[dict[int, TaskReport]]):
    """Reports by partition. Spark applies the update of a write job's task once, and a task that ran again replaces its own."""

    def zero(self, value: dict[int, TaskReport]) -> dict[int, TaskReport]:
        """No report."""
        return {}

    def addInPlace(self, value1: dict[int, TaskReport], value2: dict[int, TaskReport]) -> dict[int, TaskReport]:  # noqa: N802
        """Both dictionaries' reports."""
        value1.update(value2)
        return value1


@dataclass(frozen=True)
class Network:
    """What a task needs to load the network: small, and pickled with it."""

    backbone: Backbone
    runtime: str
    weights: BakedWeights

    def load(self) -> Predict:
        """The network in this process's memory, loaded at the first call."""
        return _load(self.backbone.name, self.runtime, self.weights.folder, tuple(sorted(self.weights.files.items())))


@functools.lru_cache(maxsize=2)
def _load(backbone: str, runtime: str, folder: str, files: tuple[tuple[str, str], ...]) -> Predict:
    for name, sha256 in files:  # another machine's folder, perhaps: vouch for it here, where it is used
        check_file(os.path.join(folder, name), sha256)
    return make_predict(get_backbone(backbone), runtime, folder)


def warm_up(spark: SparkSession, network: Network, tasks: int) -> None:
    """Start Python workers and load the network in them, while the driver is still busy with other things."""

    def load(_: int) -> None:
        network.load()

    spark.sparkContext.parallelize(range(tasks), tasks).foreach(load)


def featurize(
    spark: SparkSession,
    source: PhotoReader,
    network: Network,
    manifest: pa.Table,
    bounds: Sequence[tuple[int, int]],
    destination: str,
    witnesses: Sequence[Photo] = (),
) -> list[TaskReport]:
    """Featurize the manifest's photos, one task for each of `bounds`, into parquet at `destination` (path, label, sha256, features).

    Args:
        witnesses: photos that could be read when the run began, see `orchard.photos.access`.

    Returns:
        One report a task, in order of partitions; their rejections and the rows written add up to the manifest.
    """
    context = spark.sparkContext
    photos = context.broadcast(_to_bytes(manifest.select(["path", "label", "size", "modified"])))
    reports = context.accumulator({}, TaskReports())
    try:
        write_vectors(_features_frame(spark, source, network, photos, list(bounds), reports, witnesses), destination)
        return [reports.value[index] for index in sorted(reports.value)]
    finally:
        photos.destroy()


def _features_frame(
    spark: SparkSession,
    source: PhotoReader,
    network: Network,
    photos: Broadcast[bytes],
    bounds: list[tuple[int, int]],
    reports: Accumulator[dict[int, TaskReport]],
    witnesses: Sequence[Photo],
) -> DataFrame:
    def featurize_partitions(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                report = TaskReport(index, attempt=_attempt())
                start, stop = bounds[index]
                own = _from_bytes(photos.value).slice(start, stop - start)
                yield from featurize_slice(source, network, own, report, witnesses=witnesses)
                reports.add({index: report})

    return spark.range(0, len(bounds), 1, len(bounds)).mapInArrow(featurize_partitions, features_schema())


def _attempt() -> int:
    context = TaskContext.get()
    return context.attemptNumber() if context else 0


def featurize_slice(
    source: PhotoReader,
    network: Network,
    photos: pa.Table,
    report: TaskReport,
    ahead: Ahead = AHEAD,
    witnesses: Sequence[Photo] = (),
) -> Iterator[pa.RecordBatch]:
    """Read, decode and featurize a slice of the manifest, block by block, reading ahead; fills `report` as it goes."""
    predict = network.load()
    pixels = np.empty((BLOCK, *network.backbone.input_size[::-1], 3), np.uint8)
    with contextlib.closing(read_ahead(source, from_table(photos), report.count_retry, ahead, witnesses)) as contents:
        for block in _blocks(photos):
            kept = _decode_block(block, contents, network.backbone, pixels, report)
            if kept:
                yield _predict_block(block, kept, predict, pixels, report)
        next(contents, None)  # there is none: it finds out whether the last ones could not be had because none can


def _blocks(photos: pa.Table) -> list[pa.RecordBatch]:
    return list(photos.combine_chunks().to_batches(max_chunksize=BLOCK))


def _decode_block(
    block: pa.RecordBatch,
    contents: Iterator[Content | PhotoError],
    backbone: Backbone,
    pixels: Pixels,
    report: TaskReport,
) -> dict[int, str]:
    """Fill `pixels` from the front with the photos that decode; return their places in the block, each with its SHA-256.

    Each is taken when the one before it is decoded: what is read ahead is bounded, and a block of large photos would not be.
    """
    started, waited = time.perf_counter(), report.waiting
    kept: dict[int, str] = {}
    for place in range(block.num_rows):
        content = _take(contents, report)
        try:
            if isinstance(content, PhotoError):
                raise content
            pixels[len(kept)] = decode(content.data, backbone.input_size)
            kept[place] = content.sha256
        except PhotoError as error:
            path, label = (block.column(name)[place].as_py() for name in ("path", "label"))
            report.rejections.append(Rejection(path, label, error.reason, error.detail[:_DETAIL_LENGTH]))
    report.photos += block.num_rows
    report.decoding += time.perf_counter() - started - (report.waiting - waited)
    return kept


def _take(contents: Iterator[Content | PhotoError], report: TaskReport) -> Content | PhotoError:
    started = time.perf_counter()
    content = next(contents)
    report.waiting += time.perf_counter() - started
    return content


def _predict_block(
    block: pa.RecordBatch, kept: dict[int, str], predict: Predict, pixels: Pixels, report: TaskReport
) -> pa.RecordBatch:
    started = time.perf_counter()
    features = columns.float_lists(predict(pixels[: len(kept)]))
    report.featurized += len(kept)
    report.predicting += time.perf_counter() - started
    places = columns.numbers([*kept], np.int32, pa.int32())
    hashes = columns.strings([*kept.values()])
    arrays = [block.column("path").take(places), block.column("label").take(places), hashes, features]
    return pa.RecordBatch.from_arrays(arrays, ["path", "label", "sha256", "features"])


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _from_bytes(content: bytes) -> pa.Table:
    return pa.ipc.open_stream(content).read_all()


def featurize_udf(
    backbone: str = MOBILENET_V2.name, *, runtime: str = "litert", weights: str | None = None, on_error: str = "null"
) -> Callable[..., Any]:
    """A pandas UDF from a `binary` column of encoded photos to `array<float>` features, for any DataFrame.

    Needs the baked weights at the same path on every worker and `spark.python.worker.reuse` (Spark's default) to load them once.

    Args:
        backbone: a name from `orchard.network.backbones.BACKBONES`.
        runtime: "litert" or "tensorflow".
        weights: a baked folder; by default `$ORCHARD_WEIGHTS`, else what `orchard weights` made.
        on_error: "null" gives null for a photo that cannot be decoded, "raise" fails the query with its reason.

    Raises:
        WeightsError: no usable weights on the driver. UsageError: an unknown backbone.

    Example:
        >>> frame = spark.read.format("binaryFile").load("photos")          # doctest: +SKIP
        >>> frame.select("path", featurize_udf()("content").alias("features"))  # doctest: +SKIP
    """
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    if on_error not in ("null", "raise"):
        raise ValueError(f'on_error is "null" or "raise", not {on_error!r}')
    known = get_backbone(backbone)
    network = Network(known, runtime, find_weights(known, weights))

    def featurize_series(contents: Iterator[pd.Series]) -> Iterator[pd.Series]:
        predict = network.load()
        for series in contents:
            yield pd.Series([_features_or_null(content, known, predict, on_error) for content in series], dtype=object)

    featurize_series.__annotations__ = {"contents": Iterator[pd.Series], "return": Iterator[pd.Series]}
    return pandas_udf(featurize_series, "array<float>")  # type: ignore[call-overload, no-any-return]


def _features_or_null(content: bytes | None, backbone: Backbone, predict: Predict, on_error: str) -> Any:
    try:
        return predict(decode(content or b"", backbone.input_size)[None])[0]
    except PhotoError:
        if on_error == "raise":
            raise
        return None
