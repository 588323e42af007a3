"""Photos of a run's output with their features, batch by batch: memory does not grow with their number."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchard.classifier.settings import check_finite
from orchard.errors import InputError
from orchard.tables import columns, parquet
from orchard.tables.output import Output

BATCH = 2048


@dataclass(frozen=True)
class Batch:
    """Some photos: n paths, labels and SHA-256, and their features, float32 (n, size)."""

    paths: list[str]
    labels: list[str]
    hashes: list[str]
    features: npt.NDArray[np.float32]


def count_labels(output: Output, only: Collection[str] | None = None) -> Counter[str]:
    """Photos by label, of the paths in `only` if given; the features themselves are not fetched."""
    counts = Counter[str]()
    for file in output.features.files:
        paths, labels = (c.to_pylist() for c in parquet.read(output.store, file.key, ["path", "label"]).columns)
        counts.update(label for path, label in zip(paths, labels, strict=True) if only is None or path in only)
    return counts


def read_batches(
    output: Output, size: int, labels: Collection[str], only: Collection[str] | None = None
) -> Iterator[Batch]:
    """The photos of some labels, of the paths in `only` if given, with `size` features each.

    Raises:
        InputError: features of another size, or of a photo that are NaN or infinite.
    """
    for file in output.features.files:
        for part in parquet.batches(output.store, file.key, ["path", "label", "sha256", "features"], BATCH):
            batch = _read(part, size, output)
            rows = [
                row
                for row, (path, label) in enumerate(zip(batch.paths, batch.labels, strict=True))
                if label in labels and (only is None or path in only)
            ]
            if rows:
                yield _select(batch, rows, output)


def _read(part: pa.RecordBatch, size: int, output: Output) -> Batch:
    try:
        features = columns.float_matrix(part.column("features"), size)
    except ValueError as exc:
        what = "use an output of the backbone that the classifier was trained with"
        raise InputError(f"{output.store.flag} {output.features.uri}: {exc}: {what}") from exc
    paths, labels, hashes = (part.column(name).to_pylist() for name in ("path", "label", "sha256"))
    return Batch(paths, labels, hashes, features)


def _select(batch: Batch, rows: list[int], output: Output) -> Batch:
    features = batch.features[rows]
    check_finite(features, f"{output.store.flag} {output.store.uri}", lambda row: batch.paths[rows[row]])
    paths, labels, hashes = ([column[row] for row in rows] for column in (batch.paths, batch.labels, batch.hashes))
    return Batch(paths, labels, hashes, features)
