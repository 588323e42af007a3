"""One run of an image as plain data, in the words of the engine's API and of `docker run`. Pure."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchard_deploy.image.docker_engine import Machine


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of this machine inside the container."""

    source: Path
    target: str
    read_only: bool = True

    def argument(self) -> dict[str, Any]:
        """The same for the engine's API, which makes no folder where there is none."""
        return {"Type": "bind", "Source": str(self.source), "Target": self.target, "ReadOnly": self.read_only}

    def word(self) -> str:
        """The value of `--mount`: comma-separated, so that a path may have colons, and commas in quotes."""
        text, read_only = io.StringIO(), ["readonly"] if self.read_only else []
        parts = ["type=bind", f"source={self.source}", f"target={self.target}", *read_only]
        csv.writer(text, lineterminator="").writerow(parts)
        return text.getvalue()


@dataclass(frozen=True, kw_only=True)
class ContainerRun:
    """One run of an image, confined to what it is given.

    Attributes:
        memory: bytes; a container that needs more is ended by the kernel.
        cpus: cores it may use; None for all that the engine has.
        network: "none", or a Docker network.
        user: uid and gid, or None for the image's own.
        handed_on: variables beside `environment`, the caller's own; no line shows their values, which may be secrets.
    """

    image: str
    entrypoint: str
    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    memory: int
    cpus: float | None = None
    network: str = "none"
    user: tuple[int, int] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    handed_on: Mapping[str, str] = field(default_factory=dict)
    security: tuple[str, ...] = ("no-new-privileges",)

    def on(self, machine: Machine) -> ContainerRun:
        """The same run as a machine needs it: root where that is the caller, and no labels of SELinux."""
        user = (0, 0) if self.user and machine.rootless else self.user
        labels = ("label=disable",) if machine.selinux else ()
        return replace(self, user=user, security=(*self.security, *labels))

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders of this machine that it writes to."""
        return tuple(mount.source for mount in self.mounts if not mount.read_only)

    def _options(self) -> Iterator[tuple[str, str, Any]]:
        """Argument of the Docker SDK, flag of `docker run`, and the value of both."""
        yield "network_mode", "--network", self.network
        # A container without a network cannot look any other name up.
        yield "hostname", "--hostname", "localhost" if self.network == "none" else None
        yield "user", "--user", "{}:{}".format(*self.user) if self.user else None
        yield "mem_limit", "--memory", self.memory
        yield "memswap_limit", "--memory-swap", self.memory
        yield "pids_limit", "--pids-limit", 1024
        yield "read_only", "--read-only", True
        yield "tmpfs", "--tmpfs", {"/tmp": ""}
        yield "cap_drop", "--cap-drop", ["ALL"]
        yield "security_opt", "--security-opt", list(self.security)
        yield "init", "--init", True
        yield "entrypoint", "--entrypoint", [self.entrypoint]

    def arguments(self) -> dict[str, Any]:
        """The arguments of the Docker SDK's `containers.create`."""
        return {
            **{name: value for name, _, value in self._options()},
            "image": self.image,
            "command": list(self.command),
            "environment": {**self.environment, **self.handed_on},
            "mounts": [mount.argument() for mount in self.mounts],
            "nano_cpus": int(self.cpus * 1e9) if self.cpus else None,
        }

    def docker_run(self) -> list[str]:
        """The words of the `docker run` that does the same."""
        words = ["docker", "run", "--rm", *(word for _, flag, value in self._options() for word in _words(flag, value))]
        words += _words("--cpus", f"{self.cpus:g}" if self.cpus else None)
        words += _words("--env", [*(f"{name}={value}" for name, value in self.environment.items()), *self.handed_on])
        words += _words("--mount", [mount.word() for mount in self.mounts])
        return [*words, self.image, *self.command]

    def shell_line(self) -> str:
        """`docker_run` as one line for a shell, which makes the folder first that is written to: Docker's is root's."""
        made = [shlex.join(["mkdir", "-p", str(folder)]) for folder in self.written]
        return " && ".join([*made, shlex.join(self.docker_run())])


def _words(flag: str, value: Any) -> list[str]:
    """A flag as often as it has values: once without any where it is True."""
    if value is None or value is True:
        return [flag] if value else []
    return [word for each in ([value] if isinstance(value, str | int) else value) for word in (flag, str(each))]
