"""How a run is cut: photos into partitions, one task each, and consecutive partitions into chunks, each committed whole. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchard.photos.manifest import partition_bounds

PARTITIONS = 4
# Up to here 4 of them: 10 MB of features each.
FEW_PHOTOS = 8192
# The most in one of more: half a minute's work to do again where a task fails; each costs a quarter of a second of its own.
PARTITION_PHOTOS = 4096
# About a minute of one slot's time.
SLOT_PHOTOS = 7000


@dataclass(frozen=True)
class Chunk:
    """Partitions that are featurized by one Spark job and committed together.

    Attributes:
        number: as in the manifest's `chunk` column.
        partition: number of the first partition, counted over the whole output.
        bounds: first and one-past-last row of the manifest of each partition.
    """

    number: int
    partition: int
    bounds: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        """The first row of the manifest."""
        return self.bounds[0][0]

    @property
    def photos(self) -> int:
        """How many photos."""
        return self.bounds[-1][1] - self.start


def default_partitions(photos: int) -> int:
    """4 up to 8,192 photos; then a multiple of 8, which keeps 2, 4 or 8 slots equally busy, with 4,096 photos at most in each."""
    return PARTITIONS if photos <= FEW_PHOTOS else -(-photos // (8 * PARTITION_PHOTOS)) * 8


def assign_chunks(photos: int, partitions: int, *, slots: int, chunk: int | None = None) -> npt.NDArray[np.int32]:
    """The chunk of each photo, from 0: whole partitions of about `chunk` photos together, by default a minute's work for `slots`."""
    size = max(1, -(-photos // partitions))
    together = max(1, chunk // size) if chunk else max(1, round(SLOT_PHOTOS / size)) * slots
    numbers: npt.NDArray[np.int32] = (np.arange(photos) // (size * together)).astype(np.int32)
    return numbers


def cut(
    numbers: Sequence[int] | npt.NDArray[np.int32], partitions: int, *, row: int = 0, partition: int = 0
) -> list[Chunk]:
    """The chunks of photos whose chunk numbers stand in the manifest from `row` on; their first partition is `partition`.

    Partitions beyond the last photo belong to the last chunk.
    """
    if not len(numbers):
        return []
    bounds = partition_bounds(len(numbers), partitions)
    last = len(numbers) - 1
    groups = itertools.groupby(range(partitions), key=lambda index: int(numbers[min(bounds[index][0], last)]))
    return [_chunk(number, list(indexes), bounds, row, partition) for number, indexes in groups]


def _chunk(number: int, indexes: list[int], bounds: list[tuple[int, int]], row: int, partition: int) -> Chunk:
    return Chunk(
        number,
        partition + indexes[0],
        tuple((row + start, row + stop) for start, stop in (bounds[index] for index in indexes)),
    )
