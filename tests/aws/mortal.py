"""A process that may be killed.

Each call that changes something in AWS, each change of the record, each move of an image is a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.aws import ecr
from deploy.aws.session import Aws
from deploy.context import Context
from deploy.docker_engine import DockerEngine, Image
from deploy.record import Record, RecordFile
from tests.aws.conftest import REGION, Stage, context_of


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


class MortalAws(Aws):
    """The door, in a process that may be killed."""

    def __init__(self, steps: Steps, clients: dict[str, Any]) -> None:
        super().__init__(region=REGION)
        self._steps, self._clients = steps, clients

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        changing = not operation.startswith(("get_", "list_", "describe_", "head_"))
        if not changing:
            return super().call(service, operation, parameters)
        with self._steps.step():
            return super().call(service, operation, parameters)


class MortalRecord(RecordFile):
    """The record, in a process that may be killed."""

    def __init__(self, path: Path, steps: Steps) -> None:
        super().__init__(path)
        self._steps = steps

    def change(self, change: Callable[[Record], Record]) -> Record:
        with self._steps.step():
            return super().change(change)


class MortalEngine(DockerEngine):
    """An engine that has every image, in a process that may be killed.

    A pushed image is in the rehearsal's repository from then on.
    """

    def __init__(self, stage: Stage, aws: Aws, steps: Steps) -> None:
        self._stage, self._aws, self._steps = stage, aws, steps

    def find_image(self, name: str) -> Image:
        return Image(id="sha256:1", labels={}, size=1, digests=())

    def registry_digest(self, name: str, auth: dict[str, str] | None = None) -> str | None:
        return ecr.find_digest(self._aws, "orchard", name.rpartition(":")[2])

    def tag(self, name: str, other: str) -> None:
        with self._steps.step():
            pass

    def push(self, name: str, auth: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
        with self._steps.step():
            self._stage.images.tags |= {name.rpartition(":")[2]}
            yield {"id": "layer", "status": "Pushed"}


def mortal(living: Context, steps: Steps) -> Context:
    """The same context, to be killed; the clients are shared, since they are slow to make."""
    context = context_of(living.tree, aws=MortalAws(steps, living.aws._clients), target=living.target.name)
    return replace(context, record=MortalRecord(context.record.path, steps))
