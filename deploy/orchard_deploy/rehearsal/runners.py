"""What really runs a job: the image in a container, or a process on this machine where there is no Docker engine."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchard_deploy.errors import EngineError
from orchard_deploy.job_commands import COMMANDS, RUN
from orchard_deploy.local.container import ContainerRun
from orchard_deploy.local.run_local import LOCAL_CONF, SPARK_SUBMIT
from orchard_deploy.rehearsal.settings import Order

# Seconds that a cancelled job gets to end by itself.
_GRACE = 10
# What a run on one machine has no use for, or gets from the machine.
_CLUSTER_ONLY = (
    "spark.driver.cores", "spark.driver.memory", "spark.executor.", "spark.dynamicAllocation.", "spark.emr-serverless.",
    "spark.kubernetes.", "spark.cores.",
)  # fmt: skip
_VARIABLE = "spark.emr-serverless.driverEnv."
_ROOT = Path(__file__).resolve().parents[3]


class RunningProcess:
    """A job in a process of this machine."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
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


class RunningImage(RunningProcess):
    """A job in a container, by `docker run`, which hands on what ends it."""

    def __init__(self, run: ContainerRun, docker: str = "docker") -> None:
        self._remove = [docker, "rm", "--force", name := f"orchard-rehearsal-{secrets.token_hex(6)}"]
        super().__init__([docker, "run", "--name", name, *run.docker_run()[2:]], os.environ)

    def stop(self) -> None:
        """End the container, also one that does not hear, or has just been made."""
        super().stop()
        subprocess.run(self._remove, capture_output=True, check=False)


def check_engine() -> None:
    """Raise `EngineError` where `docker` is missing, or has no engine."""
    try:
        subprocess.run(["docker", "info"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise EngineError("docker: no engine answers: start it, or rehearse --without-docker") from exc


def tree_process(order: Order, environ: Mapping[str, str]) -> RunningProcess:
    """The job of this installation by its own `spark-submit`, which otherwise takes whichever python3 comes first."""
    path = os.pathsep.join([str(_ROOT / "app"), *filter(None, [os.environ.get("PYTHONPATH")])])
    python = dict.fromkeys(("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"), sys.executable)
    return RunningProcess(this_tree(order), {**os.environ, **python, "PYTHONPATH": path, **environ})


def this_tree(order: Order) -> list[str]:
    """The command of that process."""
    submit, main = Path(sys.executable).with_name("spark-submit"), _ROOT / "app" / "orchard" / "__main__.py"
    # The image's own interpreter, which is not here: `tree_process` names this one.
    own = {name: text for name, text in order.properties.items() if not name.startswith("spark.pyspark.")}
    order = replace(order, properties=own)
    command = () if order.arguments[:1] and order.arguments[0] in COMMANDS else (RUN,)  # as the image's main.py has it
    return [str(submit), *_submit_words(order), str(main), *command, *order.arguments]


def image_run(order: Order, host: str, memory: int, environ: Mapping[str, str]) -> ContainerRun:
    """The container of an image in the registry at `host`; moto listens on loopback, so it shares the network."""
    own = {key.removeprefix(_VARIABLE): text for key, text in order.properties.items() if key.startswith(_VARIABLE)}
    words = ("--properties-file", LOCAL_CONF, *_submit_words(order), order.entry_point, *order.arguments)
    run = ContainerRun(image=f"{host}/{order.image}", entrypoint=SPARK_SUBMIT, command=words, mounts=(), memory=memory)
    return replace(run, cpus=float(os.cpu_count() or 1), network="host", environment={**own, **environ})


def _submit_words(order: Order) -> list[str]:
    """The arguments of `spark-submit` for a run on one machine: without sizes and cap."""
    kept = sorted(f"{name}={value}" for name, value in order.properties.items() if not name.startswith(_CLUSTER_ONLY))
    return ["--master", f"local[{order.slots}]", *(word for setting in kept for word in ("--conf", setting))]
