"""What a run has to do: which photos to featurize, where they go in the output, and what is done already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from orchard.errors import InputError
from orchard.legacy import chunks
from orchard.legacy.chunks import Chunk
from orchard.legacy.extension import Base, Extension, read_base
from orchard.legacy.identity import FEATURES, MODEL, check_same, identify
from orchard.legacy.ledger import Commit, Identity, RunRecord
from orchard.legacy.output import Output
from orchard.legacy.plan import Plan, list_photos
from orchard.legacy.stage import Unfinished, sha256
from orchard.pca.projection import check_enough
from orchard.photos import access, manifest
from orchard.photos.source import Photo
from orchard.tables import parquet


@dataclass(frozen=True)
class Order:
    """The photos of one run, their listing frozen.

    Attributes:
        manifest: the whole listing of the output to be.
        run: what is written down of the run.
        chunks: all of the run's, in order.
        commits: those that are done already, by number.
        extension: what stays of the output that is extended.
    """

    manifest: pa.Table
    run: RunRecord
    chunks: Sequence[Chunk]
    commits: Mapping[int, Commit] = field(default_factory=dict)
    extension: Extension | None = None

    @property
    def photos(self) -> int:
        """How many photos the run featurizes, those done already included."""
        return int(self.manifest.num_rows) - self.run.row


@dataclass(frozen=True)
class Request:
    """What is asked for, listed and checked; nothing is written yet.

    Attributes:
        photos: those to featurize, in order.
        witnesses: photos of the input that can be read, see `orchard.photos.access`.
        extension: what stays of the output that is extended.
        rest: what an unfinished run still has to do, None for a new run.
    """

    plan: Plan
    output: Output
    identity: Identity
    photos: Sequence[Photo]
    witnesses: Sequence[Photo]
    extension: Extension | None = None
    rest: Order | None = None

    @property
    def partitions(self) -> int:
        """How many partitions the photos are cut into."""
        return (
            self.rest.run.partitions
            if self.rest
            else self.plan.options.partitions or chunks.default_partitions(len(self.photos))
        )

    def begin(self, slots: int) -> Order:
        """Freeze the listing of a new run, cut for so many task slots, or go on with the unfinished one."""
        if self.rest and self.output.unfinished:
            self.output.go_on(self.output.unfinished)
            return self.rest
        numbers = chunks.assign_chunks(len(self.photos), self.partitions, slots=slots, chunk=self.plan.options.chunk)
        place = {"row": 0, "partition": 0}
        table = manifest.to_table(self.photos, numbers)
        if self.extension:
            place = {"row": self.extension.kept.num_rows, "partition": self.extension.base.partitions}
            numbers = numbers + np.int32(manifest.next_chunk(self.extension.base.manifest))
            table = pa.concat_tables([self.extension.kept, manifest.to_table(self.photos, numbers)])
        content = parquet.to_bytes(table)
        cut = chunks.cut(numbers, self.partitions, **place)
        run = RunRecord(
            created=self.plan.created,
            identity=self.identity,
            manifest=sha256(content),
            partitions=self.partitions,
            chunks=len(cut),
            **place,
        )
        self.output.begin(run, content)
        return Order(table, run, cut, extension=self.extension)


def make_request(plan: Plan, output: Output) -> Request:
    """List the photos, read a few, and check everything that can be checked before Spark is there.

    Raises:
        UsageError: other options than those of the run to go on with or to extend.
        InputError: nothing to work on, too little of it, or a changed input.
        OutputError: an output that cannot be extended, or a damaged unfinished run.
    """
    options, unfinished = plan.options, output.unfinished
    base = read_base(output.store) if options.since_last and output.finished else None
    identity = identify(plan, base.digest if base else None)
    if unfinished:
        check_same(identity, unfinished.run.identity, f"--resume: the unfinished run in {options.output}")
        return _rest(plan, output, unfinished, base)
    if base:
        names = FEATURES if options.refit else (*FEATURES, *MODEL)
        check_same(identity, base.facts["identity"], f"--since-last: the output in {options.output}", names)
        return _new(plan, output, base, identity)
    photos = list_photos(plan)
    check_enough(len(photos), options.components, min(len(photos) - 1, plan.backbone.feature_size))
    return Request(plan, output, identity, photos, access.find_witnesses(plan.source, photos))


def check_unchanged(plan: Plan, output: Output) -> None:
    """Raise `InputError` when the input is not what the finished run listed."""
    changes = manifest.compare(parquet.read_table(output.store, "manifest"), list_photos(plan))
    if difference := changes.first():
        raise InputError(
            f"--input {plan.options.input}: changed since the finished run listed it: {difference}: "
            "extend the output with --since-last, or start again with --overwrite"
        )


def _new(plan: Plan, output: Output, base: Base, identity: Identity) -> Request:
    photos = list_photos(plan)
    changes = manifest.compare(base.manifest, photos)
    # What lay with the storage and not with the photo is tried again.
    missed = {rejection.path for rejection in base.rejections if rejection.reason in access.REASONS}
    again = missed.intersection(photo.path for photo in photos)
    modified = again.union(photo.path for photo in changes.modified)
    new = modified.union(photo.path for photo in changes.added)
    extension = Extension(base, frozenset(modified), len(changes.removed), plan.options.refit)
    witnesses = access.find_witnesses(plan.source, photos)
    return Request(plan, output, identity, [photo for photo in photos if photo.path in new], witnesses, extension)


def _rest(plan: Plan, output: Output, unfinished: Unfinished, base: Base | None) -> Request:
    run, table, photos = unfinished.run, output.stage.manifest(unfinished.run), list_photos(plan)
    own = table.slice(run.row)
    paths = frozenset(own.column("path").to_pylist())
    changes = manifest.compare(own, photos)
    if base:  # what came since is for the next time
        changes = replace(changes, added=[])
    if difference := changes.first():
        raise InputError(
            f"--input {plan.options.input}: changed since the unfinished run listed it: {difference}: "
            "put it back as it was, or start again with --overwrite"
        )
    extension = None
    if base:
        replaced = paths.intersection(base.manifest.column("path").to_pylist())
        removed = len(manifest.compare(table.slice(0, run.row), photos).removed)
        extension = Extension(base, replaced, removed, plan.options.refit)
    cut = chunks.cut(own.column("chunk").to_pylist(), run.partitions, row=run.row, partition=run.partition)
    order = Order(table, run, cut, unfinished.commits, extension)
    witnesses = access.find_witnesses(plan.source, photos)
    return Request(
        plan, output, run.identity, [photo for photo in photos if photo.path in paths], witnesses, extension, order
    )
