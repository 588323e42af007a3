"""The Spark master: what its URL means, and whether a cluster's answers."""

import os
import re
import socket

from orchard.errors import MachineError

# Spark itself tries for a minute, and then says that its context has been shut down.
CONNECT_SECONDS = 5


def local_memory(master: str) -> int:
    """Megabytes of heap for a local master: 1 GB for up to 8 slots, 64 MB for each one more (a result takes 7 MB)."""
    slots = re.match(r"local\[(\d+)", master)
    return 1024 + 64 * max(0, (int(slots[1]) if slots else os.cpu_count() or 1) - 8)


def is_local(master: str) -> bool:
    """Whether all tasks run on this machine, in processes of the driver's own."""
    return re.match(r"local(\[|$)", master) is not None


def with_retries(master: str) -> str:
    """A local master with a cluster's 4 attempts: with `local[2]` one killed Python worker would end the run."""
    return re.sub(r"^local(?:\[(\d+|\*)\])?$", lambda match: f"local[{match[1] or 1},4]", master)


def check_answers(master: str, timeout: float = CONNECT_SECONDS) -> None:
    """Raise `MachineError` where none of the masters of a standalone cluster can be connected to; others pass."""
    reasons = []
    for address in master.removeprefix("spark://").split(",") if master.startswith("spark://") else ():
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout).close()
        except OSError as exc:
            reasons.append(exc.strerror or str(exc))
        else:
            return
    if reasons:
        what = f"no answer ({reasons[0]})"
        raise MachineError(f"--master {master}: {what}: check the address, and that the cluster is up")
