"""The part of an output that is not finished: what a run in progress keeps in `.partial/`, and what one that was cut off left there.

.partial/run.json              which run it is
.partial/manifest-98ea.parquet its listing, frozen, named by its hash
.partial/chunks/000003-ab12/   what Spark wrote for a chunk; another attempt, another folder
.partial/chunks/000003.json    that the chunk is committed, and which files are its own
.partial/parts-cd34/…          parts of the output to be, under their final names; another process, another folder

What is to be published is nowhere that another process would write: one that was suspended, and goes on after its place was taken,
does no harm. What it clears it lists first, and then makes sure that the place is still its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from orchard.errors import OutputError
from orchard.legacy.ledger import Commit, RunRecord
from orchard.legacy.locks import OBJECT, nothing_to_check
from orchard.photos.source import local_path
from orchard.storage.stores import LocalStore, Store
from orchard.tables import parquet

PARTIAL = ".partial"
RUN = f"{PARTIAL}/run.json"
_COMMIT = re.compile(rf"{re.escape(PARTIAL)}/chunks/\d+\.json")


@dataclass(frozen=True)
class Unfinished:
    """A run that was cut off: what it was, and what it had committed."""

    run: RunRecord
    commits: Mapping[int, Commit]

    def __str__(self) -> str:
        return f"{len(self.commits)} of {self.run.chunks} chunks"

    @property
    def is_worth_keeping(self) -> bool:
        """Whether there are features in it, and more than a minute's work: a run of one chunk is as quickly done again."""
        return self.run.chunks > 1 and any(task.featurized for commit in self.commits.values() for task in commit.tasks)


@dataclass(frozen=True)
class Stage:
    """The unfinished part of one output.

    Attributes:
        check: raises `OutputError` when the output is not this run's any more.
    """

    store: Store
    check: Callable[[], None] = nothing_to_check
    _parts: str = field(default_factory=lambda: _unique("parts"), init=False)

    def find(self) -> Unfinished | None:
        """What a run left here, None if nothing can be made of it. A chunk does not count if its files are not what it says, or if that
        itself cannot be read: a machine that loses its power may leave half of it.

        Raises:
            OutputError: left by another version of Orchard, that wrote it down differently.
        """
        sizes = {stored.key: stored.size for stored in self.store.list(PARTIAL)}
        if RUN not in sizes:
            return None
        try:
            run = RunRecord.from_json(self.store.read(RUN))
            contents = [self.store.read(key) for key in sizes if _COMMIT.fullmatch(key)]
            commits = [commit for content in contents if (commit := _read_commit(content))]
        except (KeyError, TypeError, ValueError) as exc:
            raise OutputError(
                f"--output {self.store.uri}: another version of Orchard began a run there: start again with --overwrite"
            ) from exc
        return Unfinished(
            run, {commit.chunk: commit for commit in commits if all(sizes.get(f.key) == f.size for f in commit.files)}
        )

    def begin(self, run: RunRecord, manifest: bytes) -> None:
        """Clear everything, and freeze the listing of a new run."""
        self.clear()
        self.store.write(_frozen_key(run), manifest)
        self.check()
        self.store.write(RUN, run.to_json())

    def clear(self, keep: Unfinished | None = None) -> None:
        """Remove everything, or all but the frozen listing and the committed chunks of `keep`."""
        kept = {OBJECT}
        if keep:
            kept |= {RUN, _frozen_key(keep.run)}
            for commit in keep.commits.values():
                kept |= {_commit_key(commit.chunk), *(file.key for file in commit.files)}
        if isinstance(self.store, LocalStore):
            _clear_folder(Path(local_path(self.store.uri)), PARTIAL, kept)
        else:
            left = [stored.key for stored in self.store.list(PARTIAL) if stored.key not in kept]
            self.check()
            self.store.delete(left)

    def manifest(self, run: RunRecord) -> pa.Table:
        """The frozen listing.

        Raises:
            OutputError: it is not the one that the run wrote.
        """
        content = self.store.read(_frozen_key(run)) if self.store.exists(_frozen_key(run)) else b""
        if sha256(content) != run.manifest:
            raise OutputError(
                f"--output {self.store.uri}: the unfinished run's manifest is damaged: start again with --overwrite"
            )
        return parquet.from_bytes(content)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write parts of the output to be."""
        with ThreadPoolExecutor(len(files)) as pool:
            list(pool.map(lambda key: self.store.write(f"{self._parts}/{key}", files[key]), files))

    def attempt(self, name: str) -> str:
        """A key for Spark to write a table at, that nothing else, and no process thought dead, will ever write at."""
        return _unique(name)

    def seal(self, run: RunRecord, layout: Mapping[str, str]) -> dict[str, str]:
        """Mark the listing and the tables of `layout` (final key -> key now) as whole; returns a layout of all of the output to be."""
        tables = {f"manifest/{parquet.ONLY}": _frozen_key(run), **layout}
        self.write({f"{final.split('/')[0]}/{parquet.SUCCESS}": b"" for final in tables})
        parts = {stored.key.removeprefix(f"{self._parts}/"): stored.key for stored in self.store.list(self._parts)}
        return {**parts, **tables}

    def commit(self, commit: Commit) -> None:
        """Make a chunk count; its files are on the disk before that says so."""
        self.check()
        self.store.sync(file.key for file in commit.files)
        self.store.write(_commit_key(commit.chunk), commit.to_json())


def _read_commit(content: bytes) -> Commit | None:
    try:
        return Commit.from_json(content)
    except ValueError:  # no JSON: torn
        return None


def sha256(content: bytes) -> str:
    """The SHA-256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _unique(name: str) -> str:
    return f"{PARTIAL}/{name}-{uuid.uuid4().hex[:8]}"


def _frozen_key(run: RunRecord) -> str:
    return f"{PARTIAL}/manifest-{run.manifest[:16]}.parquet"


def _commit_key(chunk: int) -> str:
    return f"{PARTIAL}/chunks/{chunk:06}.json"


def _clear_folder(root: Path, folder: str, kept: Collection[str]) -> None:
    # Not by the store's list: it shows neither folders nor files that were being written.
    for place, _, names in os.walk(root / folder, topdown=False):
        for name in names:
            if str(Path(place, name).relative_to(root)) not in kept:
                Path(place, name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone: a Spark on its way out may be clearing up as well
            Path(place).rmdir()
