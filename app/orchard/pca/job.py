"""Spark edge: fit the scaling and the PCA on a table of features, and apply them.

The tasks read the table's files themselves, with pyarrow: through the JVM every single float would be copied into a row and
out again, which takes longer than the arithmetic.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from orchard.features.frames import vectors_schema, write_vectors
from orchard.pca import projection
from orchard.pca.moments import Moments
from orchard.pca.projection import Projection
from orchard.storage.stores import Store
from orchard.tables import columns, parquet

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# 1280 features in float64: 10 MB at a time, and already large enough for BLAS.
BLOCK = 1024
# Spark takes results of 1 GB together (spark.driver.maxResultSize): the moments of so many tasks are 0.84 GB.
MOST_TASKS = 128


def fit(
    spark: SparkSession,
    store: Store,
    files: Sequence[str],
    *,
    feature_size: int,
    slots: int | None = None,
    variance: float = 0.90,
    components: int | None = None,
) -> Projection:
    """Standardise and reduce the column `features` of the parquet `files` (keys) of a store, in one pass over them.

    Each task sends its moments to the driver, at most 7 MB for 1280 features; there is one task a slot, and `MOST_TASKS` at most. How the
    files are shared out shows in the last bits.

    Args:
        slots: tasks to share the files out among; by default the session's slots.

    Raises:
        InputError: see `orchard.pca.projection.fit`.
    """
    context = spark.sparkContext
    groups = share_out(files, slots or context.defaultParallelism)
    # Plain pickled bytes: as a column they would take the JVM eight times as long to hand over.
    states = context.parallelize(groups, len(groups)).map(make_moments_of(store, feature_size)).collect()
    total = functools.reduce(Moments.merge, map(Moments.from_bytes, states))
    return projection.fit(total, variance=variance, components=components)


def share_out(files: Sequence[str], slots: int) -> list[list[str]]:
    """Files in consecutive groups of nearly the same size, one a task."""
    tasks = max(1, min(slots, len(files), MOST_TASKS))
    return [list(group) for group in np.array_split(np.array(files, dtype=object), tasks)]


def make_moments_of(store: Store, feature_size: int) -> Callable[[Sequence[str]], bytes]:
    """A function from parquet files of a store to the moments of the features in them, as bytes."""

    def moments_of(files: Sequence[str]) -> bytes:
        vectors = (columns.float_matrix(batch.column(0), feature_size) for batch in _read(store, files, ["features"]))
        return functools.reduce(Moments.merge, map(Moments.of, vectors), Moments.empty(feature_size)).to_bytes()

    return moments_of


def write_components(
    spark: SparkSession, store: Store, files: Sequence[str], fitted: Projection, destination: str
) -> None:
    """Reduce the features in parquet `files` of a store into parquet at `destination`: path, label, components, one file for each."""
    frame = spark.range(0, len(files), 1, len(files)).mapInArrow(
        make_project(store, files, fitted), vectors_schema("components")
    )
    write_vectors(frame, destination)


def make_project(
    store: Store, files: Sequence[str], fitted: Projection
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function from numbers of files to path, label and components of the photos in them."""

    def project(tasks: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        numbers = [number for batch in tasks for number in batch.column(0).to_pylist()]
        for number in numbers:
            for batch in _read(store, [files[number]], ["path", "label", "features"]):
                reduced = fitted.transform(columns.float_matrix(batch.column(2), len(fitted.mean)))
                yield pa.RecordBatch.from_arrays(
                    [*batch.columns[:2], columns.float_lists(reduced)], ["path", "label", "components"]
                )

    return project


def _read(store: Store, files: Sequence[str], names: list[str]) -> Iterator[pa.RecordBatch]:
    for file in files:
        with parquet.open_file(store, file) as table:
            yield from table.iter_batches(batch_size=BLOCK, columns=names, use_threads=False)
