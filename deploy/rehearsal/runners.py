"""What really runs a job: the image in a container, or a process on this machine where there is no Docker engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.container import ContainerRun
from deploy.docker_engine import DockerEngine, RunningContainer
from deploy.errors import DeployError
from deploy.job_commands import COMMANDS, RUN
from deploy.rehearsal.orders import Order, Running
from deploy.run_local import LOCAL_CONF, SPARK_SUBMIT

# Seconds that a cancelled job gets to put its things away.
_GRACE = 10
# Seconds for the engine to make, start, stop and remove a container at its slowest.
_ENDING = 240
# What a run in one place has no use for, or gets from the machine.
_CLUSTER_ONLY = (
    "spark.driver.cores", "spark.driver.memory", "spark.executor.", "spark.dynamicAllocation.", "spark.emr-serverless.",
    "spark.kubernetes.", "spark.cores.",
)  # fmt: skip


def local_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """The properties of a run in one process: those of the cloud, but for sizes, cap and places of things."""
    return {name: value for name, value in properties.items() if not name.startswith(_CLUSTER_ONLY)}


def driver_environment(properties: Mapping[str, str]) -> dict[str, str]:
    """The variables that the service sets for a driver."""
    prefix = "spark.emr-serverless.driverEnv."
    return {name.removeprefix(prefix): value for name, value in properties.items() if name.startswith(prefix)}


def submit_words(order: Order) -> list[str]:
    """The arguments of `spark-submit` for a run in one place."""
    settings = [
        word
        for name, value in sorted(local_properties(order.properties).items())
        for word in ("--conf", f"{name}={value}")
    ]
    return ["--master", f"local[{order.slots}]", *settings]


class ProcessRunner:
    """Runs a command of this machine for each job.

    Args:
        command: gives the command of an order.
        environ: what it finds in its environment beside the driver's own variables.
    """

    def __init__(self, command: Callable[[Order], Sequence[str]], environ: Mapping[str, str]) -> None:
        self._command, self._environ = command, environ

    def start(self, order: Order) -> Running:
        """Start an attempt."""
        return _Process(self._command(order), self._environ)


class _Process:
    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="orchard-rehearsal-")
        self._files = {name: Path(self._folder.name) / name for name in ("stdout", "stderr")}
        with open(self._files["stdout"], "wb") as out, open(self._files["stderr"], "wb") as err:
            self._process = subprocess.Popen(command, stdout=out, stderr=err, env=dict(environ), start_new_session=True)

    def exit_code(self) -> int | None:
        return self._process.poll()

    def output(self) -> Mapping[str, bytes]:
        return {name: path.read_bytes() for name, path in self._files.items()}

    def stop(self) -> None:
        """End the process and everything it started."""
        if self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        self._folder.cleanup()


def this_tree(order: Order) -> list[str]:
    """The job of this installation by its own `spark-submit`, in the place of the image's."""
    submit = Path(sys.executable).with_name("spark-submit")
    main = Path(__file__).resolve().parents[2] / "app" / "orchard" / "__main__.py"
    command = () if order.arguments[:1] and order.arguments[0] in COMMANDS else (RUN,)  # as the image's main.py has it
    return [str(submit), *submit_words(order), str(main), *command, *order.arguments]


class ContainerRunner:
    """Runs the image of each order in a container.

    Args:
        registry: host and port of the registry that the image was pushed to.
        environ: what the job finds in its environment: where S3 is, and keys for it.
        memory, cpus: what the container may use.
    """

    def __init__(
        self, engine: DockerEngine, registry: str, environ: Mapping[str, str], *, memory: int, cpus: float
    ) -> None:
        self._engine, self._registry, self._environ, self._memory, self._cpus = engine, registry, environ, memory, cpus

    def start(self, order: Order) -> Running:
        """Start an attempt."""
        run = ContainerRun(
            image=f"{self._registry}/{order.image}",
            entrypoint=SPARK_SUBMIT,
            command=("--properties-file", LOCAL_CONF, *submit_words(order), order.entry_point, *order.arguments),
            mounts=(),
            memory=self._memory,
            cpus=self._cpus,
            network="host",  # moto listens on this machine's loopback
            environment={**driver_environment(order.properties), **self._environ},
        )
        return _Container(self._engine, run)


class _Container:
    def __init__(self, engine: DockerEngine, run: ContainerRun) -> None:
        self._engine, self._run = engine, run
        self._written = {"stdout": b"", "stderr": b""}
        self._code: int | None = None
        self._container: RunningContainer | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def exit_code(self) -> int | None:
        return self._code

    def output(self) -> Mapping[str, bytes]:
        return dict(self._written)

    def stop(self) -> None:
        # First the mark, then the look: `_follow` does it the other way round, so one of the two sees the other.
        self._stopped.set()
        if self._container:
            with contextlib.suppress(DeployError):  # it has ended meanwhile and is gone
                self._container.stop(_GRACE)

    def close(self) -> None:
        # The container goes with the thread, and a thread that is left behind may yet start one.
        self._thread.join(_ENDING)

    def _follow(self) -> None:
        try:
            if not self._stopped.is_set():
                self._run_container()
        except DeployError as error:
            self._written["stderr"] += f"{error}\n".encode()
            self._code = 1

    def _run_container(self) -> None:
        with self._engine.running(self._run) as container:
            self._container = container
            if self._stopped.is_set():
                return
            for out, err in container.output():
                self._written["stdout"] += out
                self._written["stderr"] += err
            self._code = container.wait().code
