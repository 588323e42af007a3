"""Runs that end before their time, in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from orchard.photos.sample import draw_samples

from tests.runs import Output, orchard

pytestmark = pytest.mark.usefixtures("weights")
CUT = ("--partitions", "16", "--chunk", "190")  # 8 chunks of `many`


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough photos to be caught in the middle of."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    draw_samples(folder, varieties=1, per_variety=20, seed=1)
    drawn = next(folder.iterdir())
    for number in range(1500):
        (drawn / f"again_{number}.jpg").symlink_to(drawn / f"{number % 20}_100.jpg")
    return folder


@contextmanager
def started(photos: Path, output: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A run that has begun to featurize, in a process group of its own as under a shell."""
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
        "local[2]",
        *more,
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr
        assert "1,520 photos" in process.stderr.readline()
        deadline = time.monotonic() + 60
        while not list(output.glob(".partial/chunks/*/_temporary/**/*.parquet")):
            assert time.monotonic() < deadline, "featurizing did not begin"
            time.sleep(0.1)
        yield process


def wait_for_a_chunk(process: subprocess.Popen[str], output: Path) -> None:
    """Until the run has committed one, and is at work on the next."""
    while not list(output.glob(".partial/chunks/*.json")):
        assert process.poll() is None
        time.sleep(0.1)


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []


def test_ctrl_c_says_so_and_leaves_nothing(many: Path, tmp_path: Path) -> None:
    with started(many, tmp_path / "out") as process:
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    # Among them, not the last of them: a JVM cut off in mid-job may have its own last words.
    assert "orchard: interrupted: nothing of this run was kept, an earlier output is as it was" in errors.splitlines()
    assert not (tmp_path / "out").exists()
    wait_until_gone(family)


def test_ctrl_c_keeps_what_is_committed(many: Path, tmp_path: Path) -> None:
    with started(many, tmp_path / "out", *CUT) as process:
        wait_for_a_chunk(process, tmp_path / "out")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    (said,) = re.findall(
        r"^orchard: interrupted: (\d) of 8 chunks are kept: continue with --resume, an earlier", errors, re.MULTILINE
    )
    refused = orchard("run", "--input", many, "--output", tmp_path / "out", *CUT)
    assert refused.returncode == 1
    assert f"holds {said} of 8 chunks of an unfinished run" in refused.stderr
    done = orchard("run", "--input", many, "--output", tmp_path / "out", "--master", "local[2]", "--resume", *CUT)
    assert done.returncode == 0, done.stderr
    assert f"1,520 photos, 16 partitions in 8 chunks, {said} of them done already" in done.stderr
    assert f"{said} of 8 chunks were done before" in done.stdout


def test_a_folder_that_goes_away_stops_the_run_and_costs_no_photo(many: Path, tmp_path: Path) -> None:
    with started(many, tmp_path / "out", *CUT) as process:
        wait_for_a_chunk(process, tmp_path / "out")
        away = many.rename(many.with_name("away"))
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            away.rename(many)
    assert process.returncode == 1
    message = f"--input {many}: what could be read when the run began cannot be any more (gone: No such file or directory): check that the"
    assert message in errors
    assert "chunks are kept: continue with --resume" in errors.splitlines()[-1]
    done = orchard("run", "--input", many, "--output", tmp_path / "out", "--master", "local[2]", "--resume", *CUT)
    assert done.returncode == 0, done.stderr
    assert Output(tmp_path / "out").report["counts"] == {"listed": 1520, "featurized": 1520, "rejected": 0}


def test_a_killed_run_leaves_the_earlier_output_whole_and_the_next_one_works(many: Path, tmp_path: Path) -> None:
    limited = ("--varieties", 1, "--per-variety", 6)
    assert (
        orchard("run", "--input", many, "--output", tmp_path / "out", "--master", "local[2]", *limited).returncode == 0
    )
    before = Output(tmp_path / "out").report
    with started(many, tmp_path / "out", "--overwrite") as process:
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate(timeout=60)
    assert Output(tmp_path / "out").report == before
    assert len(Output(tmp_path / "out").rows("features")) == 6
    wait_until_gone(family)
    done = orchard(
        "run", "--input", many, "--output", tmp_path / "out", "--master", "local[2]", "--overwrite", *limited
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("cut", [(), CUT], ids=["one chunk", "eight chunks"])
def test_a_full_disk_is_one_line_and_no_end(many: Path, small_disk: Path, cut: tuple[str, ...]) -> None:
    command = ("run", "--input", many, "--output", small_disk / "out", "--master", "local[2]", *cut)
    done = orchard(*command)
    assert done.returncode == 1
    assert "orchard: error: Spark stopped: No space left on device: a disk is full" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    kept = len(list(small_disk.glob("out/.partial/chunks/*.json")))
    if not cut:
        assert list(small_disk.iterdir()) == []
        return
    assert kept >= 1
    assert done.stderr.splitlines()[-1].endswith(f"; {kept} of 8 chunks are kept: continue with --resume")
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    done = orchard(*command, "--resume")
    assert done.returncode == 0, done.stderr
    assert Output(small_disk / "out").report["chunks"] == {"total": 8, "resumed": kept}
    assert len(Output(small_disk / "out").rows("components")) == 1520
