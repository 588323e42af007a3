"""What sizes a worker of EMR Serverless may have, and how much driver and executors take together. Pure.

The table is the one of "Supported worker configurations" in the EMR Serverless User Guide (read 2026-11-23); disks of
the standard type have 20 to 200 GB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from orchard_deploy.errors import SpecError
from orchard_deploy.spec import Spec, Worker

# vCPU -> GB of memory.
MEMORY: Mapping[int, range] = {
    1: range(2, 9),
    2: range(4, 17),
    4: range(8, 31),
    8: range(16, 61, 4),
    16: range(32, 121, 8),
}
DISK = range(20, 201)


def capacity(spec: Spec) -> Worker:
    """What the runs of a specification may take at once: the application's maximum, and what is billed at most."""
    sizes = vars(spec.executor).items()
    return Worker(**{name: getattr(spec.driver, name) + spec.executors * size for name, size in sizes})


def check_workers(spec: Spec) -> None:
    """Raise `SpecError` for a size that no worker has, or for more vCPU than the account's quota lets run at once."""
    for role, worker in (("driver", spec.driver), ("executor", spec.executor)):
        if reason := problem(worker):
            raise SpecError(f"{role}: {reason}")
    wanted = capacity(spec).cpu
    if wanted > spec.vcpu_quota:
        raise SpecError(
            f"driver and executors: {spec.driver.cpu} + {spec.executors} x {spec.executor.cpu} = {wanted} vCPU at "
            f"once, and the account's quota is {spec.vcpu_quota}: a run would wait for workers that never come: "
            "name fewer or smaller ones, or have the quota L-D05C8A75 raised and write the new one into vcpuQuota"
        )


def problem(worker: Worker) -> str | None:
    """Why there is no such worker, with what there is; None where there is."""
    sizes = MEMORY.get(worker.cpu)
    if sizes is None:
        return f"{worker.cpu} vCPU: a worker has {', '.join(map(str, MEMORY))}"
    if worker.memory not in sizes:
        step = f" in steps of {sizes.step}" if sizes.step > 1 else ""
        return f"{worker.cpu} vCPU with {worker.memory} GB: such a worker has {sizes[0]} to {sizes[-1]} GB{step}"
    if worker.disk not in DISK:
        return f"{worker.disk} GB of disk: a worker has {DISK[0]} to {DISK[-1]} GB"
    return None


def fitting_memory(cpu: int, heap: int, overhead: int | None) -> int | None:
    """GB of the smallest worker that holds a JVM, or None where none does.

    Args:
        heap, overhead: MB; an overhead of None is Spark's own default, a tenth of the heap and 384 at least.
    """
    needed = heap + (max(384, math.ceil(heap * 0.1)) if overhead is None else overhead)
    return next((size for size in MEMORY.get(cpu, ()) if size * 1024 >= needed), None)
