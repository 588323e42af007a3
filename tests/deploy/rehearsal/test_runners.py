"""What runs a job: its command, its end, and that nothing of it stays."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from orchard_deploy.rehearsal.runners import RunningImage, image_run, this_tree
from orchard_deploy.rehearsal.settings import Order

ORDER = Order(
    image="orchard@sha256:1",
    entry_point="local:///main.py",
    arguments=("run", "a b"),
    properties={"spark.driver.cores": "4", "spark.emr-serverless.driverEnv.A": "1", "spark.x": "y z"},
    slots=8,
)
RUN = image_run(ORDER, "127.0.0.1:5000", 6 << 30, {"AWS_REGION": "us-east-1"})
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
    assert (RUN.image, RUN.network, RUN.environment) == (
        "127.0.0.1:5000/orchard@sha256:1",
        "host",
        {"A": "1", "AWS_REGION": "us-east-1"},
    )
    assert RUN.command[2:] == ("--master", "local[8]", "--conf", "spark.x=y z", "local:///main.py", "run", "a b")


def test_a_container_that_is_ended_is_removed(log: Path) -> None:
    running = RunningImage(RUN, engine(log, 60))
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
    running = RunningImage(RUN, engine(log, 0))
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
def test_a_process_gets_run_where_no_command_is_named(words: tuple[str, ...], expected: list[str]) -> None:
    assert this_tree(replace(ORDER, arguments=words))[-len(expected) :] == expected


def test_a_process_of_this_tree_takes_its_own_python() -> None:
    order = replace(ORDER, properties={**ORDER.properties, "spark.pyspark.python": "/opt/orchard/venv/bin/python"})
    assert this_tree(order) == this_tree(ORDER)
    assert "spark.pyspark.python=/opt/orchard/venv/bin/python" in image_run(order, "h", 6 << 30, {}).command
