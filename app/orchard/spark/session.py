"""Spark edge: the session a run works in, joined where spark-submit gives one, else started here as lean as it gets."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchard.errors import MachineError
from orchard.network.weights import cache_root
from orchard.spark.java import START_OPTIONS, ClassArchive, find_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Settings = dict[str, bool | float | int | str | None]  # the type that pyspark asks for

# What the tasks rely on, wherever they run.
JOB_SETTINGS: Settings = {
    "spark.python.daemon.module": "orchard.spark.worker_daemon",
    "spark.python.worker.reuse": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "2048",
    # Parquet's two-level lists, which every reader knows: Spark's default opens and closes a group for each float of a vector,
    # three times the work.
    "spark.sql.parquet.writeLegacyFormat": "true",
    "spark.ui.showConsoleProgress": "false",
    # Spark keys its Python daemons by their environment, and this one sets a variable for SQL's only: `features.warm_up` would
    # start a second daemon beside the one that featurizes.
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
}
# What makes a session of this machine's own start fast, stay quiet and need no network.
LOCAL_SETTINGS: Settings = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.executor.heartbeatInterval": "1s",  # carries the progress
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.enabled": "false",
}
# A heap that begins small and collects often: a long run's garbage would otherwise fill whatever the machine has to give.
HEAP_OPTIONS = ("-Xms192m", "-Xmn64m")
TASK_ATTEMPTS = 4  # Spark's default on a cluster
# Seconds a JVM may take to write its class archive; about 10 here.
_ARCHIVE_TIMEOUT = 120


def under_spark_submit() -> bool:
    """Whether spark-submit started this process and holds the JVM."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


class OpenSession(Protocol):
    """The shape of `open_session`, for whoever brings a session of their own."""

    def __call__(self, master: str | None, *, say: Callable[[str], None]) -> AbstractContextManager[SparkSession]:
        """A session for the length of a `with` block."""


@contextlib.contextmanager
def open_session(master: str | None, *, say: Callable[[str], None]) -> Iterator[SparkSession]:
    """A Spark session that is stopped at the end, and on the first use on a machine leaves the class archive behind.

    Raises:
        MachineError: no Spark or no Java that fits, or the JVM does not start.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise MachineError(
            "pyspark is not installed: `pip install 'orchard[local]'`, or start the job with spark-submit"
        )
    _wait_for_earlier_sessions()
    archive = None if under_spark_submit() else _prepare_java()
    session = _build(master, archive)
    try:
        yield session
    except BaseException:
        _stop(session)
        if archive:
            archive.discard()
        raise
    _stop(session)
    if archive and not archive.exists:
        _end_with(archive, say)


# Sessions on their way out. The JVM's part takes 50 ms; then pyspark waits up to a second for a thread of its own, which the next
# session of this process has to wait for as well, but a process that ends has not.
_stopping: list[threading.Thread] = []


def _stop(session: SparkSession) -> None:
    thread = threading.Thread(target=session.stop, daemon=True, name="stopping Spark")
    thread.start()
    _stopping.append(thread)


def _wait_for_earlier_sessions() -> None:
    while _stopping:
        _stopping.pop().join()


def _prepare_java() -> ClassArchive | None:
    java = find_java()
    os.environ["JAVA_HOME"] = java.home
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LAUNCHER_OPTS", " ".join(START_OPTIONS))
    archive = ClassArchive.for_spark(java, _spark_home(), cache_root())
    with contextlib.suppress(OSError):
        archive.path.parent.mkdir(parents=True, exist_ok=True)
    return archive if java.has_class_sharing and os.access(archive.path.parent, os.W_OK) else None


def _spark_home() -> str:
    spec = importlib.util.find_spec("pyspark")
    installed = os.path.dirname(spec.origin or "") if spec else ""
    return os.environ.get("SPARK_HOME") or installed


def _build(master: str | None, archive: ClassArchive | None) -> SparkSession:
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("orchard").config(map=JOB_SETTINGS)
    if master:
        builder = builder.master(with_retries(master))
    if not under_spark_submit():
        builder = builder.config(map=_own_jvm_settings(master or "local[*]", archive))
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as exc:
        raise MachineError(
            f"Spark's JVM did not start ({exc}): look at the lines above, check JAVA_HOME and free memory"
        ) from exc


def _own_jvm_settings(master: str, archive: ClassArchive | None) -> Settings:
    logging = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
    options = [*START_OPTIONS, *HEAP_OPTIONS, logging, *(archive.java_options() if archive else ())]
    local: Settings = (
        {"spark.driver.memory": f"{local_memory(master)}m", **LOCAL_SETTINGS} if master.startswith("local") else {}
    )
    return {"spark.master": with_retries(master), "spark.driver.extraJavaOptions": " ".join(options), **local}


def with_retries(master: str) -> str:
    """A local master whose tasks are tried as often as a cluster's: those of `local[2]` once, and a killed worker would end the run."""
    return re.sub(r"^local(?:\[(\d+|\*)\])?$", lambda match: f"local[{match[1] or 1},{TASK_ATTEMPTS}]", master)


