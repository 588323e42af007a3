"""Build the image by Docker's command line: its API knows no BuildKit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchard import __version__
from orchard.network.fingerprints import fingerprints

from orchard_deploy.errors import EngineError, ImageError
from orchard_deploy.image.tag import FILES, FOLDERS
from orchard_deploy.spec import Spec

# Docker knows them as arguments of every build, and keeps them out of the image.
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")


def find_revision(tree: Path) -> tuple[str, int]:
    """The last commit that changed what is baked, and its time in seconds since 1970; `unknown` and 0 outside of git.

    Where something baked is not as that commit has it, it ends in `-dirty`.
    """
    try:
        found = _git(tree, "log", "-1", "--format=%H %ct").split()
        changed = _git(tree, "status", "--porcelain")
    except (OSError, subprocess.SubprocessError):
        found = []
    return (found[0] + ("-dirty" if changed else ""), int(found[1])) if found else ("unknown", 0)


def _git(tree: Path, *words: str) -> str:
    """What git says of the baked paths."""
    command = ["git", "-C", str(tree), *words, "--", *FILES, *FOLDERS]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


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
    command = [cli, "build", "--platform", spec.platform, "--tag", name]
    return [*command, *(word for value in given for word in ("--build-arg", value)), str(tree)]


def build(command: Sequence[str]) -> None:
    """Run a build; its progress goes where this process's own output goes.

    Raises:
        EngineError: there is no such command. ImageError: the build failed; its own last lines say why.
    """
    try:
        code = subprocess.run(command, env={**os.environ, "DOCKER_BUILDKIT": "1"}, stdout=2, check=False).returncode
    except OSError as exc:
        raise EngineError(f"{command[0]}: {exc.strerror}: install Docker's client, or name it with --docker") from exc
    if code:
        raise ImageError(f"{command[0]} build: failed (exit code {code}): the lines above say why")
