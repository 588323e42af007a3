"""A container of Orchard's image that runs Spark: its `docker run`, as words, as a line, and as a child process."""

import csv
import io
import secrets
import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from orchard_deploy.errors import EngineError, RunError
from orchard_deploy.image.docker_engine import DockerEngine
from orchard_deploy.terminal import listening

_SPARK_SUBMIT = "/usr/lib/spark/bin/spark-submit"
# In the image: quiet logs, no UI, and the archive of Spark's classes, for a JVM of this machine's own. It stands in for
# the base image's defaults, which on EMR name its own resource manager.
_LOCAL_CONF = "/opt/orchard/local.conf"
# Seconds that a job has to put its things away when it is asked to end.
_GRACE = 10


@dataclass(frozen=True, kw_only=True)
class ContainerRun:
    """One run of an image, confined to what it is given."""

    image: str
    command: tuple[str, ...] = ()  # the arguments of `spark-submit`
    memory: int  # bytes; a container that needs more is ended by the kernel
    cpus: float | None = None  # cores it may use; None for all that the engine has
    network: str | None = None
    user: tuple[int, int] | None = None  # uid and gid; None for the image's own
    env: tuple[str, ...] = ()  # values of `--env`; a name alone hands on the caller's own value, which may be a secret
    mounts: tuple[str, ...] = ()  # values of `--mount`
    output: Path | None = None  # the mounted folder that is written to

    def on(self, engine: DockerEngine) -> Self:
        """The same run as an engine needs it: as root where that is the caller."""
        return replace(self, user=(0, 0)) if self.user and engine.rootless else self

    def words(self) -> list[str]:
        """What follows `docker run`."""
        network = self.network or "none"
        return [
            *("--network", network),
            # A container without a network cannot look any other name up.
            *(("--hostname", "localhost") if network == "none" else ()),
            *(("--user", "{}:{}".format(*self.user)) if self.user else ()),
            *("--memory", str(self.memory), "--memory-swap", str(self.memory)),
            *(("--cpus", f"{self.cpus:g}") if self.cpus else ()),
            *("--pids-limit", "1024", "--read-only", "--tmpfs", "/tmp", "--init"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            # With a label of SELinux it could not read the caller's folders.
            *("--security-opt", "label=disable"),
            *(word for value in self.env for word in ("--env", value)),
            *(word for value in self.mounts for word in ("--mount", value)),
            *("--entrypoint", _SPARK_SUBMIT, self.image, "--properties-file", _LOCAL_CONF, *self.command),
        ]

    def shell_line(self) -> str:
        """The `docker run` that does the same; the folder that it writes to is made first, Docker's would be root's."""
        made = [shlex.join(["mkdir", "-p", str(self.output)])] if self.output else []
        return " && ".join([*made, shlex.join(["docker", "run", "--rm", *self.words()])])


def mount(source: Path, target: str, *flags: str) -> str:
    """A value of `--mount`: comma-separated, so that a path may have colons, and commas in quotes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(["type=bind", f"source={source}", f"target={target}", *flags])
    return text.getvalue()


def execute(run: ContainerRun, memory: str) -> int:
    """Run a container, then remove it; its exit code, or `EngineError` without a client, `RunError` out of `memory`."""
    name, ended, client = f"orchard-{secrets.token_hex(6)}", list[int](), None
    try:
        with listening(lambda number, frame: ended.append(number), signal.SIGINT):  # or nobody would remove it
            # Not --rm, to be asked why it ended. In a session of its own, where a terminal's Ctrl-C does not get.
            client = subprocess.Popen(["docker", "run", "--name", name, *run.words()], start_new_session=True)
        if ended:
            raise KeyboardInterrupt
        code = client.wait()
        # A Python worker that was killed has been replaced where the job ended well.
        out_of_memory = code and _docker("inspect", "--format", "{{.State.OOMKilled}}", name).strip() == "true"
    except OSError as exc:
        raise EngineError(f"docker: {exc.strerror}: install Docker's client") from exc
    finally:
        with listening(signal.SIG_IGN, signal.SIGINT):  # a second signal would leave it running
            if client:
                _remove(name, client)
    if out_of_memory:
        advice = f"it needs more than --memory {memory}: give it more, or fewer --slots"
        raise RunError(f"{run.image}: out of memory: {advice}", code)
    return 128 - code if code < 0 else code  # as a shell has it where the client itself was ended


def _remove(name: str, client: subprocess.Popen[bytes]) -> None:
    client.terminate()  # which it hands on to the container
    with suppress(subprocess.TimeoutExpired):
        client.wait(_GRACE)
    client.kill()
    _docker("rm", "--force", "--volumes", name)


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False).stdout
