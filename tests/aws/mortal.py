"""A process that may be killed: each move of an image is a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchard_deploy.aws import Aws
from orchard_deploy.image import ecr
from orchard_deploy.image.docker_engine import DockerEngine, Image

from tests.aws.conftest import Stage


class KilledError(BaseException):
    """The process is gone."""


class Steps:
    """Counts steps, and kills at one of them: before it, or after it and before anything else."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.count, self._at, self._after = 0, at, after

    @contextmanager
    def step(self) -> Iterator[None]:
        self.count += 1
        if self.count == self._at and not self._after:
            raise KilledError
        yield
        if self.count == self._at:
            raise KilledError


class MortalEngine(DockerEngine):
    """An engine that has every image, in a process that may be killed.

    A pushed image is in the rehearsal's repository from then on.
    """

    def __init__(self, stage: Stage, aws: Aws, steps: Steps) -> None:
        self._stage, self._aws, self._steps = stage, aws, steps

    def find_image(self, name: str) -> Image:
        return Image(id="sha256:1", labels={})

    def registry_digest(self, name: str, auth: dict[str, str] | None = None) -> str | None:
        return ecr.find_digest(self._aws, "orchard", name.rpartition(":")[2])

    def push(self, name: str, remote: str, auth: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
        with self._steps.step():
            self._stage.images.tags |= {remote.rpartition(":")[2]}
            yield {"id": "layer", "status": "Pushed"}
