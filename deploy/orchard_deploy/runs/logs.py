"""Where the logs of a run are, in which order, and what is new in them. Pure: listing and reading are passed in."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from orchard_deploy.targets import Target


@dataclass(frozen=True, order=True)
class Source:
    """What a log is of: the attempt, driver (number 0) or which executor, stdout or stderr."""

    attempt: int
    worker: str
    number: int
    stream: str

    def __str__(self) -> str:
        worker = "driver" if self.worker == "driver" else f"executor {self.number}"
        return f"{worker} {self.stream}" + (f", attempt {self.attempt}" if self.attempt > 1 else "")


@dataclass(frozen=True)
class LogFile:
    """One object of a log; `index` counts those that were full and moved away, and is None for the growing one."""

    source: Source
    key: str
    etag: str
    index: int | None


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
        """The chosen files, in order: of each log the archived ones by index, the growing one last."""
        worker = "executor" if self.executors else "driver"
        found = [file for file in files if file.source.worker == worker and file.source.stream in self.streams]
        attempts = {file.source.attempt for file in found}
        wanted = attempts if self.every_attempt else {self.attempt or max(attempts, default=1)}
        chosen = (file for file in found if file.source.attempt in wanted)
        return sorted(chosen, key=lambda file: (file.source, file.index is None, file.index))


def log_files(target: Target, prefix: str, listed: Iterable[tuple[str, str]]) -> Iterator[LogFile]:
    """The logs among the keys and ETags below `prefix`; event logs and anything else are left out."""
    for key, etag in listed:
        match = re.fullmatch(target.log, key.removeprefix(f"{prefix}/"))
        if not match:
            continue
        found = match.groupdict()
        driver = found["worker"].lower() == "driver"
        number = 0 if driver else int(found.get("number") or 0)
        source = Source(int(found.get("attempt") or 1), "driver" if driver else "executor", number, found["stream"])
        yield LogFile(source, key, etag, int(found["index"]) if found.get("index") else None)


def unpack(content: bytes) -> bytes:
    """The text in a gzip file, as far as it is complete: one that is being written may end anywhere."""
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


@dataclass
class Follower:
    """Gives of each log what is new since it last looked, line by line, over the log's rotation.

    Attributes:
        prefix: of the run's logs.
        listing: keys and ETags of everything below the prefix.
        reading: an object's bytes, if it is still there.
        mask: takes out of a line what is not to be shown.
    """

    target: Target
    prefix: str
    listing: Callable[[], Iterable[tuple[str, str]]]
    reading: Callable[[str], bytes | None]
    choice: Choice
    mask: Callable[[str], str] = str
    _seen: dict[Source, _Seen] = field(default_factory=dict)

    def new_lines(self) -> Iterator[tuple[Source, str]]:
        """The complete lines that have come since the last call."""
        for file in self.choice.pick(log_files(self.target, self.prefix, self.listing())):
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
        return self.mask(line.decode("utf-8", "replace"))

    def _new_text(self, file: LogFile, seen: _Seen) -> bytes:
        if file.index in seen.archived or (file.index is None and file.etag == seen.etag):
            return b""
        content = self.reading(file.key)
        if content is None:
            return b""
        text = unpack(content)
        start = seen.offset
        if file.index is not None:
            # This one was the growing one before: what was shown of that is not shown again. What grows now is another,
            # whatever is in it.
            seen.offset, seen.etag = 0, ""
            seen.archived.add(file.index)
            return text[start:]
        seen.offset, seen.etag = len(text), file.etag
        return text[start:] if len(text) >= start else text