def without_retries(master: str) -> str:
    """A master as the user named it: the inverse of `with_retries`."""
    return re.sub(rf"^local\[(\d+|\*),{TASK_ATTEMPTS}\]$", r"local[\1]", master)


def _end_with(archive: ClassArchive, say: Callable[[str], None]) -> None:
    """Have the JVM write its archive when this process ends: by then the run's results are in the user's hands."""
    from pyspark import SparkContext

    _wait_for_earlier_sessions()
    gateway = SparkContext._gateway
    SparkContext._gateway = SparkContext._jvm = None  # the next session of this process starts a JVM of its own
    atexit.register(_keep_archive, archive, gateway, say)


def local_memory(master: str) -> int:
    """Megabytes of heap for a local master: 1 GB is ample for 8 slots, each of which writes row groups of 12 MB."""
    slots = re.match(r"local\[(\d+|\*)", master)
    count = (os.cpu_count() or 1) if slots and slots[1] == "*" else int(slots[1]) if slots else 1
    return 1024 + 64 * max(0, count - 8)


def _keep_archive(archive: ClassArchive, gateway: Any, say: Callable[[str], None]) -> None:
    say("keeping Spark's loaded classes for faster starts: once on this machine, about 10 s, safe to interrupt")
    try:
        gateway.shutdown()
        gateway.proc.stdin.close()  # pyspark's JVM ends with its standard input
        gateway.proc.wait(_ARCHIVE_TIMEOUT)
        archive.publish()
    except (OSError, subprocess.TimeoutExpired, KeyboardInterrupt):
        gateway.proc.kill()
    finally:
        archive.discard()


@dataclass(frozen=True, kw_only=True)
class SparkFacts:
    """Where a run worked: Spark's version, its master, executors (1 in local mode) and task slots."""

    version: str
    master: str
    executors: int
    cores: int


def is_on_this_machine(spark: SparkSession) -> bool:
    """Whether all tasks run in processes of this one machine's own."""
    return re.match(r"local(\[|$)", str(spark.sparkContext.master)) is not None


def spark_facts(spark: SparkSession) -> SparkFacts:
    """Where this session works."""
    context = spark.sparkContext
    master = without_retries(str(context.master))
    driver_and_executors = len(context._jsc.sc().statusTracker().getExecutorInfos())
    executors = 1 if is_on_this_machine(spark) else driver_and_executors - 1
    return SparkFacts(version=spark.version, master=master, executors=executors, cores=context.defaultParallelism)


# What a user can do something about, by what stands in Spark's or the JVM's own message.
_KNOWN_FAULTS = (
    (
        "No space left on device",
        "a disk is full: make room for the output and for Spark's temporary files (SPARK_LOCAL_DIRS, TMPDIR)",
    ),
    ("Java heap space", "the JVM ran out of memory: give the driver or the executors more"),
    (
        "Python worker exited unexpectedly",
        "a Python worker was killed, by the system's memory limit most likely: give the executors more memory overhead",
    ),
    (
        "failed to map segment from shared object",
        "/tmp is noexec where Spark unpacks Snappy: mount it exec, or give executors the image's own library with "
        "spark.executor.extraJavaOptions=-Dorg.xerial.snappy.lib.path=/opt/orchard/java/native",
    ),
    ("No module named 'orchard'", "an executor lacks Orchard: install it there, or use Orchard's container image"),
)


_JVM_GONE = "killed, by the system's memory limit most likely: give the machine more, or use fewer task slots"


@contextlib.contextmanager
def explain_spark_errors() -> Iterator[None]:
    """Turn failures of Spark whose cause is known into one line; others pass through whole."""
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as exc:
        text = str(exc)
        if worker_error := re.search(
            r"orchard\.errors\.(?:WeightsError|MachineError|InputError|OutputError): (.+)", text
        ):
            raise MachineError(f"on an executor: {worker_error[1]}") from exc
        for mark, remedy in _KNOWN_FAULTS:
            if mark in text:
                raise MachineError(f"Spark stopped: {mark}: {remedy}") from exc
        if isinstance(exc, Py4JNetworkError):
            raise MachineError(f"Spark's JVM is gone: {_JVM_GONE}") from exc
        raise
    except ConnectionError as exc:  # what py4j raises when it finds the JVM gone at the start of a call
        raise MachineError(f"Spark's JVM is gone: {_JVM_GONE}") from exc
