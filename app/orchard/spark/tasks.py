"""Runs tasks as a Spark job of their own, hands on what they report meanwhile, and says what Spark's errors mean.

Plain RDD tasks: the first SQL query of a cold JVM costs 3 s that these do not. A report arrives as an accumulator's
update when its task has ended; Spark counts the update of an action once a task, whatever is tried again.
"""

import contextlib
import os
import re
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkContext, TaskContext
from pyspark.accumulators import AddingAccumulatorParam
from pyspark.errors import PySparkException

from orchard.errors import MachineError

T = TypeVar("T")
Report = TypeVar("Report")

# A known error that was raised in a task, as the last line of a Python traceback in the text of Spark's error.
_OWN_ERROR = re.compile(r"^orchard\.errors\.\w+: (.+)", re.MULTILINE)
_LACKS_ORCHARD = re.compile(r"No module named '?(?:orchard|pyspark)\b")
_NO_ANSWER = re.compile(r"An error occurred while calling \S+")  # and no more: the JVM ended in the middle of the call
# What the text of Spark's error holds, and what a user can do about it. Spark 3.5 has no error class for any of them.
_CAUSES = {
    "No space left on device": "make room for the output and for Spark's temporary files (SPARK_LOCAL_DIRS, TMPDIR)",
    "java.lang.OutOfMemoryError": "give the driver or the executors more memory",
    "Python worker exited unexpectedly": "killed for its memory most likely: give the executors more memory overhead",
    "failed to map segment from shared object": "/tmp is noexec: mount it exec, or set -Djava.io.tmpdir of the JVMs",
    "SparkContext has been shutdown": "see the lines above and the cluster's log: the driver lost its cluster",
    "Java gateway process exited": "see the lines above: check --master and what it needs (yarn: HADOOP_CONF_DIR)",
    "KubernetesClientException": "check the address of --master, and the credentials for it",
    "Could not parse Master URL": "give --master local[N], spark://HOST:PORT, yarn or k8s://URL",
}
_JVM_GONE = "Spark's JVM is gone, for want of memory most likely: check memory, SPARK_LOCAL_DIRS and TMPDIR"


def run_tasks(context: SparkContext, task: Callable[..., Report], work: Sequence[T]) -> Generator[list[Report]]:
    """Run `task(number, item, attempt=…)` for each item of `work`, one Spark task each.

    Yields the reports that arrived since, several times a second. Closing the generator cancels the job.
    """
    reports: Any = context.accumulator([], AddingAccumulatorParam([]))
    group = uuid.uuid4().hex

    def one(item: tuple[int, T]) -> None:
        this = TaskContext.get()
        reports.add([task(*item, attempt=this.attemptNumber() if this else 0)])

    def job() -> None:
        # A thread of its own has a job group of its own, and leaves the main thread free to commit, and to hear Ctrl-C.
        context.setJobGroup(group, "orchard", interruptOnCancel=True)
        context.parallelize(list(enumerate(work)), len(work)).foreach(one)

    with ThreadPoolExecutor(1, thread_name_prefix="spark job") as pool:
        running, seen, done = pool.submit(job), 0, False
        try:
            while not done:
                done = bool(wait([running], timeout=0.25).done)
                arrived = reports.value[seen:]
                seen += len(arrived)
                yield arrived
            running.result()
        finally:
            if not running.done():
                with contextlib.suppress(Exception):  # the JVM may be gone, and with it the job
                    context.cancelJobGroup(group)


def warm_up(context: SparkContext, load: Callable[[], object]) -> None:
    """Start a Python worker for each slot and load the network in it, while the driver is still listing."""
    slots = range(context.defaultParallelism)
    context.parallelize(slots, len(slots)).foreach(lambda _: load())  # type: ignore[arg-type]


@contextlib.contextmanager
def explain_spark_errors() -> Iterator[None]:
    """Raise a `MachineError` of one line in place of an error of Spark whose cause is known."""
    try:
        yield
    except (Py4JNetworkError, ConnectionError) as exc:  # the latter where the JVM is gone before a call
        raise MachineError(_JVM_GONE) from exc
    except (Py4JError, PySparkException) as exc:
        try:
            known = explain_text(str(exc))
        except (Py4JError, OSError):  # the text of a Java exception is asked of the JVM
            known = MachineError(_JVM_GONE)
        if known:
            raise known from exc
        raise


def explain_text(text: str, environ: Mapping[str, str] = os.environ) -> MachineError | None:
    """The known error in the text of an exception of Spark, traceback included; None where there is none."""
    if _NO_ANSWER.fullmatch(text):
        return MachineError(_JVM_GONE)
    if own := _OWN_ERROR.search(text):
        return MachineError(f"on an executor: {own[1]}")
    if _LACKS_ORCHARD.search(text):
        python = f"PYSPARK_PYTHON={environ.get('PYSPARK_PYTHON', 'python3')}"
        return MachineError(f"on an executor: {python} lacks Orchard: install it there, or use the container image")
    known = (MachineError(f"Spark stopped: {mark}: {remedy}") for mark, remedy in _CAUSES.items() if mark in text)
    return next(known, None)
