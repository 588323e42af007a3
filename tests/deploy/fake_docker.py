"""A Docker engine in memory, for what its answers lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from docker.errors import ImageNotFound

ORCHARD = {"org.opencontainers.image.title": "orchard"}


class FakeDocker:
    """Stands in for a `DockerClient`; notes what changes something."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.facts: dict[str, Any] = {}
        self.architecture = "amd64"
        self.events: list[dict[str, Any]] = [{"id": "a", "status": "Pushed"}]
        self.images_there = {"orchard:x": ORCHARD, "other:x": {}}
        self.built: Path | None = None  # where a build leaves a trace of itself
        self.arrived: Callable[[], None] = lambda: None  # called at the end of a push
        self.images = SimpleNamespace(get=self._get)
        self.api = SimpleNamespace(push=self._push)

    def info(self) -> dict[str, Any]:
        return self.facts

    def version(self) -> dict[str, str]:
        return {"Arch": self.architecture}

    def _get(self, name: str) -> Any:
        if name not in self.images_there and not (self.built and self.built.exists()):
            raise ImageNotFound(name)
        return SimpleNamespace(
            id="sha256:0",
            labels=self.images_there.get(name, ORCHARD),
            attrs={"Architecture": "amd64"},
            tag=lambda remote: self.calls.append(f"tag {remote}"),
        )

    def _push(self, name: str, **_: Any) -> Iterator[dict[str, Any]]:
        self.calls.append(f"push {name}")
        yield from self.events
        self.arrived()
