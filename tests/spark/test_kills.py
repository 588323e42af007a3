"""Processes of a run killed at random moments, in turn, in processes of their own: `pytest --kills 20` for more than a handful."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from orchard.photos.sample import draw_samples

from tests.runs import Output, cluster_environ

pytestmark = pytest.mark.usefixtures("weights")
# In the order of their turn; Spark's executor is in the driver's JVM, or where there are several in a JVM of its own.
VICTIMS = {"driver": "local[2]", "worker": "local[2]", "jvm": "local[2]", "executor": "local-cluster[2,1,1024]"}
PHOTOS, CHUNKS, CUT = 600, 10, ("--partitions", "20", "--chunk", "60")
TABLES = ("manifest", "features", "components", "rejected")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", range(metafunc.config.getoption("--kills")))


@dataclass(frozen=True)
class Bench:
    """What is run, and what comes out of it unbroken."""

    photos: Path
    unbroken: Output
    environ: dict[str, str]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """600 photos, some of them bad, and their unbroken run."""
    folder = tmp_path_factory.mktemp("kills")
    draw_samples(folder / "in", varieties=2, per_variety=20, seed=1)
    for variety in (folder / "in").iterdir():
        for number in range(PHOTOS // 2 - 20):
            (variety / f"again_{number}.jpg").symlink_to(variety / f"{number % 20}_100.jpg")
        (variety / "again_7.jpg").unlink()
        (variety / "again_7.jpg").write_bytes(b"junk")
    environ = cluster_environ(folder)
    run = start(folder / "in", folder / "unbroken", "local[2]", environ)
    said = end(run)
    assert run.returncode == 0, said
    return Bench(folder / "in", Output(folder / "unbroken"), environ)


def start(photos: Path, output: Path, master: str, environ: dict[str, str], *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "orchard",
        "run",
        "--input",
        str(photos),
        "--output",
        str(output),
        "--master",
        master,
        *CUT,
        *more,
    ]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ, start_new_session=True
    )


def victims(run: subprocess.Popen[str], kind: str) -> list[psutil.Process]:
    """The processes of one kind that a run has now."""
    family = psutil.Process(run.pid).children(recursive=True)
    if kind == "driver":
        return [psutil.Process(run.pid)]
    if kind == "worker":  # forked by a daemon that is a Python too
        return [one for one in family if one.name().startswith("python") and one.parent().name().startswith("python")]
    return [one for one in family if one.name() == "java" and (kind == "jvm") == (one.ppid() == run.pid)]


def kill_one(run: subprocess.Popen[str], kind: str, output: Path, chance: random.Random) -> str | None:
    """Kill a process of this kind at a random moment of the run; says when, or nothing if it came too late."""
    chunks, delay = chance.randrange(CHUNKS), chance.uniform(0, 3)
    while run.poll() is None and (committed(output)[0] < chunks):
        time.sleep(0.05)
    time.sleep(delay)
    while run.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if found := victims(run, kind):
                chance.choice(found).send_signal(signal.SIGKILL)
                return f"{kind}, {delay:.1f} s after chunk {chunks} of {CHUNKS}"
        time.sleep(0.05)
    return None


def run_and_kill(
    bench: Bench, kind: str, output: Path, chance: random.Random
) -> tuple[subprocess.Popen[str], str, str]:
    """A run of which a process was killed, when that was, and what it said; one that ended before that is not counted."""
    for _ in range(5):
        run = start(bench.photos, output, VICTIMS[kind], bench.environ)
        killed = kill_one(run, kind, output, chance)
        said = end(run)
        if killed:
            return run, killed, said
        assert run.returncode == 0, said
        shutil.rmtree(output)
    raise AssertionError(f"no {kind} was there to be killed in time, in five runs")


def end(run: subprocess.Popen[str]) -> str:
    """Wait for a run and everything it started, which holds its standard error; what it said."""
    return run.communicate(timeout=600)[1]


def committed(output: Path) -> tuple[int, int]:
    """How many chunks an unfinished run has committed, and how many it began in vain."""
    chunks = output / ".partial" / "chunks"
    done = len(list(chunks.glob("*.json")))
    return done, sum(path.is_dir() for path in chunks.glob("*")) - done


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(turn: int, bench: Bench, tmp_path: Path) -> None:
    chance, kind, out = random.Random(turn), list(VICTIMS)[turn % len(VICTIMS)], tmp_path / "out"
    run, killed, said = run_and_kill(bench, kind, out, chance)
    done, in_vain = committed(out)
    print(
        f"\nturn {turn}: killed {killed}; exit code {run.returncode}; {done} chunks kept, {in_vain} begun in vain; {said.splitlines()[-1]}"
    )
    if run.returncode:
        assert kind in ("driver", "jvm"), said
        assert in_vain <= 1
        again = start(bench.photos, out, "local[2]", bench.environ, "--resume")
        said = end(again)
        assert again.returncode == 0, said
        assert Output(out).report["chunks"] == {"total": CHUNKS, "resumed": done}
    else:
        assert kind in ("worker", "executor"), said
    for table in TABLES:
        assert Output(out).table(table).equals(bench.unbroken.table(table)), table
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
