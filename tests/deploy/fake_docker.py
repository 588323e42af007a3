"""A Docker engine in memory, for what its answers lead to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from docker.errors import ImageNotFound, NotFound

ORCHARD = {"org.opencontainers.image.title": "orchard"}


class FakeDocker:
    """Stands in for a `DockerClient`; notes what changes something."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.facts: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = [{"id": "a", "status": "Pushed"}]
        self.images_there = {"orchard:x": ORCHARD, "other:x": {}}
        self.built: Path | None = None  # where a build leaves a trace of itself
        self.pushed: set[str] = set()
        self.code, self.out_of_memory = 0, False
        self.sent: signal.Signals | None = None  # to this process, while a container runs
        self.created: dict[str, Any] = {}
        self.images = SimpleNamespace(get=self._get, get_registry_data=self._registry_data)
        self.containers = SimpleNamespace(create=self._create)
        self.api = SimpleNamespace(push=self._push)

    def ping(self) -> None:
        """It answers."""

    def info(self) -> dict[str, Any]:
        return self.facts

    def _get(self, name: str) -> Any:
        if name not in self.images_there and not (self.built and self.built.exists()):
            raise ImageNotFound(name)
        return SimpleNamespace(
            id="sha256:0",
            labels=self.images_there.get(name, ORCHARD),
            attrs={"Architecture": "amd64"},
            tag=lambda remote: self.calls.append(f"tag {remote}"),
            history=lambda: [{"Size": 2_000_000_000, "CreatedBy": "RUN make"}, {"Size": 7, "CreatedBy": "ENV"}],
        )

    def _registry_data(self, name: str, *, auth_config: Any) -> Any:
        if name not in self.pushed:
            raise NotFound(name)
        return SimpleNamespace(id="sha256:1")

    def _push(self, name: str, **_: Any) -> Iterator[dict[str, Any]]:
        self.calls.append(f"push {name}")
        self.pushed.add(name)
        yield from self.events

    def _create(self, **arguments: Any) -> Any:
        self.created = arguments
        return SimpleNamespace(
            start=lambda: self.calls.append("start"),
            attach=self._attach,
            wait=lambda: {"StatusCode": self.code},
            reload=lambda: None,
            attrs={"State": {"OOMKilled": self.out_of_memory}},
            stop=lambda timeout: self.calls.append("stop"),
            remove=lambda force, v: self.calls.append("remove"),
        )

    def _attach(self, **_: Any) -> Iterator[tuple[bytes | None, bytes | None]]:
        yield b"24 photos\n", None
        if self.sent:
            signal.raise_signal(self.sent)
        yield None, b"done\n"
