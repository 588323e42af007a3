"""Where the logs of a run are, in which order, and what is new in them. Pure: listing and reading are passed in."""

import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from orchard_deploy.context import Pace
from orchard_deploy.targets import Target


class Source(NamedTuple):
    """What a log is of: the attempt, the driver (0) or which executor, stdout or stderr."""

    attempt: int
    worker: int
    stream: str

    def __str__(self) -> str:
        worker = f"executor {self.worker}" if self.worker else "driver"
        return f"{worker} {self.stream}" + (f", attempt {self.attempt}" if self.attempt > 1 else "")


class LogFile(NamedTuple):
    """One object of a log; `part` counts those that were full and moved away, and is infinite for the growing one."""

    source: Source
    part: float
    key: str
    etag: str


Show = Callable[[Source, str], None]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which logs to show: of driver or executors, which streams, which attempt; the last one if none is named."""

    executors: bool = False
    streams: tuple[str, ...] = ("stdout", "stderr")
    attempt: int | None = None
    every_attempt: bool = False

    def pick(self, files: Iterable[LogFile]) -> list[LogFile]:
        """The chosen files, in order: of each log the archived ones by index, the growing one last."""
        sources = ((file, file.source) for file in files)
        found = [file for file, of in sources if bool(of.worker) == self.executors and of.stream in self.streams]
        attempt = self.attempt or max((file.source.attempt for file in found), default=1)
        return sorted(file for file in found if self.every_attempt or file.source.attempt == attempt)


def log_files(target: Target, prefix: str, listed: Iterable[tuple[str, str]]) -> Iterator[LogFile]:
    """The logs among the keys and ETags below `prefix`; event logs and anything else are left out."""
    for key, etag in listed:
        if match := re.fullmatch(target.log, key.removeprefix(f"{prefix}/")):
            found = {name: text for name, text in match.groupdict().items() if text}
            worker = 0 if found["worker"].lower() == "driver" else int(found.get("number", 1))
            source = Source(int(found.get("attempt", 1)), worker, found["stream"])
            yield LogFile(source, float(found.get("index", math.inf)), key, etag)


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
    archived: set[float] = field(default_factory=set)
    rest: bytes = b""


@dataclass
class Tail:
    """Shows of each log what is new since it last looked, line by line, over the log's rotation; counts the lines.

    `listing` gives keys and ETags of everything below the `prefix` of the run's logs; `reading` an object's bytes, if
    it is still there.
    """

    target: Target
    prefix: str
    listing: Callable[[], Iterable[tuple[str, str]]]
    reading: Callable[[str], bytes | None]
    choice: Choice
    show: Show
    pace: Pace
    lines: int = 0
    _seen: dict[Source, _Seen] = field(default_factory=dict)

    def poll(self) -> bool:
        """Show the complete lines that are new; whether there were any."""
        before = self.lines
        for file in self.choice.pick(log_files(self.target, self.prefix, self.listing())):
            seen = self._seen.setdefault(file.source, _Seen())
            *lines, seen.rest = (seen.rest + self._new_text(file, seen)).split(b"\n")
            for line in lines:
                self._show(file.source, line)
        return self.lines > before

    def finish(self, seconds: float) -> None:
        """Show what comes after the run's end, until some has come and no more does, or for so many seconds.

        Lines that never got an end are shown, too.
        """
        deadline, came = self.pace.clock() + seconds, False
        while True:
            fresh = self.poll()
            if (came and not fresh) or self.pace.clock() >= deadline:
                break
            came = came or fresh
            self.pace.sleep(self.pace.first)
        for source, seen in self._seen.items():
            if seen.rest:
                self._show(source, seen.rest)
                seen.rest = b""

    def _show(self, source: Source, line: bytes) -> None:
        self.lines += 1
        self.show(source, line.decode("utf-8", "replace"))

    def _new_text(self, file: LogFile, seen: _Seen) -> bytes:
        growing = file.part == math.inf
        if file.part in seen.archived or (growing and file.etag == seen.etag):
            return b""
        content = self.reading(file.key)
        if content is None:
            return b""
        text, start = unpack(content), seen.offset
        if growing:
            seen.offset, seen.etag = len(text), file.etag
            return text[start:] if len(text) >= start else text
        # This one was the growing one before: what was shown of that is not shown again. What grows now is another,
        # whatever is in it.
        seen.offset, seen.etag = 0, ""
        seen.archived.add(file.part)
        return text[start:]
