"""Whether the machine has what a fine-tuning takes: memory, and room on the disk. An estimate, before the work."""

import shutil
from collections.abc import Callable
from pathlib import Path

from orchard.errors import MachineError

MEGA = 1_000_000
# Beside a trained number: two moments of the optimizer, its gradient, the best epoch's, and all of it once more while
# it is saved.
_COPIES = 10
_BATCHES = 3  # activations, their gradients, and what the gradients are computed with


def memory_needed(*, tuned: int, activations: int, batch: int, part: int, held_out: int) -> int:
    """Bytes: of `tuned` weights, `activations` of each photo in a batch, and photos of `part` numbers held ready."""
    return 4 * (tuned * _COPIES + activations * batch * _BATCHES + part * (held_out + 4 * batch))


def disk_needed(*, tuned: int, baked: int) -> int:
    """Bytes: of the state and its draft, and of the new folder beside an old one; `baked` is the size of one."""
    return 4 * 2 * tuned * 5 + 2 * baked


def check_machine(memory: int, disk: int, folder: Path, *, available: Callable[[], int | None] | None = None) -> None:
    """`MachineError` where less memory is available, or disk free where the folder will be."""
    free = (available or available_memory)()
    if free is not None and memory > free:
        what = f"needs {memory / MEGA:,.0f} MB of memory, {free / MEGA:,.0f} MB are available"
        raise MachineError(f"fine-tuning {what}: give a smaller --batch, or fewer --blocks")
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if disk > (room := shutil.disk_usage(there).free):
        what = f"needs {disk / MEGA:,.0f} MB of disk, {room / MEGA:,.0f} MB are free"
        raise MachineError(f"--output {folder}: fine-tuning {what}: choose another disk")


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that may still be taken, of the machine and of its container; None where the system does not say."""
    found = []
    try:
        lines = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text().splitlines() if ":" in line)
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
        group = root / "sys/fs/cgroup"
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        found += [int(limit) - int(used)] if limit != "max" else []
    except (OSError, KeyError, ValueError):
        pass
    return min(found, default=None)
