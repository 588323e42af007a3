"""What a run writes down about itself while it goes on: who it is, and what each chunk gave. Pure: JSON in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchard.features.job import TaskReport
from orchard.photos.source import Rejection
from orchard.storage.stores import Stored

Identity = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run is, written before its first chunk.

    Attributes:
        created: ISO 8601 time of its start, UTC.
        identity: everything its result depends on but the photos; see `orchard.legacy.plan.identify`.
        manifest: SHA-256 of the manifest's parquet file.
        partitions, chunks: into how many its photos are cut.
        row, partition: the first of them that is this run's; those before are the earlier output's that it extends.
    """

    created: str
    identity: Identity
    manifest: str
    partitions: int
    chunks: int
    row: int = 0
    partition: int = 0

    def to_json(self) -> bytes:
        """The content of `run.json`."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> RunRecord:
        """The inverse of `to_json`."""
        return cls(**json.loads(content))


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What one chunk gave; that this is there makes the chunk count.

    Attributes:
        seconds: how long it took, wall clock.
        slots: task slots at its end: by the first chunk's the fit is shared out, whatever there are when it is done.
        files: its parquet files, with keys in the store, in order; the first belongs to partition `partition`.
        tasks: one report a partition, in order.
    """

    chunk: int
    seconds: float
    slots: int
    files: tuple[Stored, ...]
    tasks: tuple[TaskReport, ...]

    @property
    def photos(self) -> int:
        """How many photos it was given."""
        return sum(task.photos for task in self.tasks)

    def to_json(self) -> bytes:
        """The content of the chunk's file."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Commit:
        """The inverse of `to_json`."""
        values = json.loads(content)
        tasks = tuple(
            TaskReport(**{**task, "rejections": [Rejection(**rejection) for rejection in task["rejections"]]})
            for task in values["tasks"]
        )
        return cls(**{**values, "files": tuple(Stored(**file) for file in values["files"]), "tasks": tasks})
