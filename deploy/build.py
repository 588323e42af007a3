"""Build the image: the one thing that Docker's command line does better than its API, which knows no BuildKit."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchard import __version__
from orchard.network.fingerprints import fingerprints

from deploy.errors import EngineError, ImageError
from deploy.spec import Spec
from deploy.tag import FILES, FOLDERS

BAKED = (*FILES, *FOLDERS)


@dataclass(frozen=True, kw_only=True)
class Revision:
    """The last commit that changed what is baked: its hash and its time in seconds since 1970; neither outside of git.

    Where something baked is not as that commit has it, the hash ends in `-dirty`.
    """

    commit: str = "unknown"
    time: int = 0


def find_revision(tree: Path) -> Revision:
    """The last commit that touched what is baked, so that commits to anything else leave the image as it is."""
    try:
        found = _git(tree, "log", "-1", "--format=%H %ct").split()
        changed = _git(tree, "status", "--porcelain")
    except (OSError, subprocess.SubprocessError):
        return Revision()
    return Revision(commit=found[0] + ("-dirty" if changed else ""), time=int(found[1])) if found else Revision()


def _git(tree: Path, *words: str) -> str:
    """What git says of the baked paths."""
    command = ["git", "-C", str(tree), *words, "--", *BAKED]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def build_command(
    spec: Spec,
    tree: Path,
    *,
    name: str,
    revision: Revision,
    cli: str = "docker",
    clean: bool = False,
    plain: bool = False,
) -> list[str]:
    """The command that builds `name` (repository and tag) from `tree`. Pure."""
    arguments = {
        "BASE_IMAGE": spec.base_image,
        "BACKBONES": " ".join(spec.backbones),
        "WEIGHTS_FINGERPRINT": fingerprints(" ".join(spec.backbones)),
        "IMAGE_TAG": name.rpartition(":")[2],
        "REVISION": revision.commit,
        "VERSION": __version__,
        "SOURCE_DATE_EPOCH": str(revision.time),
    }
    command = [cli, "build", "--platform", spec.platform, "--tag", name]
    command += [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    command += ["--no-cache"] if clean else []
    command += ["--progress", "plain"] if plain else []
    return [*command, str(tree)]


def build_line(command: Sequence[str]) -> str:
    """The line for a shell that does what `build` does. Pure."""
    return f"DOCKER_BUILDKIT=1 {shlex.join(command)}"


def build(command: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Run a build; its progress goes where this process's own output goes.

    Raises:
        EngineError: there is no such command. ImageError: the build failed; its own last lines say why.
    """
    try:
        code = subprocess.run(command, env={**environ, "DOCKER_BUILDKIT": "1"}, stdout=2, check=False).returncode
    except OSError as exc:
        raise EngineError(
            f"{command[0]}: {exc.strerror}: install Docker's command line, or name it with --docker"
        ) from exc
    if code:
        raise ImageError(
            f"the build of {command[command.index('--tag') + 1]} failed (exit code {code}): the lines above say why"
        )
