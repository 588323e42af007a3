"""What a run on this machine needs around its container: its image, an output folder, the user's name, and its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchard.network.weights import cache_root

from orchard_deploy.errors import ImageError, RunError, SpecError
from orchard_deploy.local.container import ContainerRun

if TYPE_CHECKING:
    from orchard_deploy.image.docker_engine import DockerEngine, Image

_TITLE = "org.opencontainers.image.title"


def check_image(engine: DockerEngine, name: str) -> Image:
    """The image of this name; `ImageError` where the engine does not have it, or it is not Orchard's."""
    image = engine.find_image(name)
    if image is None or image.labels.get(_TITLE) != "orchard":
        fault = f"not an image of Orchard (its label {_TITLE})" if image else "no such image here"
        raise ImageError(f"{name}: {fault}: make it with `orchard-deploy build`, or name another with --image")
    return image


def make_output(folder: Path, user: tuple[int, int]) -> None:
    """Make the output folder; `SpecError` where that fails, or a container of this user could not write to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SpecError(f"--output {folder}: {exc.strerror}: choose a folder that you can write to") from exc
    if not _may_write(folder, user):
        raise SpecError(
            f"--output {folder}: belongs to user {folder.stat().st_uid}, and the container runs as you, user "
            f"{user[0]}: choose a folder of your own, or call as its owner"
        )


def _may_write(folder: Path, user: tuple[int, int]) -> bool:
    """In the container root has no more rights to a folder than anyone else, unlike here."""
    if user[0] != 0:
        return os.access(folder, os.W_OK | os.X_OK)
    found = folder.stat()
    shift = 6 if found.st_uid == 0 else 3 if found.st_gid == user[1] else 0
    return (found.st_mode >> shift) & 0o3 == 0o3


def names_file(user: tuple[int, int]) -> Path:
    """A file for the container's /etc/passwd, since Hadoop does not work for a user id without a name.

    It is in Orchard's cache, for the printed `docker run` to work later; `SpecError` where it cannot be written.
    """
    text = "root:x:0:0::/tmp:/bin/sh\n" + ("hadoop:x:{}:{}::/tmp:/bin/sh\n".format(*user) if user[0] else "")
    try:
        path = cache_root() / "passwd-{}-{}".format(*user)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
    except (OSError, RuntimeError) as exc:  # RuntimeError: there is no home folder
        raise SpecError(f"Orchard's cache: {exc}: set XDG_CACHE_HOME to a folder that you can write to") from exc
    return path


def run_and_report(engine: DockerEngine, run: ContainerRun, memory: str) -> int:
    """Run a container with its output on this process's own; the job's exit code, `RunError` if memory was short."""
    code, out_of_memory = engine.run(run.arguments(), _write)
    if out_of_memory and code:  # a Python worker that was killed has been replaced where the job ended well
        advice = f"it needs more than --memory {memory}: give it more, or fewer --slots"
        raise RunError(f"{run.image}: out of memory: {advice}", code)
    return code


def _write(out: bytes, err: bytes) -> None:
    for stream, piece in ((sys.stdout, out), (sys.stderr, err)):
        stream.buffer.write(piece)
        stream.flush()
