"""The listing of a run: which photos, in which order, in which task. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchard.photos.source import Photo
from orchard.tables import columns

_DIGITS = re.compile(r"(\d+)")
_BATCH = 32


def arrange(photos: Iterable[Photo], *, varieties: int | None = None, per_variety: int | None = None) -> list[Photo]:
    """Order photos by variety and then naturally; keep the first `varieties` x `per_variety` when given."""
    groups: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.label].append(photo)
    arranged: list[Photo] = []
    for label in sorted(groups)[:varieties]:
        arranged += sorted(groups[label], key=lambda photo: natural_key(photo.path))[:per_variety]
    return arranged


def natural_key(path: str) -> tuple[list[str | int], str]:
    """A sort key that puts `2` before `10`; equal only for equal paths."""
    parts: list[str | int] = list(_DIGITS.split(path))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, path


def partition_bounds(photos: int, partitions: int) -> list[tuple[int, int]]:
    """First and one-past-last photo of each partition: ceil(photos / partitions) consecutive ones each, until none are left."""
    size = -(-photos // partitions)
    return [(min(i * size, photos), min((i + 1) * size, photos)) for i in range(partitions)]


def to_table(photos: Sequence[Photo], chunk: int | npt.NDArray[np.int32] = 0) -> pa.Table:
    """The manifest: path string, label string, size int64 (bytes), modified timestamp[us, UTC], chunk int32 (one, or one a photo)."""
    return pa.table(
        {
            "path": columns.strings([photo.path for photo in photos]),
            "label": columns.strings([photo.label for photo in photos]),
            "size": columns.numbers([photo.size for photo in photos], np.int64, pa.int64()),
            "modified": columns.numbers([photo.modified for photo in photos], np.int64, pa.timestamp("us", "UTC")),
            "chunk": columns.numbers(np.full(len(photos), chunk), np.int32, pa.int32()),
        }
    )


def from_table(table: pa.Table) -> Iterator[Photo]:
    """The photos of a manifest, or of a part of one, made as they are asked for: the inverse of `to_table`."""
    for batch in table.select(["path", "label", "size", "modified"]).to_batches(max_chunksize=_BATCH):
        paths, labels, sizes = (batch.column(name).to_pylist() for name in ("path", "label", "size"))
        yield from map(Photo, paths, labels, sizes, batch.column("modified").cast(pa.int64()).to_pylist())


def next_chunk(manifest: pa.Table) -> int:
    """The first number that no chunk of a manifest has."""
    return max((batch.column("chunk")[-1].as_py() + 1 for batch in manifest.to_batches() if batch.num_rows), default=0)


@dataclass(frozen=True)
class Changes:
    """How a listing differs from a manifest: photos in order of the listing, removed paths in order of the manifest."""

    added: list[Photo]
    modified: list[Photo]
    removed: list[str]

    def first(self) -> str | None:
        """The first difference in words, with how many there are of each kind; None if there is none."""
        kinds = {
            "added": [photo.path for photo in self.added],
            "modified": [photo.path for photo in self.modified],
            "removed": self.removed,
        }
        there = {kind: paths for kind, paths in kinds.items() if paths}
        counts = ", ".join(f"{len(paths):,} {kind}" for kind, paths in there.items())
        return f"{counts}; the first is {next(iter(there.values()))[0]}" if there else None


def compare(manifest: pa.Table, photos: Iterable[Photo]) -> Changes:
    """How a new listing differs from a manifest, by path, size and time of modification."""
    stamps = manifest.column("modified").cast(pa.int64()).to_pylist()
    known = dict(
        zip(
            manifest.column("path").to_pylist(),
            zip(manifest.column("size").to_pylist(), stamps, strict=True),
            strict=True,
        )
    )
    added, modified = [], []
    for photo in photos:
        before = known.pop(photo.path, None)
        if before is None:
            added.append(photo)
        elif before != (photo.size, photo.modified):
            modified.append(photo)
    return Changes(added, modified, list(known))
