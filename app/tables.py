"""The small tables that the driver itself writes and reads, with pyarrow: the manifest, the rejects, a sample of components."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app import columns
from app.page import Points
from app.sources import Rejection


def write_table(table: pa.Table, folder: Path) -> None:
    """Write a table as one parquet file into a new folder, marked as Spark marks a finished one."""
    folder.mkdir()
    pq.write_table(table, folder / "part-00000.snappy.parquet", compression="snappy")
    (folder / "_SUCCESS").touch()


def files(folder: Path) -> list[str]:
    """The files of a table, in the order in which they were numbered."""
    return sorted(str(path) for path in folder.glob("*.parquet"))


def rejected_table(rejections: Sequence[Rejection]) -> pa.Table:
    """The `rejected/` table: path, label, reason, detail, all string."""
    names = ("path", "label", "reason", "detail")
    return pa.table({name: columns.strings([getattr(rejection, name) for rejection in rejections]) for name in names})


def read_rejects(folder: Path) -> list[Rejection]:
    """The rows of `rejected/`, as the report shows them."""
    names = ["path", "label", "reason", "detail"]
    return [Rejection(**row) for batch in _batches(folder, names) for row in batch.to_pylist()]


def read_points(folder: Path, total: int, limit: int = 5000) -> Points:
    """The first two components of every n-th photo in `components/`, at most `limit` of them.

    `total` is the number of photos there. Where only one component was kept, the second is 0.
    """
    step = max(1, -(-total // limit))
    labels: list[str] = []
    rows: list[list[float]] = []
    seen = 0
    for batch in _batches(folder, ["label", "components"]):
        for place in range(-seen % step, batch.num_rows, step):
            labels.append(batch.column(0)[place].as_py())
            rows.append([*batch.column(1)[place].as_py()[:2], 0.0][:2])
        seen += batch.num_rows
    return Points(labels, np.array(rows, np.float64).reshape(-1, 2), total)


def _batches(folder: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    for path in files(folder):
        yield from pq.ParquetFile(path).iter_batches(batch_size=4096, columns=names)


def first_paths(folder: Path, labels: Sequence[str], limit: int) -> dict[str, list[str]]:
    """The first `limit` paths of each of `labels` in a manifest."""
    found: dict[str, list[str]] = {label: [] for label in labels}
    for batch in _batches(folder, ["path", "label"]):
        for path, label in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            if label in found and len(found[label]) < limit:
                found[label].append(path)
    return found
