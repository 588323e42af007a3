from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.legacy.chunks import PARTITION_PHOTOS, assign_chunks, cut, default_partitions
from orchard.photos.manifest import partition_bounds

PHOTOS, PARTITIONS, SLOTS = st.integers(1, 10**5), st.integers(1, 500), st.integers(1, 64)


@pytest.mark.parametrize(
    ("photos", "partitions"),
    [(1, 4), (50, 4), (8192, 4), (8193, 8), (32768, 8), (32769, 16), (50_000, 16), (10**7, 2448)],
)
def test_partitions_are_four_until_they_get_too_large(photos: int, partitions: int) -> None:
    assert default_partitions(photos) == partitions


@given(st.integers(1, 10**9))
def test_no_partition_is_more_than_half_a_minutes_work(photos: int) -> None:
    assert -(-photos // default_partitions(photos)) <= PARTITION_PHOTOS


@given(PHOTOS, PARTITIONS, SLOTS, st.none() | st.integers(1, 10**5), st.integers(0, 100), st.integers(0, 100))
def test_chunks_are_the_partitions_of_the_run_in_order(
    photos: int, partitions: int, slots: int, chunk: int | None, row: int, partition: int
) -> None:
    numbers = assign_chunks(photos, partitions, slots=slots, chunk=chunk)
    chunks = cut(numbers, partitions, row=row, partition=partition)
    assert [part.number for part in chunks] == list(range(len(chunks)))
    assert [(start - row, stop - row) for part in chunks for start, stop in part.bounds] == partition_bounds(
        photos, partitions
    )
    assert [part.partition for part in chunks] == [
        partition + sum(len(part.bounds) for part in chunks[:place]) for place in range(len(chunks))
    ]
    assert all(part.photos > 0 for part in chunks)
    # What stands in the manifest is what is done.
    for part in chunks:
        assert (numbers[part.start - row : part.start - row + part.photos] == part.number).all()


@given(PHOTOS, PARTITIONS, SLOTS)
def test_a_chunk_keeps_every_slot_busy(photos: int, partitions: int, slots: int) -> None:
    chunks = cut(assign_chunks(photos, partitions, slots=slots), partitions)
    assert all(len(part.bounds) % slots == 0 for part in chunks[:-1])


def test_a_minute_of_work_is_one_chunk() -> None:
    assert len(cut(assign_chunks(8192, 4, slots=2), 4)) == 1
    sizes = [part.photos for part in cut(assign_chunks(50_000, 16, slots=2), 16)]
    assert sizes == [12_500, 12_500, 12_500, 12_500]
    assert [part.photos for part in cut(assign_chunks(50_000, 4, slots=2), 4)] == [
        25_000,
        25_000,
    ]  # --partitions 4 is kept exactly


def test_a_chunk_can_be_asked_for() -> None:
    assert [part.photos for part in cut(assign_chunks(24, 8, slots=2, chunk=6), 8)] == [6, 6, 6, 6]
    assert [part.photos for part in cut(assign_chunks(24, 8, slots=2, chunk=1), 8)] == [3] * 8


def test_the_cut_does_not_depend_on_how_the_numbers_came_about() -> None:
    assert [part.bounds for part in cut(np.array([7, 7, 7, 7, 9], np.int32), 3, row=10)] == [
        ((10, 12), (12, 14)),
        ((14, 15),),
    ]


def test_chunk_numbers_grow() -> None:
    numbers = assign_chunks(1000, 100, slots=3, chunk=25)
    assert all(before <= after for before, after in itertools.pairwise(numbers))
