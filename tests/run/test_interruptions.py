"""Runs that end before their time, in processes of their own, and the same call after that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.run.processes import end, make_many, start, wait_for, wait_until_gone, writing
from tests.runs import Output, orchard

pytestmark = pytest.mark.usefixtures("weights")
CUT = ("--partitions", "16")
FAST = {**os.environ, "ORCHARD_COMMIT_SECONDS": "0.2"}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,200 photos: enough to be caught in the middle of."""
    return make_many(tmp_path_factory.mktemp("many") / "photos", varieties=1, photos=1200)


def committed(output: Path) -> int:
    """Commits of features, but for those that make and claim the table."""
    return len(list(output.glob("features/_delta_log/*.json"))) - 1


def run_again(photos: Path, output: Path, *more: object) -> Output:
    done = orchard("run", "--input", photos, "--output", output, "--master", "local[2]", *more)
    assert done.returncode == 0, done.stderr
    found = Output(output)
    assert found.files() == found.live_files()
    return found


def test_run_interrupted_by_ctrl_c_keeps_what_was_reported(many: Path, tmp_path: Path) -> None:
    with writing(many, tmp_path / "out", *CUT) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    wait_until_gone(family)
    kept = len(Output(tmp_path / "out").live_paths()) if committed(tmp_path / "out") else 0
    report = run_again(many, tmp_path / "out", *CUT).report
    assert report["counts"] == {"listed": 1200, "featurized": 1199, "rejected": 1}
    assert 0 < report["update"]["kept"] <= kept + 1


def test_run_whose_input_goes_away_stops_and_keeps_its_work(many: Path, tmp_path: Path) -> None:
    with start(many, tmp_path / "out", *CUT, environ=FAST) as process:
        assert wait_for(lambda: committed(tmp_path / "out") > 0, process)
        away = many.rename(many.with_name("away"))
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            away.rename(many)
    assert process.returncode == 1
    assert f"--input {many}" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    report = run_again(many, tmp_path / "out", *CUT).report
    assert report["counts"] == {"listed": 1200, "featurized": 1199, "rejected": 1}
    assert report["update"]["kept"] > 0


@pytest.mark.slow
def test_overwrite_that_was_killed_continues(many: Path, tmp_path: Path) -> None:
    limited = ("--varieties", 1, "--per-variety", 6)
    run_again(many, tmp_path / "out", *limited)
    with start(many, tmp_path / "out", "--overwrite", *CUT, environ=FAST) as process:
        assert wait_for(lambda: committed(tmp_path / "out") > 3, process)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate(timeout=60)
    wait_until_gone(family)
    report = run_again(many, tmp_path / "out", "--overwrite", *CUT).report
    assert report["update"]["kept"] > 6
    report = run_again(many, tmp_path / "out", "--overwrite", *limited).report
    assert report["update"] == {"new": 6, "changed": 0, "removed": 0, "kept": 0, "retried": 0}


def test_run_on_a_full_disk(many: Path, small_disk: Path) -> None:
    done = orchard("run", "--input", many, "--output", small_disk / "out", "--master", "local[2]", *CUT)
    assert done.returncode == 1
    assert f"--output {small_disk / 'out'}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    report = run_again(many, small_disk / "out", *CUT).report
    assert report["counts"]["featurized"] == 1199
    assert report["update"]["kept"] > 0


def test_two_runs_into_one_output(many: Path, tmp_path: Path) -> None:
    with start(many, tmp_path / "out", *CUT) as first:
        assert wait_for(lambda: committed(tmp_path / "out") >= 0, first)  # it has just claimed the output
        with start(many, tmp_path / "out", *CUT) as second:
            logged = [end(first), end(second)]
    codes = [first.returncode, second.returncode]
    assert sorted(codes) == [0, 1], logged
    loser = logged[codes.index(1)].splitlines()
    assert f"--output {tmp_path / 'out'}" in loser[-1]
    assert "Traceback" not in "".join(logged)
    output = Output(tmp_path / "out")
    assert len(output.paths("features")) == len(set(output.paths("features"))) == 1199
    assert output.report["counts"] == {"listed": 1200, "featurized": 1199, "rejected": 1}


def test_run_that_is_up_to_date_starts_no_jvm(drawn: Path, tmp_path: Path) -> None:
    run_again(drawn, tmp_path / "out")
    # With no Java and no Spark to be found, there is nothing that could be started.
    code = "import sys; sys.modules['pyspark'] = None; from orchard.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "run", "--input", str(drawn), "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_run_with_a_closed_pipe(drawn: Path, tmp_path: Path) -> None:
    reading, writing_end = os.pipe()
    os.close(reading)
    where = ["--input", str(drawn), "--output", str(tmp_path / "out")]
    command = [sys.executable, "-m", "orchard", "run", *where, "--dry-run", "--json"]
    try:
        done = subprocess.run(command, stdout=writing_end, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing_end)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_command_line_errors_are_one_line(drawn: Path, tmp_path: Path) -> None:
    for arguments, code, named in (
        (["--input", tmp_path / "nowhere"], 1, "--input"),
        (["--input", drawn, "--components", 99], 1, "--components 99"),
        (["--input", drawn, "--variance", 1.5], 2, "--variance"),
        (["--input", drawn, "--weights", tmp_path], 1, "orchard weights"),
        (["--input", drawn, "--backbone", "vgg"], 2, "mobilenet_v2"),
        (["--input", drawn, "--nonsense"], 2, "--nonsense"),
        (["--input", "gs://fruit/in"], 2, "s3://"),
    ):
        done = orchard("run", "--output", tmp_path / "out", "--master", "local[2]", *arguments)
        assert done.returncode == code, done.stderr
        assert named in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_sample_run_and_report_commands(tmp_path: Path) -> None:
    assert orchard("sample", "--output", tmp_path / "photos", "--varieties", 2, "--per-variety", 4).returncode == 0
    planned = orchard("run", "--input", tmp_path / "photos", "--output", tmp_path / "out", "--dry-run")
    assert planned.returncode == 0
    assert not (tmp_path / "out").exists()
    run_again(tmp_path / "photos", tmp_path / "out")
    (tmp_path / "out" / "report.html").unlink()
    done = orchard("report", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    shutil.rmtree(tmp_path / "out" / "features")
    assert orchard("report", tmp_path / "out").returncode == 1
