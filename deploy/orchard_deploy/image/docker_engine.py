"""The Docker engine and its images. They are built by Docker's command line: the API knows no BuildKit."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image
from orchard import __version__
from orchard.network.fingerprints import fingerprints
from requests.exceptions import RequestException

from orchard_deploy.errors import EngineError, RefusedError
from orchard_deploy.spec import Spec
from orchard_deploy.terminal import say

# Docker knows them as arguments of every build, and keeps them out of the image.
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")
_TITLE = "org.opencontainers.image.title"
_CURE = "start it, or name another with DOCKER_HOST or `docker context use`"


class DockerEngine:
    """The engine of DOCKER_HOST, or of Docker's current context; `EngineError` where none answers, or it refuses."""

    def __init__(self) -> None:
        with _explained("describe itself"):
            self._client = docker.from_env()
            self.architecture = str(self._client.version()["Arch"])  # in the words of images, such as `amd64`
            options = " ".join(self._client.info().get("SecurityOptions") or ())
        self.rootless = "name=rootless" in options  # it runs as an ordinary user, who is root in its containers
        self.selinux = "name=selinux" in options  # labels keep its containers from files that have others

    def say_emulation(self, name: str, architecture: str) -> None:
        """Say it where an image is not of this machine's architecture."""
        if architecture != self.architecture:
            say(
                f"{name} is for {architecture}, this engine's machine is {self.architecture}: it is emulated, many "
                "times slower, or does not start: `architecture` in the specification decides what is built"
            )

    def find_image(self, name: str) -> Image | None:
        """The image of this name, if the engine has it."""
        with _explained(f"look for {name}"), suppress(ImageNotFound):
            return self._client.images.get(name)
        return None

    def orchard_image(self, name: str) -> Image:
        """The image of this name; `RefusedError` where the engine does not have it, or it is not Orchard's."""
        image = self.find_image(name)
        if image is None or image.labels.get(_TITLE) != "orchard":
            fault = f"not an image of Orchard (its label {_TITLE})" if image else "no such image here"
            raise RefusedError(f"{name}: {fault}: make it with `orchard-deploy build`, or name another with --image")
        return image

    def push(self, name: str, remote: str, login: dict[str, str]) -> Iterator[str]:
        """Send an image to a registry under the name `remote`; yields a line when a layer is there."""
        with _explained(f"push {remote}"):
            self._client.images.get(name).tag(remote)
            for event in self._client.api.push(remote, stream=True, decode=True, auth_config=login):
                if "error" in event:
                    raise EngineError(f"push {remote}: {event['error']}")
                if event.get("status") in ("Pushed", "Layer already exists"):
                    yield f"layer {event['id']}: {event['status'].lower()}"


def build_command(
    spec: Spec, tree: Path, name: str, revision: tuple[str, int], environ: Mapping[str, str], cli: str = "docker"
) -> list[str]:
    """The command that builds `name` (repository and tag) from `tree`, with the proxies of `environ`. Pure."""
    backbones = " ".join(spec.backbones)
    arguments = {
        "BASE_IMAGE": spec.base_image,
        "BACKBONES": backbones,
        "WEIGHTS_FINGERPRINT": fingerprints(backbones),
        "IMAGE_TAG": name.rpartition(":")[2],
        "REVISION": revision[0],
        "VERSION": __version__,
        "SOURCE_DATE_EPOCH": str(revision[1]),
    }
    given = [f"{key}={value}" for key, value in arguments.items()]
    given += [proxy for proxy in PROXIES if environ.get(proxy)]  # by name only: a value may hold a password
    words = [word for value in given for word in ("--build-arg", value)]
    return [cli, "build", "--platform", spec.platform, "--tag", name, *words, str(tree)]


def build(command: Sequence[str]) -> None:
    """Run a build with its lines on standard error; `RefusedError` where it fails."""
    try:
        code = subprocess.run(command, env={**os.environ, "DOCKER_BUILDKIT": "1"}, stdout=2, check=False).returncode
    except OSError as exc:
        raise EngineError(f"{command[0]}: {exc.strerror}: install Docker's client, or name it with --docker") from exc
    if code:
        raise RefusedError(f"{command[0]} build: failed (exit code {code}): the lines above say why")


def _address() -> str:
    """Where the engine is looked for."""
    with suppress(DockerException, OSError, ValueError):
        found = os.environ.get("DOCKER_HOST") or docker.ContextAPI.kwargs_from_context().get("base_url")
        return str(found or "unix:///var/run/docker.sock")
    return "Docker's current context"


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except APIError as exc:
        raise EngineError(f"Docker engine, to {doing}: {exc.explanation or exc}") from exc
    except (DockerException, RequestException, OSError, ValueError) as exc:
        # What the system said is wrapped in several errors.
        said = re.search(r"Error\(\d+, '([^']+)'\)", str(exc))
        raise EngineError(f"Docker engine at {_address()}: {said[1] if said else exc}: {_CURE}") from exc
