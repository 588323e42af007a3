"""What is asked of a container engine, as plain data.

A run, in the words of its API and of `docker run`. Pure but for the small files.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of this machine inside the container."""

    source: Path
    target: str
    read_only: bool

    def argument(self) -> dict[str, Any]:
        """The same for the engine's API, which makes no folder where there is none."""
        return {"Type": "bind", "Source": str(self.source), "Target": self.target, "ReadOnly": self.read_only}

    def word(self) -> str:
        """The value of `--mount`: comma-separated, so that a path may have colons, and commas in quotes."""
        text = io.StringIO()
        parts = [
            "type=bind",
            f"source={self.source}",
            f"target={self.target}",
            *(["readonly"] if self.read_only else []),
        ]
        csv.writer(text, lineterminator="").writerow(parts)
        return text.getvalue()


@dataclass(frozen=True, kw_only=True)
class ContainerRun:
    """One run of an image, confined to what it is given.

    Attributes:
        memory: bytes; a container that needs more is ended by the kernel.
        cpus: cores it may use; None for all that the engine has.
        network: "none", or a Docker network.
        hostname: its name for itself.
        user: uid and gid, or None for the image's own.
        environment: variables for it.
        handed_on: further ones, the caller's own, whose values are for no one to see: no line shows them.
        files: path in the container -> content of a small file that is to be there, read-only.
        copies: path in the container -> file of this machine, of which a copy is to be there that `user` alone can
            read.
    """

    image: str
    entrypoint: str
    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    memory: int
    cpus: float | None = None
    network: str = "none"
    hostname: str | None = None
    user: tuple[int, int] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    handed_on: Mapping[str, str] = field(default_factory=dict)
    tmpfs: tuple[str, ...] = ("/tmp",)
    pids: int = 1024
    files: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, Path] = field(default_factory=dict)

    def with_files_in(self, folder: Path) -> ContainerRun:
        """The same run with its `files` and `copies` mounted from `folder`, where `write_files` puts them."""
        targets = (*self.files, *self.copies)
        mounts = (Mount(source=folder / Path(target).name, target=target, read_only=True) for target in targets)
        return replace(self, mounts=(*self.mounts, *mounts), files={}, copies={})

    def write_files(self, folder: Path) -> None:
        """Put the content of `files` into `folder`, readable by whoever the container runs as, and the `copies`.

        Raises:
            SpecError: a file that is to be copied cannot be read.
        """
        for target, content in self.files.items():
            path = folder / Path(target).name
            path.write_text(content, encoding="utf-8")
            path.chmod(0o644)
        for target, source in self.copies.items():
            _copy(source, folder / Path(target).name, self.user)

    def arguments(self) -> dict[str, Any]:
        """The arguments of the Docker SDK's `containers.create`."""
        return {
            "image": self.image,
            "entrypoint": [self.entrypoint],
            "command": list(self.command),
            "environment": {**self.environment, **self.handed_on},
            "mounts": [mount.argument() for mount in self.mounts],
            "network_mode": self.network,
            "hostname": self.hostname,
            "user": self._user(),
            "mem_limit": self.memory,
            "memswap_limit": self.memory,
            "nano_cpus": int(self.cpus * 1e9) if self.cpus else None,
            "pids_limit": self.pids,
            "read_only": True,
            "tmpfs": dict.fromkeys(self.tmpfs, ""),
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "init": True,
        }

    def _user(self) -> str | None:
        return "{}:{}".format(*self.user) if self.user else None

    def docker_run(self) -> list[str]:
        """The words of the `docker run` that does the same, but for `files` and `copies`."""
        words = ["docker", "run", "--rm", "--init", "--network", self.network, "--read-only"]
        words += ["--hostname", self.hostname] if self.hostname else []
        words += [word for target in self.tmpfs for word in ("--tmpfs", target)]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", str(self.pids)]
        words += ["--memory", str(self.memory), "--memory-swap", str(self.memory)]
        words += ["--cpus", f"{self.cpus:g}"] if self.cpus else []
        words += ["--user", user] if (user := self._user()) else []
        words += [word for name, value in self.environment.items() for word in ("--env", f"{name}={value}")]
        words += [word for name in self.handed_on for word in ("--env", name)]
        words += [word for mount in self.mounts for word in ("--mount", mount.word())]
        return [*words, "--entrypoint", self.entrypoint, self.image, *self.command]


def _copy(source: Path, path: Path, owner: tuple[int, int] | None) -> None:
    try:
        content = source.read_bytes()
    except OSError as exc:
        raise SpecError(
            f"{source}: {exc.strerror}: the job needs a copy of it: make it readable, or name another"
        ) from exc
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as stream:
        stream.write(content)
        if owner:
            os.fchown(stream.fileno(), *owner)
