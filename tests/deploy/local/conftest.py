"""Fixtures of the tests of `run-local`: a cache of one's own, and a `docker` that notes what it is called with."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

# `run` prints, and ends at once, or sends its caller a signal and goes on until it is ended.
DOCKER = """#!/bin/sh
cd "{0}"
printf '%s\\0' "$@" >"$1"
echo "$1" >>calls
[ "$1" = inspect ] && cat out-of-memory
[ "$1" = run ] || exit 0
echo 24 photos
echo done >&2
trap 'echo ended >>calls; exit 143' TERM
if [ -e sent ]; then kill -s "$(cat sent)" $PPID; sleep 60 & wait; fi
exit "$(cat code)"
"""


@dataclass
class DockerClient:
    """The stand-in for Docker's client; its files are what it says and does, and what it was called with."""

    folder: Path

    def says(self, code: int, *, out_of_memory: bool = False) -> None:
        """Let the next container end so."""
        (self.folder / "code").write_text(str(code))
        (self.folder / "out-of-memory").write_text(f"{str(out_of_memory).lower()}\n")

    def sends(self, sent: signal.Signals) -> None:
        """Let the next container send this process a signal."""
        (self.folder / "sent").write_text(sent.name.removeprefix("SIG"))

    def words(self, command: str = "run") -> list[str]:
        """What followed `docker` when this command was called last."""
        return (self.folder / command).read_text(encoding="utf-8").split("\0")[:-1]

    @property
    def calls(self) -> list[str]:
        """The commands that were called, and how the container ended."""
        path = self.folder / "calls"
        return path.read_text(encoding="utf-8").split() if path.exists() else []


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def docker_client(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> DockerClient:
    """A `docker` on the PATH, whose containers end well."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "docker").write_text(DOCKER.format(folder), encoding="utf-8")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    client = DockerClient(folder)
    client.says(0)
    return client
