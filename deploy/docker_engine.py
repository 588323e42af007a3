"""The only door to the Docker engine.

Asks about images, moves them, runs containers. Building is left to its command line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from deploy.container import ContainerRun
from deploy.errors import EngineError, ImageError


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that the engine has.

    Its id, its labels, its size in bytes, its digests in registries, its layers by size.
    """

    id: str
    labels: dict[str, str]
    size: int
    digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a container ended."""

    code: int
    out_of_memory: bool


class DockerEngine:
    """The engine that the environment names (DOCKER_HOST, or the default socket).

    Raises:
        EngineError: it does not answer.
    """

    def __init__(self, client: docker.DockerClient | None = None) -> None:
        with _explained("reach the Docker engine"):
            self._client = client or docker.from_env()
            self._client.ping()

    def find_image(self, name: str) -> Image | None:
        """The image of this name, if the engine has it."""
        with _explained(f"look for {name}"):
            try:
                found = self._client.images.get(name)
            except ImageNotFound:
                return None
        attributes = found.attrs
        return Image(
            id=str(found.id),
            labels=dict(found.labels),
            size=int(attributes["Size"]),
            digests=tuple(attributes.get("RepoDigests") or ()),
        )

    def layers(self, name: str) -> list[tuple[int, str]]:
        """Bytes and making instruction of each layer, the last one first."""
        with _explained(f"look at {name}"):
            return [(int(layer["Size"]), str(layer["CreatedBy"])) for layer in self._client.images.get(name).history()]

    def memory(self) -> int:
        """Bytes of memory of the machine the engine runs on."""
        with _explained("ask for its memory"):
            return int(self._client.info()["MemTotal"])

    def running_containers(self) -> list[str]:
        """Ids of the containers that run now."""
        with _explained("list containers"):
            return [str(container.id) for container in self._client.containers.list()]

    def tag(self, name: str, other: str) -> None:
        """Give an image another name."""
        with _explained(f"tag {name}"):
            self._client.images.get(name).tag(other)

    def push(self, name: str, auth: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Send an image to the registry in its name; yields the engine's progress.

        Raises:
            EngineError: the registry refuses or cannot be reached.
        """
        with _explained(f"push {name}"):
            for event in self._client.api.push(name, stream=True, decode=True, auth_config=auth):
                if "error" in event:
                    raise EngineError(f"push {name}: {event['error']}")
                yield event

    def pull(self, name: str, auth: dict[str, str] | None = None) -> None:
        """Fetch an image from the registry in its name."""
        with _explained(f"pull {name}"):
            self._client.images.pull(name, auth_config=auth)

    def registry_digest(self, name: str, auth: dict[str, str] | None = None) -> str | None:
        """The digest that the registry has under this name, if it has it."""
        with _explained(f"ask the registry for {name}"):
            try:
                return str(self._client.images.get_registry_data(name, auth_config=auth).id)
            except NotFound:
                return None

    @contextlib.contextmanager
    def running(self, run: ContainerRun) -> Iterator[RunningContainer]:
        """A started container, stopped and removed at the end of the block, whatever happens in it.

        Raises:
            ImageError: no such image. EngineError: the engine cannot start it.
        """
        with _explained(f"start {run.image}"):
            try:
                container = self._client.containers.create(**run.arguments())
            except ImageNotFound as exc:
                raise ImageError(f"{run.image}: no such image here: `orchard-deploy build` makes it") from exc
        try:
            with _explained(f"start {run.image}"):
                container.start()
            yield RunningContainer(container)
        finally:
            with contextlib.suppress(DockerException, RequestException):
                container.remove(force=True, v=True)


class RunningContainer:
    """A container that was started."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def output(self) -> Iterator[tuple[bytes, bytes]]:
        """Pieces of standard output and standard error, as they come, until it ends."""
        with _explained("read its output"):
            for out, err in self._container.attach(stream=True, logs=True, demux=True):
                yield out or b"", err or b""

    def wait(self) -> Exit:
        """Wait for the end."""
        with _explained("wait for its end"):
            code = int(self._container.wait()["StatusCode"])
            self._container.reload()
        return Exit(code=code, out_of_memory=bool(self._container.attrs["State"]["OOMKilled"]))

    def stop(self, seconds: int) -> None:
        """Ask it to end, and end it after `seconds`."""
        with _explained("stop it"):
            self._container.stop(timeout=seconds)


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except APIError as exc:
        raise EngineError(f"Docker engine, to {doing}: {exc.explanation or exc}") from exc
    except (DockerException, RequestException) as exc:
        raise EngineError(f"Docker engine, to {doing}: {exc}: start it, or name it with DOCKER_HOST") from exc
