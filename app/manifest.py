"""The listing of a run: which photos, in which order, in which task. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from app import columns
from app.sources import Photo

_DIGITS = re.compile(r"(\d+)")


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


def to_table(photos: Sequence[Photo], *, chunk: int = 0) -> pa.Table:
    """The manifest: path string, label string, size int64 (bytes), modified timestamp[us, UTC], chunk int32."""
    return pa.table(
        {
            "path": columns.strings([photo.path for photo in photos]),
            "label": columns.strings([photo.label for photo in photos]),
            "size": columns.numbers([photo.size for photo in photos], np.int64, pa.int64()),
            "modified": columns.numbers([photo.modified for photo in photos], np.int64, pa.timestamp("us", "UTC")),
            "chunk": columns.numbers(np.full(len(photos), chunk), np.int32, pa.int32()),
        }
    )
