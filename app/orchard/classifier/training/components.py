"""Runs tasks over the components of a training: jobs of Spark, or threads of the driver where the components are few.

A pass over some thousand rows takes milliseconds, a job of Spark twenty of them, and a fit has a hundred passes. So
components up to a fixed size are fetched once, and the same tasks run on them here. Either way the tasks are the same,
and results come in their order: sums have the same bits.
"""

import functools
import os
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyspark import SparkContext, StorageLevel

from orchard.classifier.training.rows import (
    TASKS,
    FileRows,
    HeldRows,
    ReducedRows,
    Rows,
    Task,
    group_rows,
    reduced_size,
)
from orchard.pca.projection import Projection
from orchard.storage.stores import Store

# Bytes of components that are fetched: those of 45,000 photos and 367 components.
FETCHED = 1 << 26
# Tasks here at a time: each takes some 10 MB for a block of rows in five problems of 49 classes.
THREADS = min(8, os.cpu_count() or 1)
Result = TypeVar("Result")


class Components:
    """The components of the used rows of files, made when they are first asked for."""

    def __init__(
        self,
        context: SparkContext,
        store: Store,
        rows: Sequence[FileRows],
        projection: Projection,
        *,
        tasks: int | None = None,
        fetched: int = FETCHED,
    ) -> None:
        self._work = group_rows(rows, tasks or TASKS)
        self._rows = ReducedRows(store, projection.k, context.broadcast(projection), uuid.uuid4().hex)
        # Spark then gives a task to the executor that had it before, and has its components.
        self._tasks = context.parallelize(self._work, len(self._work)).persist(StorageLevel.MEMORY_AND_DISK)
        used = sum(int((file.classes >= 0).sum()) for file in rows)
        self._few = reduced_size(used, projection.k) <= fetched
        self._held: HeldRows | None = None

    def run(self, work: Callable[[Rows, Task], Result]) -> list[Result]:
        """Results of tasks over components, in order; the caller limits BLAS to one thread, as it is in workers."""
        if not self._few:
            return self._tasks.map(functools.partial(work, self._rows)).collect()
        held = self._held or self._fetch()
        with ThreadPoolExecutor(THREADS) as pool:
            return [*pool.map(functools.partial(work, held), self._work)]

    def run_on_features(self, work: Callable[[Store, Task], Result]) -> list[Result]:
        """Results of tasks over features, in order."""
        return self._tasks.map(functools.partial(work, self._rows.store)).collect()

    def forget(self) -> None:
        """Remove the components wherever they are kept; the next pass makes them again."""
        self._held = None
        self._tasks.foreach(self._rows.remove)

    def close(self) -> None:
        """Free all that Spark and its machines keep."""
        self.forget()
        self._tasks.unpersist()
        self._rows.projection.destroy()

    def _fetch(self) -> HeldRows:
        contents = self._tasks.map(self._rows.content).collect()
        self.forget()
        self._held = HeldRows(self._rows.k, contents)
        return self._held
