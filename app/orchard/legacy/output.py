"""The output of a run: one at a time writes it, nothing in the way is lost, what was begun is put in place whole or kept to go on with."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from orchard.errors import OutputError, UsageError
from orchard.legacy.ledger import RunRecord
from orchard.legacy.locks import FILE, lock_folder, lock_objects, nothing_to_check
from orchard.legacy.publication import STAGES, is_decided, publish, roll_forward
from orchard.legacy.stage import Stage, Unfinished
from orchard.options import JobOptions
from orchard.photos.source import local_path
from orchard.storage.objects import is_object_uri, split_uri
from orchard.storage.stores import LocalStore, ObjectStore, Store, open_store


@dataclass
class Output:
    """The output that a run may write, see `open_output`.

    Attributes:
        store: the whole output; keys are relative to it.
        finished: whether a whole output is there.
        unfinished: a run that was cut off there and is to be gone on with.
        stage: the part that is not finished.
    """

    store: Store
    finished: bool
    unfinished: Unfinished | None
    stage: Stage
    _run: RunRecord | None = field(default=None, init=False)

    def begin(self, run: RunRecord, manifest: bytes) -> None:
        """Drop what an unfinished run left, and begin a new one."""
        self._run = run
        self.stage.begin(run, manifest)

    def go_on(self, unfinished: Unfinished) -> None:
        """Go on with an unfinished run: only what it had not committed is dropped."""
        self._run = unfinished.run
        self.stage.clear(unfinished)

    def publish(self, layout: Mapping[str, str]) -> None:
        """Put what is staged in place, and the files of `layout` (final key -> key now) with it."""
        assert self._run
        publish(self.store, self.stage.seal(self._run, layout), self.stage.check)

    def put_away(self, error: BaseException) -> None:
        """After an error: keep what can be gone on with, remove the rest, and note on the error what was kept."""
        if not self._run:
            return
        with contextlib.suppress(OSError, OutputError):
            self.stage.check()
            if is_decided(self.store):
                error.add_note("the new output is whole: the next run puts it in place")
                return
            unfinished = self.stage.find()
            kept = unfinished if unfinished and unfinished.is_worth_keeping else None
            self.stage.clear(kept)
            if kept:
                error.add_note(f"{kept} are kept: continue with --resume")


@contextlib.contextmanager
def open_output(options: JobOptions) -> Iterator[Output]:
    """The output of a run, for as long as it is being written. Nothing in it is touched before `begin` or `go_on`.

    Raises:
        UsageError: the output is the input or inside it, or no such place can be written.
        OutputError: something is there and nothing was said about it, or it is not Orchard's, or another run is writing.
    """
    check_place(options)
    store = _open(options)
    with _explained(options.output), _lock(store, options.output) as check:
        roll_forward(store, check)
        output = _look(options, store, check)
        try:
            with _explained(options.output):
                yield output
        except BaseException as exc:
            output.put_away(exc)
            raise


def check_output(options: JobOptions) -> Output:
    """What is there, without writing; raises what `open_output` would, as far as can be told."""
    check_place(options)
    return _look(options, _open(options), nothing_to_check)


def check_place(options: JobOptions) -> None:
    """Raise `UsageError` where the output is the input or inside it."""
    root, photos = (_place(uri) for uri in (options.output, options.input))
    if root[: len(photos)] == photos:
        raise UsageError(
            f"--output {options.output}: is inside --input {options.input}, which is never written to: choose another place"
        )


def _place(uri: str) -> tuple[str, ...]:
    """Where a place is, from the outside in."""
    if not is_object_uri(uri):
        return ("file", *Path(os.path.realpath(local_path(uri))).parts)
    bucket, prefix = split_uri(uri)
    scheme = urlsplit(uri).scheme
    return ("s3" if scheme == "s3a" else scheme, bucket, *filter(None, prefix.split("/")))


def _open(options: JobOptions) -> Store:
    store = open_store(options.output)
    # Tasks on other machines have another working directory.
    return LocalStore(os.path.realpath(local_path(options.output))) if isinstance(store, LocalStore) else store


def _lock(store: Store, uri: str) -> contextlib.AbstractContextManager[Callable[[], None]]:
    return lock_objects(store, uri) if isinstance(store, ObjectStore) else lock_folder(Path(store.uri), uri)


def _look(options: JobOptions, store: Store, check: Callable[[], None]) -> Output:
    present = _names(store) - {FILE, *STAGES}
    if present and "report.json" not in present:
        raise OutputError(
            f"--output {options.output}: holds files, but no output of Orchard: choose an empty or a new folder"
        )
    found = None if options.overwrite else Stage(store).find()
    unfinished = found if found and found.commits else None
    check_wanted(options, bool(present), unfinished)
    # A run that committed nothing is gone on with all the same: what is finished there may be what it was to replace.
    return Output(store, bool(present), found if options.resume else None, Stage(store, check))


def _names(store: Store) -> set[str]:
    if isinstance(store, LocalStore):
        return set(os.listdir(store.uri)) if os.path.exists(store.uri) else set()
    return {stored.key.split("/")[0] for stored in store.list()}


def check_wanted(options: JobOptions, finished: bool, unfinished: Unfinished | None) -> None:
    """Raise `OutputError` where something is there that the options say nothing about."""
    if options.overwrite or options.resume:
        return
    if unfinished and unfinished.is_worth_keeping:
        ways = "continue it with --resume, or start again with --overwrite"
        raise OutputError(f"--output {options.output}: holds {unfinished} of an unfinished run: {ways}")
    if finished and not options.since_last:
        raise OutputError(
            f"--output {options.output}: already holds an output: choose another folder, or replace it with --overwrite"
        )


@contextlib.contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn errors of the folder into `OutputError`; the store does so with its own, and others' pass."""
    root = "" if is_object_uri(uri) else os.path.realpath(local_path(uri))
    try:
        yield
    except OSError as exc:
        if not (root and str(exc.filename or "").startswith(root)) and exc.errno != errno.ENOSPC:
            raise
        raise OutputError(
            f"--output {uri}: {exc.strerror} ({exc.filename}): choose another place, or make room in this one"
        ) from exc
