"""Runs in processes of their own, to be killed: many photos, a run in progress, the processes it consists of."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from orchard.sample import draw_samples


def make_many(folder: Path, *, varieties: int, photos: int) -> Path:
    """So many photos in each of some varieties, most of them links to a few; one in each is bad."""
    draw_samples(folder, varieties=varieties, per_variety=20, seed=1)
    for variety in folder.iterdir():
        for number in range(photos - 21):
            (variety / f"again_{number}.jpg").symlink_to(variety / f"{number % 20}_100.jpg")
        (variety / "bad.jpg").write_bytes(b"junk")
    return folder


def start(
    photos: object, output: object, *more: object, master: str = "local[2]", environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """`orchard run`, in a process group of its own as under a shell; its standard error is a pipe."""
    where = ["--input", str(photos), "--output", str(output), "--master", master]
    command = [sys.executable, "-m", "orchard", "run", *where, *map(str, more)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ, start_new_session=True
    )


def end(run: subprocess.Popen[str]) -> str:
    """Wait for a run and everything it started, which holds its standard error; what it logged."""
    return run.communicate(timeout=600)[1]


def wait_for(condition: Callable[[], object], run: subprocess.Popen[str], timeout: float = 120) -> bool:
    """Wait until something is true of a run in progress; False if it ended before."""
    deadline = time.monotonic() + timeout
    while not condition():
        if run.poll() is not None:
            return False
        assert time.monotonic() < deadline, "the run did not come so far"
        time.sleep(0.05)
    return True


@contextmanager
def writing(photos: Path, output: Path, *more: object) -> Iterator[subprocess.Popen[str]]:
    """A run of whose tasks some have ended, and which is still at work."""
    with start(photos, output, *more) as run:
        # Of two slots: the first two files, at least, belong to tasks that have ended.
        assert wait_for(lambda: len(list(output.glob("features/*.parquet"))) >= 5, run)
        yield run


def victims(run: subprocess.Popen[str], kind: str) -> list[psutil.Process]:
    """The processes of one kind that a run has now: driver, worker, jvm or executor."""
    if kind == "driver":
        return [psutil.Process(run.pid)]
    family = psutil.Process(run.pid).children(recursive=True)
    if kind == "worker":  # forked by a daemon that is a Python too
        return [one for one in family if one.name().startswith("python") and one.parent().name().startswith("python")]
    return [one for one in family if one.name() == "java" and (kind == "jvm") == (one.ppid() == run.pid)]


def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Wait until processes have ended."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
