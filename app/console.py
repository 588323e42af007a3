"""What a person sees while a run goes on: a bar on a terminal, plain lines in a log, a summary at the end."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Seconds between looks at the count, and between lines where there is no terminal.
_POLL, _LINE = 0.5, 10.0


class Reporter:
    """Writes to standard error, so that standard output holds results only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One line of plain text."""
        self._console.print(f"orchard: {line}", markup=False)

    @contextlib.contextmanager
    def counting(self, total: int, count: Callable[[], int]) -> Iterator[None]:
        """Show how many of `total` photos are done, by asking `count`, until the block ends."""
        show = self._bar if self._console.is_terminal else self._lines
        stop = threading.Event()
        thread = threading.Thread(target=show, args=(total, count, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _bar(self, total: int, count: Callable[[], int], stop: threading.Event) -> None:
        rate = TextColumn("{task.fields[rate]}")
        columns = (
            TextColumn("orchard: featurizing"),
            BarColumn(),
            MofNCompleteColumn(),
            rate,
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("", total=total, rate="")
            started = time.monotonic()
            while not stop.wait(_POLL):
                done = count()
                progress.update(task, completed=done, rate=f"{done / (time.monotonic() - started):.0f}/s")

    def _lines(self, total: int, count: Callable[[], int], stop: threading.Event) -> None:
        started = time.monotonic()
        while not stop.wait(_LINE):
            self.say(progress_line(count(), total, time.monotonic() - started))

    def table(self, rows: list[tuple[str, str]]) -> None:
        """Names and values, a line each, on standard output."""
        width = max(len(name) for name, _ in rows) + 2
        for name, value in rows:
            print(f"{name:<{width}}{value}")


def progress_line(done: int, total: int, seconds: float) -> str:
    """`1,470 of 2,940 photos, 180/s, 8 s left`."""
    rate = done / seconds if seconds > 0 else 0.0
    left = f"{(total - done) / rate:.0f} s left" if rate else "time left unknown"
    return f"{done:,} of {total:,} photos, {rate:.0f}/s, {left}"
