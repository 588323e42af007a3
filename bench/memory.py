"""Memory of a process tree while it runs, by role, in MB (10^6 bytes).

PSS counts a page that n processes map as 1/n in each, RSS counts it whole in each. Workers are forked from a parent
that has imported everything: PSS is what they take together, RSS an upper bound for one alone. RSS is the highest that
Linux itself saw (VmHWM), so no peak between two looks is missed. A look at PSS stops a JVM for milliseconds; where time
is measured as well, only RSS is looked at.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

INTERVAL = 0.1  # seconds between looks


@dataclass(frozen=True)
class Process:
    """One process at one moment; `sizes` in bytes by kind, `pss` and `rss`."""

    pid: int
    parent: int
    name: str
    sizes: Mapping[str, int]


def watch(root: subprocess.Popen[bytes], *, pss: bool) -> dict[str, float]:
    """Look at the tree under `root` again and again until it ends; its peaks, see `sum_up`."""
    peaks: dict[str, float] = {}
    while root.poll() is None:
        for name, size in sum_up(root.pid, _look(root.pid, pss)).items():
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
                sizes = {"rss": _highest_rss(process)}
                if pss:
                    sizes["pss"] = process.memory_full_info().pss
                found.append(Process(process.pid, process.ppid(), process.name(), sizes))
    return found


def _highest_rss(process: psutil.Process) -> int:
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        if line := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            return int(line[1]) * 1024
    return int(process.memory_info().rss)


def sum_up(root: int, processes: Sequence[Process]) -> dict[str, float]:
    """MB of the driver (Python and JVM), of the daemon that forks the workers, of the largest worker, and of all.

    Args:
        root: process id of the driver.
        processes: parents before their children.

    Returns:
        `driver_rss`, `daemon_rss`, `worker_rss` and `all_rss`; the same with `pss`, where it was looked at.
    """
    roles, sizes = _roles(root, processes), dict[str, float]()
    for kind in processes[0].sizes if processes else ():
        of = {
            role: [process.sizes[kind] / 1e6 for process in processes if roles[process.pid] == role] for role in ROLES
        }
        sizes |= {f"driver_{kind}": sum(of["driver"]), f"daemon_{kind}": sum(of["daemon"])}
        sizes |= {f"worker_{kind}": max(of["worker"], default=0.0), f"all_{kind}": sum(map(sum, of.values()))}
    return sizes


ROLES = ("driver", "daemon", "worker")


def _roles(root: int, processes: Sequence[Process]) -> dict[int, str]:
    roles = {root: "driver"}
    for process in processes:
        is_python = process.pid != root and process.name.startswith("python")
        parent = roles.get(process.parent, "driver")
        roles[process.pid] = "driver" if not is_python else "daemon" if parent == "driver" else "worker"
    return roles
