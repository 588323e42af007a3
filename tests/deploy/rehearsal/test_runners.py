"""What runs a job: its command, its end, and that nothing of it stays."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from orchard_deploy.rehearsal import runners
from orchard_deploy.rehearsal.runners import image_process, image_run
from orchard_deploy.rehearsal.settings import Order

ORDER = Order(
    image="123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard@sha256:1",
    entry_point="local:///main.py",
    arguments=("run", "a b"),
    properties={"spark.driver.cores": "4", "spark.emr-serverless.driverEnv.A": "1", "spark.x": "y z"},
    slots=8,
)
RUN = image_run(ORDER, {"AWS_REGION": "us-east-1"}, "127.0.0.1:5000")
# Notes what it is called with; `run` goes on until it is ended, or for as long as its image says.
ENGINE = """#!/bin/sh
echo "$1 $2 $3" >> {log}
[ "$1" = rm ] && exit 0
echo working
trap '{end}' TERM
sleep {seconds} &
wait
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def engine(log: Path, seconds: int, end: str = "exit 143") -> str:
    program = log.with_name("docker")
    program.write_text(ENGINE.format(log=log, seconds=seconds, end=end), encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def words(log: Path) -> list[str]:
    return [line.split()[0] for line in log.read_text(encoding="utf-8").splitlines()]


def test_the_container_has_the_job_of_the_order_without_sizes() -> None:
    assert (RUN.image, RUN.network, RUN.env) == (
        "127.0.0.1:5000/orchard@sha256:1",
        "host",
        ("A=1", "AWS_REGION=us-east-1"),
    )
    assert RUN.command == ("--master", "local[8]", "--conf", "spark.x=y z", "local:///main.py", "run", "a b")


def test_a_container_that_is_ended_is_removed(log: Path) -> None:
    running = image_process(ORDER, {}, "127.0.0.1:5000", engine(log, 60))
    while running.output()["stdout"] != b"working\n":
        time.sleep(0.01)
    assert running.exit_code() is None
    running.stop()
    assert running.exit_code() == 143
    running.close()
    assert words(log) == ["run", "rm"]
    started, removed = log.read_text(encoding="utf-8").splitlines()
    assert started.split()[-1] == removed.split()[-1] or "--name" in started


def test_a_container_that_has_ended_is_removed_too(log: Path) -> None:
    running = image_process(ORDER, {}, "127.0.0.1:5000", engine(log, 0))
    while running.exit_code() is None:
        time.sleep(0.01)
    assert running.exit_code() == 0
    running.stop()
    running.close()
    assert words(log) == ["run", "rm"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("--input", "a"), ["run", "--input", "a"]), (("train", "--features", "a"), ["train", "--features", "a"])],
)
def test_a_process_gets_run_where_no_command_is_named(
    words: tuple[str, ...], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(runners, "RunningProcess", lambda command, environ: started.append(command))
    runners.tree_process(replace(ORDER, arguments=words), {})
    assert started[0][-len(expected) - 3 :] == [sys.executable, "-m", "orchard", *expected]
