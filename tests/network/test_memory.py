"""Memory that is free, as Linux tells it, and whether a network fits into it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from orchard.errors import MachineError
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.network.memory import check_memory, free_memory

# Version 2 and 1: files, and the number of bytes that a container may use and uses, and what of it is cache.
GROUPS = {
    "2": ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat", "inactive_file"),
    "1": (
        *(f"sys/fs/cgroup/memory/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes", "stat")),
        "total_inactive_file",
    ),
}


def write(root: Path, **files: str) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def machine(root: Path, kilobytes: int) -> None:
    write(root, **{"proc/meminfo": f"MemTotal:  9 kB\nMemAvailable:   {kilobytes} kB\nHugePages_Total:   0\n"})


def container(root: Path, version: str, limit: str) -> None:
    limits, used, stat, cache = GROUPS[version]
    write(root, **{limits: limit, used: "700000000\n", stat: f"anon 5\n{cache} 100000000\n"})


def test_free_memory_of_a_machine(tmp_path: Path) -> None:
    assert free_memory(tmp_path) is None
    machine(tmp_path, 2_000_000)
    assert free_memory(tmp_path) == 2048
    container(tmp_path, "2", "max\n")
    assert free_memory(tmp_path) == 2048


@pytest.mark.parametrize("version", GROUPS)
def test_free_memory_of_a_container(tmp_path: Path, version: str) -> None:
    machine(tmp_path, 2_000_000)
    container(tmp_path, version, "1000000000\n")
    assert free_memory(tmp_path) == 400
    container(tmp_path, version, "600000000\n")
    assert free_memory(tmp_path) == 0
    container(tmp_path, version, "9000000000\n")  # more than the machine has
    assert free_memory(tmp_path) == 2048


def test_free_memory_of_this_machine() -> None:
    assert (free_memory() or 0) > 100


def test_check_memory() -> None:
    large = replace(MOBILENET_V2, memory=950)
    check_memory(large, "litert", 1, None)
    check_memory(large, "litert", 1, 1000)
    check_memory(large, "litert", 4, 4000)
    for runtime, processes, needed in (("litert", 5, "5,000 MB"), ("tensorflow", 3, "4,950 MB")):
        with pytest.raises(MachineError, match=needed):
            check_memory(large, runtime, processes, 4000)


def test_all_backbones_fit_a_worker_of_emr_serverless() -> None:
    """4 vCPU and 16 GB, half of which is the JVM's heap."""
    for backbone in BACKBONES.values():
        check_memory(backbone, "tensorflow", 4, 8000)
