"""Fixtures of the container tests: an engine, the stand-in base, and this tree's image as `orchard-deploy` builds it.

Amazon's base image cannot be had everywhere, so a stand-in takes its place: upstream Spark 3.5.6 laid out as EMR lays
it out, on Debian. It tests the Dockerfile and the job, not Amazon's system. Both are built once for the same content.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.deploy.conftest import ROOT

STAND_IN = "orchard-stand-in:emr-7.13.0"
DEBIAN = "orchard-stand-in-debian:bookworm"
# The one of Debian's docker.io, where a newer client without its buildx plugin comes first on the PATH.
CLI = "/usr/bin/docker"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and keep it on one worker: the engine and the image are shared."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.container)
            item.add_marker(pytest.mark.xdist_group("container"))


@pytest.fixture(scope="session", autouse=True)
def in_one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail where tests in containers run in two processes at once, whatever spread them."""
    with open(tmp_path_factory.getbasetemp().parent / "containers.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def running_containers() -> set[str]:
    """Ids of the containers that run now."""
    done = subprocess.run([CLI, "ps", "--quiet", "--no-trunc"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="session")
def engine() -> str:
    """Where the engine answers. Without one the tests skip; in CI, where `.ci/run` has started one, they fail."""
    try:
        subprocess.run([CLI, "info"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        _do_without(f"no Docker engine answers to {CLI} ({exc}): tests/container/engine.sh starts one")
    return os.environ.get("DOCKER_HOST", "")


@pytest.fixture(scope="session")
def registry_program(engine: str) -> str:
    """The program that serves a registry; where there is none, the same."""
    program = shutil.which("docker-registry")
    return program or _do_without(
        "no docker-registry on this machine: Debian's package of that name, which tests/container/engine.sh installs"
    )


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def stand_in(engine: str) -> str:
    """The name of the stand-in for Amazon's base image."""
    script = ROOT / "tests" / "container" / "stand_in" / "build.sh"
    subprocess.run([script, STAND_IN], env={**os.environ, "PYTHON": sys.executable}, check=True, timeout=1200)
    return STAND_IN


@pytest.fixture(scope="session")
def small_image(stand_in: str) -> str:
    """The name of an image that is not Orchard's."""
    return DEBIAN


@pytest.fixture(scope="session")
def stand_in_spec(stand_in: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's specification, but for the base image."""
    return write_spec(tmp_path_factory.mktemp("spec"), base=stand_in)


def write_spec(folder: Path, **image: Any) -> Path:
    """The project's specification in a folder, with other values of `image`."""
    content = json.loads((ROOT / "emr-serverless.json").read_text(encoding="utf-8"))
    content["image"] |= image
    path = folder / "emr-serverless.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def image(stand_in_spec: Path) -> str:
    """The name of this tree's image, built from the unchanged Dockerfile."""
    return build(stand_in_spec)


def build(spec: Path) -> str:
    """The name of the image of a specification, as `orchard-deploy` builds it."""
    command = [sys.executable, "-m", "orchard_deploy", "build", "--spec", str(spec), "--docker", CLI]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=3000)
    return done.stdout.strip()
