"""Spark edge: how many photos a running job has featurized so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass
class Progress:
    """How far a run is: see `orchard.console.Countable`.

    Attributes:
        chunks: how many there are.
    """

    spark: SparkSession
    total: int
    first: int
    chunks: int
    chunk: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._done = self.first
        self._running: Callable[[], int] = int

    def begin(self, number: int) -> None:
        """The chunk of this place (from 1) starts now."""
        self._running = make_row_counter(self.spark)
        self.chunk = f", chunk {number} of {self.chunks}" if self.chunks > 1 else ""

    def end(self, photos: int) -> None:
        """The chunk is done, of so many photos."""
        self._done, self._running = self._done + photos, int

    def count(self) -> int:
        """Photos done; while a chunk is going on those rejected in it are not counted yet."""
        return self._done + self._running()


def make_row_counter(spark: SparkSession) -> Callable[[], int]:
    """A function that tells the rows produced so far by the query that runs after this call.

    Executors send the counts of running tasks with their heartbeats; Spark's status store, which the SQL page of its web
    interface reads too, adds them up. That store is not public API: where it cannot be read the count stays at 0.
    """
    store = spark._jsparkSession.sharedState().statusStore()
    earlier = store.executionsCount()

    def count() -> int:
        try:
            return _rows_of_last_execution(store) if store.executionsCount() > earlier else 0
        except Exception:  # progress must never end a run
            return 0

    return count


def _rows_of_last_execution(store: Any) -> int:
    execution = store.executionsList().last().executionId()
    metrics = [
        metric
        for node in _items(store.planGraph(execution).allNodes())
        if node.name().endswith("MapInArrow")
        for metric in _items(node.metrics())
    ]
    found = [
        store.executionMetrics(execution).get(metric.accumulatorId())
        for metric in metrics
        if metric.name() == "number of output rows"
    ]
    return sum(int(value.get().replace(",", "")) for value in found if value.isDefined())


def _items(sequence: Any) -> list[Any]:
    return [sequence.apply(index) for index in range(sequence.size())]
