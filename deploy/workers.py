"""What sizes a worker of EMR Serverless may have, and how much driver and executors take together. Pure.

The table is the one of "Supported worker configurations" in the EMR Serverless User Guide (read 2026-11-23); disks of
the standard type have 20 to 200 GB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.errors import SpecError
from deploy.spec import Spec, Worker

# vCPU -> GB of memory.
MEMORY: Mapping[int, range] = {
    1: range(2, 9),
    2: range(4, 17),
    4: range(8, 31),
    8: range(16, 61, 4),
    16: range(32, 121, 8),
}
DISK = range(20, 201)
# A worker's memory holds the JVM's heap and this much more unless spark.*.memoryOverhead says otherwise: a share, and
# MB at least.
OVERHEAD_SHARE, LEAST_OVERHEAD = 0.1, 384


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """vCPU, GB of memory and GB of disk that workers take together."""

    cpu: int
    memory: int
    disk: int

    def __le__(self, other: Capacity) -> bool:
        return self.cpu <= other.cpu and self.memory <= other.memory and self.disk <= other.disk

    def __str__(self) -> str:
        return f"{self.cpu} vCPU, {self.memory} GB of memory, {self.disk} GB of disk"


def total(driver: Worker, executor: Worker, executors: int) -> Capacity:
    """What a driver and so many executors take."""
    return Capacity(
        cpu=driver.cpu + executors * executor.cpu,
        memory=driver.memory + executors * executor.memory,
        disk=driver.disk + executors * executor.disk,
    )


def capacity(spec: Spec) -> Capacity:
    """What the runs of a specification may take at once: the application's maximum, and what is billed at most."""
    return total(spec.driver, spec.executor, spec.executors)


def check_workers(spec: Spec) -> None:
    """Raise `SpecError` for a size that no worker has, or for more vCPU than the account's quota lets run at once."""
    for role, worker in (("driver", spec.driver), ("executor", spec.executor)):
        if reason := problem(worker):
            raise SpecError(f"{role}: {reason}")
    wanted = capacity(spec).cpu
    if wanted > spec.vcpu_quota:
        raise SpecError(
            f"driver and executors: {spec.driver.cpu} + {spec.executors} x {spec.executor.cpu} = {wanted} vCPU at "
            "once, and the account's "
            f"quota is {spec.vcpu_quota}: a run would wait for workers that never come: {_smaller(spec)}, or have the "
            "quota L-D05C8A75 raised and write the new one into vcpuQuota"
        )


def problem(worker: Worker) -> str | None:
    """Why there is no such worker, with the nearest ones that there are; None where there is."""
    sizes = MEMORY.get(worker.cpu)
    if sizes is None:
        return f"{worker.cpu} vCPU: a worker has {', '.join(map(str, MEMORY))}"
    if worker.memory not in sizes:
        step = f" in steps of {sizes.step}" if sizes.step > 1 else ""
        return (
            f"{worker.cpu} vCPU with {worker.memory} GB: such a worker has {sizes[0]} to {sizes[-1]} GB{step}: "
            f"the nearest are {' and '.join(_neighbours(worker))}"
        )
    if worker.disk not in DISK:
        return f"{worker.disk} GB of disk: a worker has {DISK[0]} to {DISK[-1]} GB"
    return None


def _neighbours(worker: Worker) -> list[str]:
    """The sizes around a worker that is none.

    The same vCPU with less and with more memory, or that memory with other vCPU.
    """
    sizes = MEMORY[worker.cpu]
    same = {
        (worker.cpu, size) for size in (_last_below(sizes, worker.memory), _first_above(sizes, worker.memory)) if size
    }
    other = {
        (cpu, _first_above(sizes, worker.memory - 1) or 0) for cpu, sizes in MEMORY.items() if worker.memory in sizes
    }
    return [f"{cpu} vCPU with {memory} GB" for cpu, memory in sorted(same | other)]


def _last_below(sizes: range, memory: int) -> int | None:
    return max((size for size in sizes if size < memory), default=None)


def _first_above(sizes: range, memory: int) -> int | None:
    return min((size for size in sizes if size > memory), default=None)


def _smaller(spec: Spec) -> str:
    room = (spec.vcpu_quota - spec.driver.cpu) // spec.executor.cpu
    if room >= 1:
        return f"executors: {room} would fit"
    fitting = [cpu for cpu in MEMORY if spec.driver.cpu + spec.executors * cpu <= spec.vcpu_quota]
    return f"executors of {fitting[-1]} vCPU would fit" if fitting else "choose a smaller driver"


def fitting_memory(cpu: int, heap: int, overhead: int | None) -> int | None:
    """GB of the smallest worker that holds a JVM, or None where none does.

    Args:
        heap, overhead: MB; an overhead of None is Spark's own default.
    """
    needed = heap + (max(LEAST_OVERHEAD, math.ceil(heap * OVERHEAD_SHARE)) if overhead is None else overhead)
    return next((size for size in MEMORY.get(cpu, ()) if size * 1024 >= needed), None)
