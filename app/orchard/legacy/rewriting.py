"""Spark edge: files of a table written again without some of their rows, the rows of photos that have changed since."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchard.features.frames import TABLES, write_vectors
from orchard.legacy.landing import landed, landing, part_number, renumbered
from orchard.legacy.stage import Stage
from orchard.pca.job import BLOCK
from orchard.storage.stores import Store
from orchard.tables import columns, parquet

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Files looked into at once: a few requests each, where they are far away.
_LOOKS = 16


def without(spark: SparkSession, stage: Stage, table: str, paths: Collection[str]) -> dict[str, str]:
    """The files of a finished table (`features` or `components`) without the rows of `paths`: final key -> key now.

    Files that have none of them stay where they are. The others are written again, each under a new name with its old number.
    """
    files = parquet.files(stage.store, table)
    changed = touched(stage.store, files, paths) if paths else []
    kept = {key: key for key in files if key not in changed}
    if not changed:
        return kept
    key = stage.attempt(f"without-{table}")
    with landing(spark, stage.store, key) as destination:
        tasks = spark.range(0, len(changed), 1, len(changed))
        write_vectors(tasks.mapInArrow(make_filter(stage.store, changed, frozenset(paths)), TABLES[table]), destination)
    rewritten = [stored.key for stored in landed(stage.store, key)]
    return dict(
        sorted(
            {
                **kept,
                **{renumbered(table, now, part_number(changed[part_number(now)])): now for now in rewritten},
            }.items()
        )
    )


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


def touched(store: Store, files: Sequence[str], paths: Collection[str]) -> list[str]:
    """The files that have a row of one of `paths`."""
    with ThreadPoolExecutor(_LOOKS) as pool:
        found = pool.map(functools.partial(_has_any, store, frozenset(paths)), files)
        return [key for key, has_any in zip(files, found, strict=True) if has_any]


def _has_any(store: Store, paths: frozenset[str], key: str) -> bool:
    with store.open(key) as stream:  # of the vectors nothing is fetched
        return not paths.isdisjoint(
            pq.ParquetFile(stream).read(columns=["path"], use_threads=False).column(0).to_pylist()
        )
