"""What the driver itself makes of tables, with pyarrow: the rejects, a sample of components, a few paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchard.photos.source import Rejection
from orchard.report.page import Points
from orchard.storage.stores import Store
from orchard.tables import columns, parquet

_REJECTION = ("path", "label", "reason", "detail")


def rejected_table(rejections: Sequence[Rejection]) -> pa.Table:
    """The `rejected/` table: path, label, reason, detail, all string."""
    return pa.table(
        {name: columns.strings([getattr(rejection, name) for rejection in rejections]) for name in _REJECTION}
    )


def read_rejections(store: Store) -> list[Rejection]:
    """The rows of `rejected/`."""
    return [Rejection(**row) for row in parquet.read_table(store, "rejected").to_pylist()]


def read_points(store: Store, keys: Sequence[str], total: int, limit: int = 5000) -> Points:
    """The first two components of every n-th photo in the files `keys` of `components/`, at most `limit` of them.

    `total` is the number of photos there. Where only one component was kept, the second is 0.
    """
    step = max(1, -(-total // limit))
    labels: list[str] = []
    rows: list[list[float]] = []
    seen = 0
    for batch in _batches(store, keys, ["label", "components"]):
        for place in range(-seen % step, batch.num_rows, step):
            labels.append(batch.column(0)[place].as_py())
            rows.append([*batch.column(1)[place].as_py()[:2], 0.0][:2])
        seen += batch.num_rows
    return Points(labels, np.array(rows, np.float64).reshape(-1, 2), total)


def _batches(store: Store, keys: Sequence[str], names: list[str]) -> Iterator[pa.RecordBatch]:
    for key in keys:
        with parquet.open_file(store, key) as table:
            yield from table.iter_batches(batch_size=4096, columns=names)


def read_hashes(store: Store, keys: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Paths and hashes of the photos in the files `keys` of `features/`, batch by batch; the features themselves are not fetched."""
    for key in keys:
        with store.open(key) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=4096, columns=["path", "sha256"]):
                yield batch.column(0).to_pylist(), batch.column(1).to_pylist()


def first_paths(manifest: pa.Table, labels: Sequence[str], limit: int) -> dict[str, list[str]]:
    """The first `limit` paths of each of `labels` in a manifest."""
    found: dict[str, list[str]] = {label: [] for label in labels}
    for batch in manifest.select(["path", "label"]).to_batches(max_chunksize=4096):
        for path, label in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            if label in found and len(found[label]) < limit:
                found[label].append(path)
    return found
