"""What really runs a job: the image in a container, or a process on this machine where there is no Docker engine."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchard_deploy.errors import EngineError
from orchard_deploy.job_commands import COMMANDS, RUN
from orchard_deploy.local.container import ContainerRun
from orchard_deploy.rehearsal.settings import Order

# Seconds that a cancelled job gets to end by itself, and bytes of memory for a container.
_GRACE, _MEMORY = 10, 6 << 30
# What a run on one machine has no use for, or gets from the machine.
_CLUSTER_ONLY = re.compile(
    r"spark\.(cores|driver\.(cores|memory)|dynamicAllocation|emr-serverless|executor|kubernetes)(\.|$)"
)
_VARIABLE = "spark.emr-serverless.driverEnv."


class RunningProcess:
    """A job in a process of this machine, or in a container by `docker run`, which hands on what ends it.

    The command `remove` ends a container also if it does not hear, or has just been made.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], remove: Sequence[str] = ()) -> None:
        self._remove = remove
        self._folder = tempfile.TemporaryDirectory(prefix="orchard-rehearsal-")
        self._files = {name: Path(self._folder.name) / name for name in ("stdout", "stderr")}
        with open(self._files["stdout"], "wb") as out, open(self._files["stderr"], "wb") as err:
            self._process = subprocess.Popen(command, stdout=out, stderr=err, env=dict(environ), start_new_session=True)
        self.exit_code, self.close = self._process.poll, self._folder.cleanup

    def output(self) -> Mapping[str, bytes]:
        """What it has written so far."""
        return {name: path.read_bytes() for name, path in self._files.items()}

    def stop(self) -> None:
        """End the process and everything it started."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, sent)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE)
        if self._remove:
            subprocess.run(self._remove, capture_output=True, check=False)


def check_engine() -> None:
    """Raise `EngineError` where `docker` is missing, or has no engine."""
    try:
        subprocess.run(["docker", "info"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise EngineError("docker: no engine answers: start it, or rehearse --without-docker") from exc


def tree_process(order: Order, environ: Mapping[str, str], host: str = "") -> RunningProcess:
    """The job of this installation, with the command that the image's main.py adds where none is named.

    It writes to standard output what it would write to standard error, as spark-submit has it.
    """
    command = () if order.arguments[:1] and order.arguments[0] in COMMANDS else (RUN,)
    words = ["sh", "-c", 'exec "$@" 2>&1', "sh", sys.executable, "-m", "orchard", *command, *order.arguments]
    return RunningProcess(words, {**os.environ, **environ})


def image_process(order: Order, environ: Mapping[str, str], host: str, docker: str = "docker") -> RunningProcess:
    """The container of an image in the registry at `host`."""
    name, run = f"orchard-rehearsal-{secrets.token_hex(6)}", image_run(order, environ, host)
    return RunningProcess([docker, "run", "--name", name, *run.words()], os.environ, [docker, "rm", "--force", name])


def image_run(order: Order, environ: Mapping[str, str], host: str) -> ContainerRun:
    """What that container is to run; moto listens on loopback, so it shares the network."""
    given = order.properties
    own = {name.removeprefix(_VARIABLE): given[name] for name in given if name.startswith(_VARIABLE)}
    kept = [f"{name}={given[name]}" for name in sorted(given) if not _CLUSTER_ONLY.match(name)]
    words = ["--master", f"local[{order.slots}]", *(word for setting in kept for word in ("--conf", setting))]
    return ContainerRun(
        image=f"{host}/{order.image.partition('/')[2]}",
        command=(*words, order.entry_point, *order.arguments),
        memory=_MEMORY,
        cpus=float(os.cpu_count() or 1),
        network="host",
        env=tuple(f"{name}={value}" for name, value in {**own, **environ}.items()),
    )
