"""What opens a context that must end before the test does runs in a process of its own: the tests share one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyspark
import pytest
from orchard.spark.session import find_java, spark_facts
from pyspark.sql import SparkSession

TWICE = """
import json, os, psutil, signal, sys
from orchard.spark.session import open_context
environ, lines, states = dict(os.environ), [], []
for number in range(2):
    try:
        with open_context("local[1]", log=lines.append) as context:
            started = psutil.Process().children()
            python = context.parallelize([1], 1).map(lambda _: sys.executable).collect()
            raise ValueError
    except ValueError:
        pass
psutil.wait_procs(psutil.Process().children(), timeout=30)
from pyspark import SparkContext
print(json.dumps({
    "lines": lines,
    "python": python,
    "started": len(started),
    "running": len(psutil.Process().children()),
    "gateway": SparkContext._gateway is None,
    "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "changed": sorted(name for name in os.environ if os.environ[name] != environ.get(name)),
}))
"""
ONCE = """
import logging
logging.getLogger().addHandler(logging.NullHandler())  # as the command line has it: py4j logs lost connections
from orchard.errors import OrchardError
from orchard.spark.tasks import explain_spark_errors
from orchard.spark.session import open_context
try:
    with explain_spark_errors(), open_context(MASTER, log=print) as context:
        print(context.parallelize([20, 22], 2).sum())
except OrchardError as error:
    print(type(error).__name__, error)
"""

# Ctrl-C some time after a JVM was started; how many are left.
INTERRUPTED = """
import logging, os, psutil, signal, threading, time
logging.getLogger().addHandler(logging.NullHandler())
from orchard.spark.session import open_context
started = []
def interrupt():
    while not (found := psutil.Process().children()):
        time.sleep(0.001)
    started.extend(found)
    time.sleep(WAIT)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    with open_context("local[1]", log=print):
        time.sleep(60)
except KeyboardInterrupt:
    print(len(psutil.wait_procs(started, timeout=10)[1]))
"""


def run(script: str, **variables: str) -> str:
    """What the script prints, with these environment variables; nothing but Orchard's own may appear beside it."""
    environ = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environ, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_open_context_ignores_variables_of_another_spark(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.master not-a-master\n")
    leftovers = {
        "SPARK_HOME": "/gone",
        "PYSPARK_PYTHON": "/usr/bin/python3",
        "PYSPARK_SUBMIT_ARGS": "--no-such-flag",
        "SPARK_CONF_DIR": str(tmp_path),
        "HADOOP_CONF_DIR": str(tmp_path),
        "SPARK_LOCAL_IP": "203.0.113.9",
        "SPARK_REMOTE": "sc://gone",
        "JAVA_HOME": "/gone",
    }
    found: dict[str, Any] = json.loads(run(TWICE, TMPDIR=str(tmp_path), **leftovers))
    assert set(found.pop("changed")) <= {"SPARK_AUTH_SOCKET_TIMEOUT", "SPARK_BUFFER_SIZE"}  # pyspark's own
    lines = found.pop("lines")
    assert len(lines) == 2  # one a context
    assert all(name in line for name in leftovers for line in lines)
    assert found == {"python": [sys.executable], "started": 1, "running": 0, "gateway": True, "interrupt": True}
    assert [path.name for path in tmp_path.iterdir()] == ["spark-defaults.conf"]  # no temporary files are left


def test_open_context_where_spark_local_dirs_cannot_be_made() -> None:
    printed = run(ONCE.replace("MASTER", "'local[1]'"), SPARK_LOCAL_DIRS="/proc/gone")
    assert printed.startswith("MachineError")
    assert "SPARK_LOCAL_DIRS" in printed


@pytest.mark.parametrize("wait", [0, 0.4])
def test_open_context_interrupted_leaves_no_jvm(wait: float, tmp_path: Path) -> None:
    assert run(INTERRUPTED.replace("WAIT", str(wait)), TMPDIR=str(tmp_path)) == "0\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_open_context_under_spark_submit(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(ONCE.replace("MASTER", "None"))
    submit = Path(pyspark.__path__[0], "bin", "spark-submit")
    command = [str(submit), "--master", "local[2]", "--conf", "spark.ui.enabled=false", str(script)]
    environ = {**os.environ, "JAVA_HOME": find_java().home, "PYSPARK_DRIVER_PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120)
    assert (done.returncode, done.stdout) == (0, "42\n")


@pytest.mark.slow
def test_open_context_on_a_cluster(tmp_path: Path) -> None:
    for part in Path(pyspark.__path__[0]).iterdir():  # the cluster's worker writes below Spark's home
        (tmp_path / part.name).symlink_to(part)
    printed = run(ONCE.replace("MASTER", "'local-cluster[1,1,1024]'"), SPARK_HOME=str(tmp_path), JAVA_HOME="/gone")
    assert printed.splitlines()[-1] == "42"
    assert "JAVA_HOME" in printed.splitlines()[0]


def test_open_context_on_a_cluster_without_spark() -> None:
    assert "SPARK_HOME=/gone" in run(ONCE.replace("MASTER", "'local-cluster[1,1,1024]'"), SPARK_HOME="/gone")


def test_open_context_on_a_cluster_that_does_not_answer() -> None:
    assert run(ONCE.replace("MASTER", "'spark://127.0.0.1:1'")).startswith("MachineError --master spark://127.0.0.1:1")


def test_accumulators_arrive_as_tasks_end(spark: SparkSession) -> None:
    context = spark.sparkContext
    done = context.accumulator(0)

    def work(_: int) -> None:
        time.sleep(0.4)
        done.add(1)

    seen = set()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(context.parallelize(range(6), 6).foreach, work)
        while not job.done():
            seen.add(done.value)
            time.sleep(0.02)
        job.result()
    assert done.value == 6
    assert {2, 4} & seen


def test_spark_facts(spark: SparkSession) -> None:
    expected = {"version": pyspark.__version__, "master": "local[2]", "executors": 1, "cores": 2}
    assert spark_facts(spark.sparkContext) == expected
