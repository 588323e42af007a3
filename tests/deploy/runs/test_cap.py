"""The cap on a real Spark with room for four executors: how many it ever holds, by its own list of executors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest
from orchard_deploy.runs.spark import spark_properties
from orchard_deploy.site import Site
from orchard_deploy.spec import Worker

# Each task sleeps in the JVM: the properties name the image's Python, which is not on this machine. The wait at the
# start lets Spark ask for executors before there is work; the list is looked at all the time.
SCRIPT = """
import json, sys, threading, time
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local-cluster[4,1,1024]").config("spark.ui.enabled", "false")
quick = "-XX:TieredStopAtLevel=1"
builder = builder.config("spark.driver.extraJavaOptions", quick).config("spark.executor.extraJavaOptions", quick)
for name, value in json.loads(sys.argv[1]).items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
most, over = [0], threading.Event()

def look():
    while not over.is_set():
        most[0] = max(most[0], len(spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()) - 1)
        time.sleep(0.05)

watcher = threading.Thread(target=look)
watcher.start()
time.sleep(3)
sleeping = spark.range(0, 24, 1, 24).selectExpr("java_method('java.lang.Thread', 'sleep', 250L)")
sleeping.write.format("noop").mode("overwrite").save()
over.set()
watcher.join()
print("most:", most[0])
spark.stop()
"""


def most_executors(properties: Mapping[str, str]) -> int:
    """How many executors a run with these properties holds at most."""
    environ = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, "-c", SCRIPT, json.dumps(dict(properties))]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.rpartition("most:")[2])


@pytest.fixture
def properties(site: Site) -> dict[str, str]:
    """What a run would be given, with executors small enough for this machine."""
    spec = replace(site.spec, executor=Worker(cpu=1, memory=2, disk=20))
    return {name: value for name, value in spark_properties(spec).items() if not name.startswith("spark.driver.")}


@pytest.mark.slow
def test_cap_properties_on_a_real_spark(properties: dict[str, str]) -> None:
    assert most_executors(properties) == 2


# What EMR Serverless sets where nobody does. A standalone cluster like this one would stop at the cores, so that
# property goes.
DEFAULTS = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.initialExecutors": "3",
    "spark.executor.instances": "3",
}
CAP = ("spark.dynamicAllocation.", "spark.executor.instances", "spark.cores.max")


@pytest.mark.slow
def test_cap_properties_with_dynamic_allocation_on(properties: dict[str, str]) -> None:
    """On what decides there, Spark's own allocation manager, the same numbers are a cap too."""
    del properties["spark.cores.max"]
    assert most_executors({**DEFAULTS, **properties, "spark.dynamicAllocation.enabled": "true"}) == 2


@pytest.mark.slow
def test_maxexecutors_alone_is_no_cap(properties: dict[str, str]) -> None:
    """The counter-proof: the service's defaults, and the one property that looks like a cap."""
    rest = {name: value for name, value in properties.items() if not name.startswith(CAP)}
    assert most_executors({**rest, **DEFAULTS, "spark.dynamicAllocation.maxExecutors": "2"}) == 3
