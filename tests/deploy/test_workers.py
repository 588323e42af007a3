"""Worker sizes: AWS's table, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from orchard_deploy.errors import SpecError
from orchard_deploy.spec import SCHEMA, Spec, Worker, capacity, check_workers, fitting_memory

from tests.deploy.stack.specifications import MEMORY

CPUS = st.sampled_from(sorted(MEMORY))


def test_check_workers_accepts_the_projects_own_sizes(spec: Spec) -> None:
    check_workers(spec)
    assert capacity(spec) == Worker(cpu=12, memory=48, disk=60)


@given(cpu=CPUS, memory=st.integers(1, 130))
def test_schema_takes_exactly_the_sizes_of_the_table(cpu: int, memory: int) -> None:
    worker = Draft202012Validator(SCHEMA["$defs"]["worker"])
    assert worker.is_valid({"cpu": cpu, "memory": memory, "disk": 20}) == (memory in MEMORY[cpu])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"executors": 4}, r"4 \+ 4 x 4 = 20 vCPU at once.*quota is 16.*name fewer or smaller ones"),
        ({"driver": Worker(cpu=16, memory=64, disk=20)}, r"16 \+ 2 x 4 = 24"),
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
