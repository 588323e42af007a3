"""Worker sizes: AWS's table, what is refused, and the neighbours that are named instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard_deploy.capacity import MEMORY, capacity, check_workers, fitting_memory, problem
from orchard_deploy.errors import SpecError
from orchard_deploy.spec import Spec, Worker

CPUS = st.sampled_from(sorted(MEMORY))


def test_check_workers_accepts_the_projects_own_sizes(spec: Spec) -> None:
    check_workers(spec)
    assert capacity(spec) == Worker(cpu=12, memory=48, disk=60)


@given(cpu=CPUS, memory=st.integers(1, 130))
def test_problem_is_none_exactly_for_sizes_of_the_table(cpu: int, memory: int) -> None:
    assert (problem(Worker(cpu=cpu, memory=memory, disk=20)) is None) == (memory in MEMORY[cpu])


@pytest.mark.parametrize(
    ("worker", "message"),
    [
        (Worker(cpu=4, memory=31, disk=20), "4 vCPU with 31 GB: such a worker has 8 to 30 GB"),
        (Worker(cpu=8, memory=62, disk=20), "8 vCPU with 62 GB: such a worker has 16 to 60 GB in steps of 4"),
        (Worker(cpu=3, memory=8, disk=20), "3 vCPU: a worker has 1, 2, 4, 8, 16"),
        (Worker(cpu=4, memory=16, disk=300), "300 GB of disk: a worker has 20 to 200 GB"),
    ],
)
def test_problem_names_what_there_is(worker: Worker, message: str) -> None:
    assert message in (problem(worker) or "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"executors": 4}, r"4 \+ 4 x 4 = 20 vCPU at once.*quota is 16.*name fewer or smaller ones"),
        ({"driver": Worker(cpu=16, memory=64, disk=20)}, r"16 \+ 2 x 4 = 24"),
        ({"executor": Worker(cpu=4, memory=31, disk=20)}, "executor: 4 vCPU with 31 GB"),
    ],
)
def test_check_workers_refuses_what_the_quota_would_starve(spec: Spec, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_workers(replace(spec, **changes))


def test_check_workers_takes_the_quota_of_the_specification(spec: Spec) -> None:
    check_workers(replace(spec, executors=4, vcpu_quota=32))


@pytest.mark.parametrize(
    ("cpu", "heap_gb", "memory"), [(4, 14, 16), (4, 27, 30), (8, 60, None), (8, 54, 60), (1, 1, 2), (3, 8, None)]
)
def test_fitting_memory_with_sparks_own_overhead(cpu: int, heap_gb: int, memory: int | None) -> None:
    assert fitting_memory(cpu, heap_gb * 1024, None) == memory


@given(cpu=CPUS, data=st.data())
def test_fitting_memory_of_heap_and_overhead_is_the_very_worker(cpu: int, data: st.DataObject) -> None:
    memory = data.draw(st.sampled_from(list(MEMORY[cpu])))
    heap = memory // 2
    assert fitting_memory(cpu, heap * 1024, (memory - heap) * 1024) == memory
