"""Memory of a process tree while it runs, by role.

PSS (proportional set size) shares each page among the processes that map it. Workers are forked from a parent that has
imported everything, so their RSS counts the same pages again in each: PSS is what they take together, RSS an upper bound for
one alone. Both are kept. PSS is as of the looks; RSS is the highest that the system itself saw (VmHWM), so that no peak between two
looks is missed. Where the system gives neither (anything but Linux), RSS as of the looks stands for them. A look at PSS stops a JVM for
milliseconds; where time is measured as well, only RSS is looked at.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

# Seconds between looks.
INTERVAL = 0.1
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Process:
    """One process at one moment; sizes in bytes, `rss` the highest until then, `pss` None where it was not asked for."""

    pid: int
    parent: int
    name: str
    pss: int | None
    rss: int


def watch(root: subprocess.Popen[bytes], *, pss: bool) -> dict[str, float]:
    """Look at the tree under `root` again and again until it ends; its peaks, see `sizes`."""
    peaks: dict[str, float] = {}
    while True:
        for name, size in sizes(root.pid, _look(root.pid, pss)).items():
            peaks[name] = max(size, peaks.get(name, 0.0))
        with contextlib.suppress(subprocess.TimeoutExpired):
            root.wait(INTERVAL)
            return peaks


def _look(root: int, pss: bool) -> list[Process]:
    found = []
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(root)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it ended meanwhile
                memory = process.memory_full_info() if pss else process.memory_info()
                share = getattr(memory, "pss", memory.rss) if pss else None
                found.append(
                    Process(process.pid, process.ppid(), process.name(), share, _highest(process.pid) or memory.rss)
                )
    return found


def _highest(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        if line := re.search(
            r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"), re.MULTILINE
        ):
            return int(line[1]) * 1024
    return None


def roles(root: int, processes: Sequence[Process]) -> dict[int, str]:
    """`driver` (the driver's Python, the JVM and what starts it), `daemon` (forks the workers), `worker`, by process id."""
    known = {root: "driver"}
    for process in processes:  # parents come before their children
        is_python = process.pid != root and process.name.startswith("python")
        known[process.pid] = (
            "driver" if not is_python else "daemon" if known.get(process.parent, "driver") == "driver" else "worker"
        )
    return known


def sizes(root: int, processes: Sequence[Process]) -> Mapping[str, float]:
    """Megabytes (10^6 bytes) at one moment: the driver whole, the daemon, the largest worker, all; `workers` is how many there are.

    Of PSS and of RSS, as far as they were looked at.
    """
    by_role = roles(root, processes)
    result: dict[str, float] = {"workers": sum(role == "worker" for role in by_role.values())}
    for kind in ("pss", "rss"):
        if any(getattr(process, kind) is None for process in processes):
            continue
        of = {
            role: [getattr(process, kind) for process in processes if by_role[process.pid] == role]
            for role in set(by_role.values())
        }
        result[f"driver_{kind}"] = sum(of.get("driver", [])) / _MEGABYTE
        result[f"daemon_{kind}"] = sum(of.get("daemon", [])) / _MEGABYTE
        result[f"worker_{kind}"] = max(of.get("worker", []), default=0) / _MEGABYTE
        result[f"all_{kind}"] = sum(map(sum, of.values())) / _MEGABYTE
    return result
