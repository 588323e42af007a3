"""A finished output that a run extends: what of it stays, and what the report says of that."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from orchard.errors import OutputError
from orchard.features.job import TaskReport
from orchard.legacy.stage import sha256
from orchard.photos.source import Rejection
from orchard.storage.stores import Store
from orchard.tables import columns, parquet
from orchard.tables import reading as tables


@dataclass(frozen=True)
class Base:
    """The output as it is.

    Attributes:
        facts: its `report.json`.
        manifest: its listing; `digest` is the SHA-256 of that file.
        rejections: the rows of `rejected/`.
    """

    facts: Mapping[str, Any]
    manifest: pa.Table
    digest: str
    rejections: Sequence[Rejection]

    @property
    def partitions(self) -> int:
        """How many partitions were featurized so far."""
        return len(self.facts["partitions"])


def read_base(store: Store) -> Base:
    """Read what a run needs to know of the output that it extends.

    Raises:
        OutputError: it is not one that can be extended.
    """
    try:
        facts = json.loads(store.read("report.json"))
        content = store.read(parquet.files(store, "manifest")[0])
        table = parquet.from_bytes(content)
        if "identity" not in facts or sum(photos for _, photos in facts["partitions"]) != table.num_rows:
            raise ValueError("its report and its manifest do not say what it was made with")
    except (OSError, ValueError, KeyError, IndexError) as exc:
        raise OutputError(f"--output {store.uri}: cannot be extended ({exc}): make it anew with --overwrite") from exc
    return Base(facts, table, sha256(content), tables.read_rejections(store))


@dataclass(frozen=True)
class Extension:
    """What becomes of the output.

    Attributes:
        replaced: paths whose photos have changed; what was computed of them goes.
        removed: how many photos are no longer in the input; their rows stay.
        refit: whether the model is fitted again, over everything.
    """

    base: Base
    replaced: frozenset[str]
    removed: int
    refit: bool

    @functools.cached_property
    def kept(self) -> pa.Table:
        """The rows of the manifest that stay."""
        return _without(self.base.manifest, self.replaced)

    @property
    def rewritten(self) -> frozenset[str]:
        """Those of `replaced` that have rows in the tables."""
        return self.replaced.difference(rejection.path for rejection in self.base.rejections)

    def tasks(self) -> list[TaskReport]:
        """What earlier tasks did, as far as it stays: photos and rejections by partition."""
        rejections = {rejection.path: rejection for rejection in self.base.rejections}
        paths, start, tasks = self.base.manifest.column("path"), 0, []
        for index, photos in self.base.facts["partitions"]:
            kept = [path for path in paths.slice(start, photos).to_pylist() if path not in self.replaced]
            rejected = [rejections[path] for path in kept if path in rejections]
            tasks.append(TaskReport(index, len(kept), len(kept) - len(rejected), rejected))
            start += photos
        return tasks

    def facts(self, photos: int) -> dict[str, Any]:
        """What the report says of an extension by so many `photos`."""
        return {
            "extends": self.base.facts["created"],
            "kept": self.kept.num_rows,
            "added": photos - len(self.replaced),
            "modified": len(self.replaced),
            "removed": self.removed,
            "refit": self.refit,
        }


def _without(table: pa.Table, paths: frozenset[str]) -> pa.Table:
    if not paths:
        return table
    places = [place for place, path in enumerate(table.column("path").to_pylist()) if path not in paths]
    return table.take(columns.numbers(places, np.int64, pa.int64()))
