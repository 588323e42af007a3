"""What is asked of a container engine, as plain data: a run, and the `docker run` line that says the same. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of this machine inside the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class ContainerRun:
    """One run of an image, confined to what it is given.

    Attributes:
        memory: bytes; a container that needs more is ended by the kernel.
        cpus: cores it may use.
        network: "none", or a Docker network.
        hostname: its name for itself.
        user: uid and gid, or None for the image's own.
        files: path in the container -> content of a small file that is to be there, read-only.
    """

    image: str
    entrypoint: str
    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    memory: int
    cpus: float
    network: str = "none"
    hostname: str | None = None
    user: tuple[int, int] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    tmpfs: tuple[str, ...] = ("/tmp",)
    pids: int = 1024
    files: Mapping[str, str] = field(default_factory=dict)

    def with_files_in(self, folder: Path) -> ContainerRun:
        """The same run with its `files` mounted from `folder`, where `write_files` puts them."""
        mounts = (Mount(source=folder / Path(target).name, target=target, read_only=True) for target in self.files)
        return replace(self, mounts=(*self.mounts, *mounts), files={})

    def write_files(self, folder: Path) -> None:
        """Put the content of `files` into `folder`, readable by whoever the container runs as."""
        for target, content in self.files.items():
            path = folder / Path(target).name
            path.write_text(content, encoding="utf-8")
            path.chmod(0o644)

    def arguments(self) -> dict[str, Any]:
        """The arguments of the Docker SDK's `containers.create`."""
        return {
            "image": self.image,
            "entrypoint": [self.entrypoint],
            "command": list(self.command),
            "environment": dict(self.environment),
            "volumes": {str(m.source): {"bind": m.target, "mode": "ro" if m.read_only else "rw"} for m in self.mounts},
            "network_mode": self.network,
            "hostname": self.hostname,
            "user": self._user(),
            "mem_limit": self.memory,
            "memswap_limit": self.memory,
            "nano_cpus": int(self.cpus * 1e9),
            "pids_limit": self.pids,
            "read_only": True,
            "tmpfs": dict.fromkeys(self.tmpfs, ""),
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "init": True,
        }

    def _user(self) -> str | None:
        return "{}:{}".format(*self.user) if self.user else None

    def command_line(self) -> str:
        """The same for a shell: a line for each of `files`, and the `docker run` line."""
        folder = Path("/tmp")
        lines = [f"printf %s {shlex.quote(text)} >{shlex.quote(str(folder / Path(target).name))}" for target, text in self.files.items()]
        return "\n".join([*lines, self.with_files_in(folder)._docker_run()])

    def _docker_run(self) -> str:
        words = ["docker", "run", "--rm", "--init", "--network", self.network, "--read-only"]
        words += ["--hostname", self.hostname] if self.hostname else []
        words += [word for target in self.tmpfs for word in ("--tmpfs", target)]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", str(self.pids)]
        words += ["--memory", str(self.memory), "--memory-swap", str(self.memory), "--cpus", f"{self.cpus:g}"]
        words += ["--user", user] if (user := self._user()) else []
        words += [word for name, value in self.environment.items() for word in ("--env", f"{name}={value}")]
        for mount in self.mounts:
            words += ["--volume", f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "")]
        return shlex.join([*words, "--entrypoint", self.entrypoint, self.image, *self.command])
