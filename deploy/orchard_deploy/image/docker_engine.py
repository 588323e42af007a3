"""The only client of the Docker engine: asks about images, moves them, runs containers. It builds none."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from orchard_deploy.errors import EngineError

Login = dict[str, str] | None
_CURE = "start it, or name another with DOCKER_HOST or `docker context use`"
# Kernels and container images name the same architectures differently.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Seconds that a job has to put its things away when it is asked to end.
_GRACE = 10


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that the engine has: its id, its labels, the architecture it is for."""

    id: str
    labels: Mapping[str, str]
    architecture: str | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine that an engine runs containers on.

    Attributes:
        architecture: in the words of images, such as `amd64`; None where it is not known.
        rootless: the engine runs as an ordinary user, who is root in its containers.
        selinux: containers have SELinux labels, which keep them from files that have others.
    """

    architecture: str | None = None
    rootless: bool = False
    selinux: bool = False

    def emulation(self, name: str, architecture: str | None) -> str | None:
        """One line about an image of another architecture; None where it is this machine's."""
        if not architecture or not self.architecture or architecture == self.architecture:
            return None
        return (
            f"{name} is for {architecture}, this engine's machine is {self.architecture}: it is emulated, many times "
            "slower, or does not start: `architecture` in the specification decides what is built"
        )


class DockerEngine:
    """The engine that DOCKER_HOST names, or Docker's current context.

    Raises:
        EngineError: it does not answer; every method raises it, too, also where the engine refuses.
    """

    def __init__(self) -> None:
        try:
            self._client = docker.from_env()
            self._client.ping()
        except (DockerException, RequestException, OSError, ValueError) as exc:
            raise EngineError(f"Docker engine at {_address()}: {_reason(exc)}: {_CURE}") from exc

    def machine(self) -> Machine:
        """The machine that it runs containers on."""
        with _explained("describe itself"):
            info = self._client.info()
        options, architecture = " ".join(info.get("SecurityOptions") or ()), info.get("Architecture", "")
        return Machine(
            architecture=_ARCHITECTURES.get(architecture, architecture) or None,
            rootless="name=rootless" in options,
            selinux="name=selinux" in options,
        )

    def find_image(self, name: str) -> Image | None:
        """The image of this name, if the engine has it."""
        with _explained(f"look for {name}"):
            try:
                found = self._client.images.get(name)
            except ImageNotFound:
                return None
        return Image(id=str(found.id), labels=found.labels, architecture=found.attrs["Architecture"])

    def layers(self, name: str) -> list[tuple[int, str]]:
        """Bytes and making instruction of each layer, the last one first."""
        with _explained(f"look at {name}"):
            return [(int(layer["Size"]), str(layer["CreatedBy"])) for layer in self._client.images.get(name).history()]

    def push(self, name: str, remote: str, auth: Login = None) -> Iterator[dict[str, Any]]:
        """Send an image to a registry under the name `remote`; yields the engine's progress."""
        with _explained(f"push {remote}"):
            self._client.images.get(name).tag(remote)
            for event in self._client.api.push(remote, stream=True, decode=True, auth_config=auth):
                if "error" in event:
                    raise EngineError(f"push {remote}: {event['error']}")
                yield event

    def registry_digest(self, name: str, auth: Login = None) -> str | None:
        """The digest that the registry has under this name, if it has it."""
        with _explained(f"ask the registry for {name}"):
            try:
                return str(self._client.images.get_registry_data(name, auth_config=auth).id)
            except NotFound:
                return None

    def run(self, arguments: Mapping[str, Any], write: Callable[[bytes, bytes], None]) -> tuple[int, bool]:
        """Run a container to its end, and remove it, whatever happens; `write` gets what comes on its two outputs.

        Args:
            arguments: of the Docker SDK's `containers.create`.

        Returns:
            Its exit code, and whether something in it was killed for want of memory.
        """
        with _explained(f"run {arguments['image']}"):
            container = self._client.containers.create(**arguments)
            with _removed(container):
                container.start()
                for out, err in container.attach(stream=True, logs=True, demux=True):
                    write(out or b"", err or b"")
                code = int(container.wait()["StatusCode"])
                container.reload()
                return code, bool(container.attrs["State"]["OOMKilled"])


@contextlib.contextmanager
def _removed(container: Any) -> Iterator[None]:
    """At the end of the block it is asked to end and removed; a second Ctrl-C would leave it running."""
    try:
        yield
    finally:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(DockerException, RequestException):
            container.stop(timeout=_GRACE)
        with contextlib.suppress(DockerException, RequestException):
            container.remove(force=True, v=True)
        signal.signal(signal.SIGINT, before)


def _address() -> str:
    """Where the engine is looked for."""
    with contextlib.suppress(DockerException, OSError, ValueError):
        found = os.environ.get("DOCKER_HOST") or docker.ContextAPI.kwargs_from_context().get("base_url")
        return str(found or "unix:///var/run/docker.sock")
    return "Docker's current context"


def _reason(error: Exception) -> str:
    """What the system said, which Docker's SDK wraps in several errors, or the error's own text."""
    found = re.search(r"Error\(\d+, '([^']+)'\)", str(error))
    return found[1] if found else str(error)


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except APIError as exc:
        raise EngineError(f"Docker engine, to {doing}: {exc.explanation or exc}") from exc
    except (DockerException, RequestException) as exc:
        raise EngineError(f"Docker engine at {_address()}, to {doing}: {_reason(exc)}: {_CURE}") from exc
