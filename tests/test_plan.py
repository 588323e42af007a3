"""How photos are shared among tasks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from orchard.photos.photo import partition_bounds
from orchard.plan import LEAST_TASKS, TASK_PHOTOS, default_partitions


@given(st.integers(0, 10**6), st.integers(1, 64))
def test_default_partitions(photos: int, slots: int) -> None:
    tasks = default_partitions(photos, slots)
    assert tasks >= max(LEAST_TASKS, min(slots, photos))
    assert tasks == LEAST_TASKS or tasks % slots == 0
    bounds = partition_bounds(photos, tasks)
    assert max(stop - start for start, stop in bounds) <= TASK_PHOTOS


def test_default_partitions_of_the_reference_experiment() -> None:
    bounds = partition_bounds(50, default_partitions(50, 2))
    assert [stop - start for start, stop in bounds] == [13, 13, 13, 11]
