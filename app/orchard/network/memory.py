"""Whether the processes that run a network fit into memory: said before the system ends one of them without a word."""

from pathlib import Path

from orchard.errors import MachineError
from orchard.network.backbone import Backbone

# Megabytes that a process takes beside the network: of Python, and of TensorFlow where that runs it.
_BESIDE = {"litert": 50, "tensorflow": 700}


def check_memory(backbone: Backbone, runtime: str, processes: int, free: int | None) -> None:
    """Raise `MachineError` unless so many processes with the network fit into `free` megabytes; None: not known."""
    needed = processes * (backbone.memory + _BESIDE.get(runtime, 0))
    if free is not None and needed > free:
        slots = "one process" if processes == 1 else f"{processes} processes"
        raise MachineError(
            f"{backbone.name} needs {needed:,} MB of memory for {slots} with {runtime}, {free:,} MB are free: "
            "use fewer task slots (--master local[N]), a smaller backbone, or more memory"
        )


def free_memory(root: Path = Path("/")) -> int | None:
    """Megabytes that this machine has free, or its container, whichever is less; None where the system tells neither.

    `root` is where /proc and /sys are. What caches files is free.
    """
    found = [one for one in (_of_machine(root), _of_container(root)) if one is not None]
    return max(0, min(found)) // 1_000_000 if found else None


def _of_machine(root: Path) -> int | None:
    available = _numbers(root / "proc/meminfo").get("MemAvailable:")
    return None if available is None else available * 1024


def _of_container(root: Path) -> int | None:
    """By control groups of version 2, or 1."""
    group = root / "sys/fs/cgroup"
    for folder, limit, used, cache in (
        (group, "memory.max", "memory.current", "inactive_file"),
        (group / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        return free + _numbers(folder / "memory.stat").get(cache, 0)
    return None


def _numbers(path: Path) -> dict[str, int]:
    """The first two words of each line."""
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}
