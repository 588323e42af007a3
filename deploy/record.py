"""What was made and submitted, kept beside the specification in `.orchard/<name>-<region>-<hash of the account>.json`.

Each account has its own: what was made in one is not ours in another. A rehearsal names its own folder, in
`ORCHARD_RECORDS`, so that it neither sees nor touches what there is of real accounts.

Each entry is written before the call that makes the thing, or at the moment its id is known, in one atomic step: a
process may be killed anywhere, and the next one finds what exists. The record is a convenience all the same: `up`,
`status` and `down` look things up by name and tag, so a lost one leaks nothing. It holds no credentials and no account
number.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from deploy.errors import RefusedError, SpecError
from deploy.site import Site

FOLDER = ".orchard"
# Variable that names another folder.
FOLDER_VARIABLE = "ORCHARD_RECORDS"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One submitted run.

    Attributes:
        token: what makes a repeated call start one run; its start is in the run's name.
        request: hash of what was asked for, the token apart.
        run, place: the run's id and what it belongs to; no id until the service gave one.
        digest: of the image, as the repository had it at submission.
        ran: of the image, by the service's own description of the run.
        photos: that the run took of the input at submission, if they were counted.
        submitted: seconds since 1970.
    """

    token: str
    request: str
    target: str
    place: str
    tag: str
    digest: str
    submitted: float
    photos: int | None = None
    run: str | None = None
    state: str | None = None
    ran: str | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one specification has in one account and region.

    Kinds and names of what `up` made, and the runs, oldest first.
    """

    made: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[Submission, ...] = ()

    def with_made(self, kind: str, name: str) -> Record:
        """The record with a thing that was made."""
        return replace(self, made={**self.made, kind: name})

    def without(self, kind: str) -> Record:
        """The record without the thing of this kind."""
        return replace(self, made={name: value for name, value in self.made.items() if name != kind})

    def with_run(self, run: Submission) -> Record:
        """The record with this run, in the place of an earlier entry with its token.

        A run that was found without one goes by its id.
        """
        kept = [
            run if entry.token == run.token and (run.token or entry.run == run.run) else entry for entry in self.runs
        ]
        return replace(self, runs=tuple(kept) if run in kept else (*kept, run))

    def with_ran(self, run: str, digest: str) -> Record:
        """The record with the image of a run, whatever another command has recorded of it meanwhile."""
        return replace(
            self, runs=tuple(replace(entry, ran=digest) if entry.run == run else entry for entry in self.runs)
        )

    def find(self, run: str) -> Submission | None:
        """The submission that started a run."""
        return next((entry for entry in self.runs if entry.run == run), None)


class RecordFile:
    """The file that a record is kept in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Record:
        """The record; an empty one where there is no file.

        Raises:
            SpecError: the file is not one of these.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["schema_version"] != VERSION:
                raise ValueError(f"schema_version {content['schema_version']}")
            return Record(made=content["made"], runs=tuple(Submission(**entry) for entry in content["runs"]))
        except FileNotFoundError:
            return Record()
        except OSError as exc:
            raise SpecError(
                f"{self.path}: {exc.strerror}: the record of what exists cannot be read: mend that, then call again"
            ) from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise SpecError(
                f"{self.path}: not a record of this version ({exc}): move it away; what exists is found by name and tag"
            ) from exc

    def change(self, change: Callable[[Record], Record]) -> Record:
        """Read, change and write in one step that no other process comes between, and no kill leaves half done."""
        with self._open(self._lock("change")) as lock:
            _hold(lock, fcntl.LOCK_EX)
            record = change(self.read())
            self._write(
                {"schema_version": VERSION, "made": dict(record.made), "runs": [asdict(run) for run in record.runs]}
            )
        return record

    def delete(self) -> None:
        """Remove the file and its locks, and the folder if nothing else is in it."""
        for path in (self.path, self._fresh, self._lock("change"), self._lock("act")):
            try:
                path.unlink(missing_ok=True)
            except OSError as exc:
                raise SpecError(f"{path}: {exc.strerror}: remove it yourself: what it tells of is gone") from exc
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """Hold off every other command that makes or deletes things of this specification.

        Raises:
            RefusedError: one is under way.
        """
        with self._open(self._lock("act")) as lock:
            try:
                _hold(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RefusedError(
                    f"{self.path}: another orchard-deploy is at work on this specification: wait for it"
                ) from None
            yield

    @property
    def _fresh(self) -> Path:
        return self.path.with_suffix(".new")

    def _lock(self, name: str) -> Path:
        return self.path.with_suffix(f".{name}.lock")

    def _open(self, path: Path) -> IO[str]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return open(path, "w", encoding="utf-8")
        except OSError as exc:
            raise _unwritable(path, exc) from exc

    def _write(self, content: Mapping[str, Any]) -> None:
        try:
            with self._open(self._fresh) as stream:
                json.dump(content, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(self._fresh, self.path)
        except OSError as exc:
            raise _unwritable(self.path, exc) from exc


def _hold(lock: IO[str], how: int) -> None:
    try:
        fcntl.flock(lock, how)
    except BlockingIOError:
        raise
    except OSError as exc:  # a file system without locks
        raise _unwritable(Path(lock.name), exc) from exc


def _unwritable(path: Path, exc: OSError) -> SpecError:
    return SpecError(f"{path}: {exc.strerror}: the record of what exists must be written before anything is made")


def record_file(site: Site, spec_path: Path, environ: Mapping[str, str] = os.environ) -> RecordFile:
    """The record of a specification in one account and region."""
    named = environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else spec_path.absolute().parent / FOLDER
    # Too short to tell the account's number by trying all of them.
    account = hashlib.sha256(site.account.id.encode()).hexdigest()[:8]
    return RecordFile(folder / f"{site.slug}-{site.account.region}-{account}.json")
