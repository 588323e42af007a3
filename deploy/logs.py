"""Where the logs of a run are, in which order, and what is new in them.

No door in it: listing and reading are passed in.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from deploy.targets import Target

# A listing: key and ETag of everything below the run's prefix. A reading: an object's bytes, if it is still there.
Listing = Callable[[], Iterable[tuple[str, str]]]
Reading = Callable[[str], bytes | None]


@dataclass(frozen=True, order=True, kw_only=True)
class Source:
    """What a log is of: the attempt, driver (number 0) or which executor, stdout or stderr."""

    attempt: int
    worker: str
    number: int
    stream: str

    def __str__(self) -> str:
        worker = "driver" if self.worker == "driver" else f"executor {self.number}"
        return f"{worker} {self.stream}" + (f", attempt {self.attempt}" if self.attempt > 1 else "")


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """One object of a log; `index` counts those that were full and moved away.

    It is None for the one that still grows.
    """

    source: Source
    key: str
    etag: str
    index: int | None

    @property
    def place(self) -> float:
        """Where it stands in its log: archived ones in order of index, the growing one last."""
        return float("inf") if self.index is None else self.index


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which logs to show: of the driver or of the executors, which streams, which attempt.

    An attempt of None is the last one, or every one.
    """

    executors: bool = False
    streams: tuple[str, ...] = ("stdout", "stderr")
    attempt: int | None = None
    every_attempt: bool = False

    def pick(self, files: Iterable[LogFile]) -> list[LogFile]:
        """The chosen files, in order."""
        worker = "executor" if self.executors else "driver"
        found = [file for file in files if file.source.worker == worker and file.source.stream in self.streams]
        attempts = {file.source.attempt for file in found}
        wanted = attempts if self.every_attempt else {self.attempt or max(attempts, default=1)}
        return sorted(
            (file for file in found if file.source.attempt in wanted), key=lambda file: (file.source, file.place)
        )


def run_prefix(target: Target, place: str, run: str) -> str:
    """Prefix of a run's logs below the place for logs."""
    return target.logs.format(place=place, run=run)


def log_files(target: Target, prefix: str, listed: Iterable[tuple[str, str]]) -> Iterator[LogFile]:
    """The logs among the keys below `prefix`; event logs and anything else are left out."""
    for key, etag in listed:
        match = re.fullmatch(target.log, key.removeprefix(f"{prefix}/"))
        if not match:
            continue
        found = match.groupdict()
        driver = found["worker"].lower() == "driver"
        source = Source(
            attempt=int(found.get("attempt") or 1),
            worker="driver" if driver else "executor",
            number=0 if driver else int(found.get("number") or 0),
            stream=found["stream"],
        )
        index = int(found["index"]) if found.get("index") else None
        yield LogFile(source=source, key=key, etag=etag, index=index)


def unpack(content: bytes) -> bytes:
    """The text in a gzip file, as far as it is whole: one that is being written may end anywhere."""
    text = b""
    while content:
        member = zlib.decompressobj(wbits=31)
        try:
            text += member.decompress(content)
        except zlib.error:
            break
        content = member.unused_data
    return text


@dataclass
class _Seen:
    """How far one log has been shown."""

    offset: int = 0
    etag: str = ""
    archived: set[int] = field(default_factory=set)
    rest: bytes = b""


class Follower:
    """Shows of each log what is new since it last looked, line by line.

    A log that was rotated meanwhile goes on where it was.

    Args:
        mask: takes out of a line what is not to be shown.
    """

    def __init__(
        self,
        target: Target,
        prefix: str,
        listing: Listing,
        reading: Reading,
        choice: Choice,
        mask: Callable[[str], str] = str,
    ) -> None:
        self._target, self._prefix, self._listing, self._reading, self._choice = (
            target,
            prefix,
            listing,
            reading,
            choice,
        )
        self._mask = mask
        self._seen: dict[Source, _Seen] = {}

    def new_lines(self) -> Iterator[tuple[Source, str]]:
        """The whole lines that have come since the last call."""
        for file in self._choice.pick(log_files(self._target, self._prefix, self._listing())):
            seen = self._seen.setdefault(file.source, _Seen())
            *lines, seen.rest = (seen.rest + self._new_text(file, seen)).split(b"\n")
            yield from ((file.source, self._text(line)) for line in lines)

    def last_lines(self) -> Iterator[tuple[Source, str]]:
        """What is new, and the lines that never got an end: for when nothing more comes."""
        yield from self.new_lines()
        for source, seen in self._seen.items():
            if seen.rest:
                yield source, self._text(seen.rest)
                seen.rest = b""

    def _text(self, line: bytes) -> str:
        return self._mask(line.decode("utf-8", "replace"))

    def _new_text(self, file: LogFile, seen: _Seen) -> bytes:
        if file.index in seen.archived or (file.index is None and file.etag == seen.etag):
            return b""
        content = self._reading(file.key)
        if content is None:
            return b""
        text = unpack(content)
        if file.index is not None:
            # This one was the growing one before: what was shown of that is not shown again. What grows now is another,
            # whatever is in it.
            fresh, seen.offset, seen.etag = text[seen.offset :], 0, ""
            seen.archived.add(file.index)
            return fresh
        fresh = text[seen.offset :] if len(text) >= seen.offset else text
        seen.offset, seen.etag = len(text), file.etag
        return fresh
