"""How photos are shared among tasks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from orchard.features.task import BLOCK
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.photos.photo import partition_bounds
from orchard.plan import LEAST_TASKS, TASK_PHOTOS, default_partitions, task_photos


@given(st.integers(0, 10**6), st.integers(1, 64), st.integers(BLOCK, TASK_PHOTOS))
def test_default_partitions(photos: int, slots: int, each: int) -> None:
    tasks = default_partitions(photos, slots, each)
    assert tasks >= max(LEAST_TASKS, min(slots, photos))
    assert tasks == LEAST_TASKS or tasks % slots == 0
    bounds = partition_bounds(photos, tasks)
    assert max(stop - start for start, stop in bounds) <= each


def test_default_partitions_of_the_reference_experiment() -> None:
    bounds = partition_bounds(50, default_partitions(50, 2))
    assert [stop - start for start, stop in bounds] == [13, 13, 13, 11]


def test_task_photos_of_slower_backbones_are_fewer() -> None:
    assert task_photos(MOBILENET_V2) == TASK_PHOTOS
    by_work = sorted(BACKBONES.values(), key=lambda backbone: backbone.multiply_adds)
    counts = [task_photos(backbone) for backbone in by_work]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == BLOCK
