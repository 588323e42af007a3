"""What a person sees while a run goes on: a bar on a terminal, plain lines in a log, a summary at the end."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Seconds between looks at the count, and between lines where there is no terminal.
_POLL, _LINE = 0.5, 10.0


class Countable(Protocol):
    """Work whose progress can be asked for.

    Attributes:
        total: photos.
        first: how many of them were done before this began.
        chunk: what is being done now, such as `, chunk 2 of 6`; empty where there is but one.
    """

    total: int
    first: int
    chunk: str

    def count(self) -> int:
        """How many photos are done."""


class Reporter:
    """Writes to standard error, so that standard output holds results only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One line of plain text."""
        self._console.print(f"orchard: {line}", markup=False)

    @contextlib.contextmanager
    def counting(self, work: Countable) -> Iterator[None]:
        """Show how much of `work` is done, by asking it, until the block ends."""
        show = self._bar if self._console.is_terminal else self._lines
        stop = threading.Event()
        thread = threading.Thread(target=show, args=(work, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _bar(self, work: Countable, stop: threading.Event) -> None:
        columns = (
            TextColumn("orchard: featurizing{task.fields[chunk]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("", total=work.total, completed=work.first, rate="", chunk=work.chunk)
            started = time.monotonic()
            while not stop.wait(_POLL):
                done = work.count()
                rate = f"{(done - work.first) / (time.monotonic() - started):.0f}/s"
                progress.update(task, completed=done, rate=rate, chunk=work.chunk)

    def _lines(self, work: Countable, stop: threading.Event) -> None:
        started = time.monotonic()
        while not stop.wait(_LINE):
            self.say(progress_line(work, time.monotonic() - started))

    def table(self, rows: list[tuple[str, str]]) -> None:
        """Names and values, a line each, on standard output."""
        width = max(len(name) for name, _ in rows) + 2
        for name, value in rows:
            print(f"{name:<{width}}{value}")


def progress_line(work: Countable, seconds: float) -> str:
    """`14,700 of 50,000 photos, chunk 2 of 6, 180/s, 3 min 16 s left`."""
    done = work.count()
    rate = (done - work.first) / seconds if seconds > 0 else 0.0
    left = f"{_duration((work.total - done) / rate)} left" if rate else "time left unknown"
    return f"{done:,} of {work.total:,} photos{work.chunk}, {rate:.0f}/s, {left}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole // 60 % 60} min"
