"""Whether the machine has what a fine-tuning takes: memory, and room on the disk. An estimate, before the work."""

import shutil
from pathlib import Path

from orchard.errors import MachineError

# Beside a trained number: two moments of the optimizer, its gradient, the best epoch's, and all of it once more while
# it is saved.
_COPIES = 10
_BATCHES = 3  # activations, their gradients, and what the gradients are computed with


def memory_needed(*, tuned: int, activations: int, batch: int, part: int, held_out: int) -> int:
    """Megabytes: of `tuned` weights, `activations` of each photo of a batch, and photos of `part` numbers kept."""
    return 4 * (tuned * _COPIES + activations * batch * _BATCHES + part * (held_out + 4 * batch)) // 1_000_000


def disk_needed(*, tuned: int, baked: int) -> int:
    """Megabytes: of the state and its draft, and of the new folder beside an old one; `baked` is one in bytes."""
    return (4 * 2 * tuned * 5 + 2 * baked) // 1_000_000


def check_machine(memory: int, disk: int, folder: Path, free: int | None) -> None:
    """`MachineError` unless `free` megabytes of memory are enough, None: not known, and the disk of the folder is."""
    if free is not None and memory > free:
        what = f"needs {memory:,} MB of memory, {free:,} MB are free"
        raise MachineError(f"fine-tuning {what}: give a smaller --batch, or fewer --blocks")
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if disk > (room := shutil.disk_usage(there).free // 1_000_000):
        what = f"needs {disk:,} MB of disk, {room:,} MB are free"
        raise MachineError(f"--output {folder}: fine-tuning {what}: choose another disk")
