"""Processes of a run killed at random moments, and the same call again: `pytest --kills 20` for many."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from tests.run.processes import end, make_many, start, victims
from tests.runs import Output, cluster_environ

pytestmark = [pytest.mark.usefixtures("weights"), pytest.mark.slow]
# In the order of their turn; Spark's executor is in the driver's JVM, or where there are several in a JVM of its own.
MASTERS = {"driver": "local[2]", "worker": "local[2]", "jvm": "local[2]", "executor": "local-cluster[2,1,1024]"}
# What the killed call is: the first one, one that starts anew, one after a delivery.
CALLS = ("first", "overwrite", "delivery")
PHOTOS, CUT = 600, ("--partitions", "20")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", range(metafunc.config.getoption("--kills")))


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    # A commit every half second instead of 30, so that a kill has commits before and after it.
    return {**cluster_environ(tmp_path_factory.mktemp("spark")), "ORCHARD_COMMIT_SECONDS": "0.5"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_many(tmp_path_factory.mktemp("kills") / "in", varieties=2, photos=PHOTOS // 2)


@dataclass(frozen=True)
class Unbroken:
    """The output of a run that nobody killed, and how many seconds it took."""

    output: Output
    seconds: float


@pytest.fixture(scope="module")
def unbroken(photos: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    folder, started = tmp_path_factory.mktemp("unbroken") / "out", time.monotonic()
    run = start(photos, folder, *CUT, environ=environ)
    logged = end(run)
    assert run.returncode == 0, logged
    return Unbroken(Output(folder), time.monotonic() - started)


@pytest.fixture(scope="module")
def before(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of two thirds of the photos, before the others were delivered."""
    folder = tmp_path_factory.mktemp("before")
    shutil.copytree(photos, folder / "in", symlinks=True)
    for path in sorted(path for path in (folder / "in").rglob("again_*") if path.is_symlink())[::3]:
        path.unlink()
    run = start(folder / "in", folder / "out", *CUT)
    logged = end(run)
    assert run.returncode == 0, logged
    return folder / "out"


def kill_one(run: subprocess.Popen[str], kind: str, chance: random.Random, longest: float) -> str | None:
    """Kill a process of this kind at a random moment of the run; says when, or nothing if it came too late."""
    delay = chance.uniform(0.2, longest)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(delay)
    while run.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if found := victims(run, kind):
                chance.choice(found).send_signal(signal.SIGKILL)
                return f"{kind} after {delay:.1f} s"
        time.sleep(0.05)
    return None


def test_run_again_after_a_kill(
    turn: int, photos: Path, unbroken: Unbroken, before: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    chance, kind, out = random.Random(turn), list(MASTERS)[turn % len(MASTERS)], tmp_path / "out"
    call = CALLS[turn % len(CALLS)]
    arguments = [*CUT, *(["--overwrite"] if call == "overwrite" else [])]
    for _ in range(10):  # until a kill comes in time
        shutil.rmtree(out, ignore_errors=True)
        if call != "first":
            shutil.copytree(before if call == "delivery" else unbroken.output.folder, out)
        run = start(photos, out, *arguments, master=MASTERS[kind], environ=environ)
        killed = kill_one(run, kind, chance, unbroken.seconds)
        logged = end(run)
        if killed:
            break
    left = Output(out).live_files("features")
    ended = (out / "report.json").exists()
    last = logged.splitlines()[-1] if logged else ""
    print(f"\nturn {turn}: {call}: killed {killed}; exit {run.returncode}; {len(left)} files; {last}")
    assert killed
    if run.returncode:
        assert kind in ("driver", "jvm"), logged
        again = start(photos, out, *arguments, environ=environ)
        logged = end(again)
        assert again.returncode == 0, logged
        # What was committed is not done again. After a run that ended all the same, --overwrite starts anew.
        assert left <= Output(out).live_files("features") or (call == "overwrite" and ended)
    output, expected = Output(out), unbroken.output
    assert output.features() == expected.features()
    assert output.components().keys() == expected.components().keys()
    for path, components in output.components().items():
        np.testing.assert_allclose(components, expected.components()[path], atol=1e-6, rtol=1e-6)
    assert output.paths("rejected") == expected.paths("rejected")
    assert output.files() == output.live_files()
    assert not [path for path in out.iterdir() if path.name.startswith(".") or path.name.endswith(".tmp")]
