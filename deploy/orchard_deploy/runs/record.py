"""The submitted runs, kept beside the specification in `.orchard/<name>-<region>-<hash of the account>.json`.

Each account has its own: what was submitted in one is not known in another. A rehearsal names its own folder, in
`ORCHARD_RECORDS`, so that it neither sees nor touches what there is of real accounts.

An entry is written before the call that starts its run, and again once the run's id is known, each in one atomic step:
a process may be killed anywhere, and the next one finds the run. A lost record leaks nothing all the same: AWS lists
the runs. It holds no credentials and no account number.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchard_deploy.errors import RefusedError, SpecError
from orchard_deploy.site import Site
from orchard_deploy.targets import TARGETS, Target

FOLDER = ".orchard"
# Variable that names another folder.
FOLDER_VARIABLE = "ORCHARD_RECORDS"
VERSION = 1
_WRITTEN = "the record of runs must be written before one is started"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One submitted run.

    Attributes:
        token: what makes a repeated call start one run; its start is in the run's name. Empty if no record has the run.
        request: hash of what was asked for, the token apart.
        run, place: the run's id and what it belongs to; no id until the service gave one.
        digest: of the image, as the repository had it at submission.
        ran: of the image, by the service's own description of the run.
        photos: that the run took of the input at submission, if they were counted.
        submitted: seconds since 1970.
    """

    token: str = ""
    request: str = ""
    target: str
    place: str
    tag: str
    digest: str = ""
    submitted: float = 0.0
    photos: int | None = None
    run: str | None = None
    state: str | None = None
    ran: str | None = None

    @property
    def service(self) -> Target:
        """The target, with all that tells it from others."""
        return TARGETS[self.target]


class RecordFile:
    """The file with the submissions of one specification in one account and region."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[Submission, ...]:
        """The submissions, oldest first; none where there is no file.

        Raises:
            SpecError: the file is not one of these.
        """
        with _explained(self.path, "the record of runs cannot be read"):
            try:
                content = json.loads(self.path.read_text(encoding="utf-8"))
                if content["schema_version"] != VERSION:
                    raise ValueError(f"schema_version {content['schema_version']}")
                return tuple(Submission(**entry) for entry in content["runs"])
            except FileNotFoundError:
                return ()
            except (ValueError, KeyError, TypeError) as exc:
                raise SpecError(
                    f"{self.path}: not a record of this version ({exc}): move it away; AWS lists the runs all the same"
                ) from exc

    def keep(self, entry: Submission) -> Submission:
        """Add a submission, or what it knows beyond the entry with its token; one without a token is not ours to keep.

        No other process comes in between, and no kill leaves it half done.
        """
        if not entry.token:
            return entry
        with self._locked("change", fcntl.LOCK_EX):
            entries = {known.token: known for known in self.read()}
            news = {name: value for name, value in vars(entry).items() if value is not None}
            entries[entry.token] = replace(entries.get(entry.token, entry), **news)
            self._write([asdict(known) for known in entries.values()])
        return entries[entry.token]

    def delete(self) -> None:
        """Remove the file and its locks, and the folder if nothing else is in it."""
        for suffix in (self.path.suffix, ".new", ".change.lock", ".act.lock"):
            path = self.path.with_suffix(suffix)
            with _explained(path, "the record of runs, which are gone, cannot be removed"):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """Hold off every other command that makes, changes or deletes things of this specification.

        Raises:
            RefusedError: one is under way.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._locked("act", fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError:
                raise RefusedError(
                    f"{self.path}: another orchard-deploy is at work on this specification: wait for it"
                ) from None
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, how: int) -> Iterator[None]:
        path = self.path.with_suffix(f".{name}.lock")
        with contextlib.ExitStack() as stack:
            with _explained(path, _WRITTEN):  # a file system may have no locks
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context(open(path, "w", encoding="utf-8"))
                fcntl.flock(lock, how)
            yield

    def _write(self, entries: list[dict[str, object]]) -> None:
        fresh = self.path.with_suffix(".new")
        with _explained(self.path, _WRITTEN):
            with open(fresh, "w", encoding="utf-8") as stream:
                json.dump({"schema_version": VERSION, "runs": entries}, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(fresh, self.path)


@contextlib.contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as exc:
        raise SpecError(f"{path}: {exc.strerror}: {what}: mend that, then call again") from exc


def record_file(site: Site, spec_path: Path, environ: Mapping[str, str] = os.environ) -> RecordFile:
    """The record of a specification in one account and region."""
    named = environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else spec_path.absolute().parent / FOLDER
    # Too short to tell the account's number by trying all of them.
    account = hashlib.sha256(site.account.id.encode()).hexdigest()[:8]
    return RecordFile(folder / f"{site.slug}-{site.account.region}-{account}.json")
