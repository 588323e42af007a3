"""Spark edge: files of a table written again without some of their rows, the rows of photos that have changed since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from app import columns, parquet
from app.frames import TABLES, write_vectors
from app.landing import landed, landing, part_number, renumbered
from app.reduction import BLOCK
from app.stage import Stage
from app.stores import Store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def without(spark: SparkSession, stage: Stage, table: str, paths: Collection[str]) -> dict[str, str]:
    """The files of a finished table (`features` or `components`) without the rows of `paths`: final key -> key now.

    Files that have none of them stay where they are. The others are written again, each under a new name with its old number.
    """
    files = parquet.files(stage.store, table)
    touched = [key for key in files if paths and not _paths_in(stage.store, key).isdisjoint(paths)]
    kept = {key: key for key in files if key not in touched}
    if not touched:
        return kept
    key = stage.attempt(f"without-{table}")
    with landing(spark, stage.store, key) as destination:
        tasks = spark.range(0, len(touched), 1, len(touched))
        write_vectors(tasks.mapInArrow(make_filter(stage.store, touched, frozenset(paths)), TABLES[table]), destination)
    rewritten = [stored.key for stored in landed(stage.store, key)]
    return dict(sorted({**kept, **{renumbered(table, now, part_number(touched[part_number(now)])): now for now in rewritten}}.items()))


def make_filter(
    store: Store, files: Sequence[str], paths: frozenset[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function from numbers of files to their rows of photos that are not among `paths`."""

    def keep(tasks: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        numbers = [number for batch in tasks for number in batch.column(0).to_pylist()]
        for number in numbers:
            with parquet.open_file(store, files[number]) as table:
                for batch in table.iter_batches(batch_size=BLOCK, use_threads=False):
                    places = [place for place, path in enumerate(batch.column(0).to_pylist()) if path not in paths]
                    yield batch.take(columns.numbers(places, np.int64, pa.int64()))

    return keep


def _paths_in(store: Store, key: str) -> set[str]:
    with parquet.open_file(store, key) as table:
        return set(table.read(columns=["path"]).column(0).to_pylist())
