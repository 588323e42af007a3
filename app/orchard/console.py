"""What a person sees of a run: a progress bar on a terminal, plain lines in a log, a summary at the end."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from orchard.errors import OutputError

# Of a list, in words.
MOST_ITEMS = 12


class Reporter:
    """Writes to standard error, so that standard output holds results only."""

    def __init__(self, stream: TextIO | None = None, *, line_seconds: float = 10.0) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._line_seconds = line_seconds

    def log(self, line: str) -> None:
        """Write one line of plain text."""
        self._console.print(f"orchard: {line}", markup=False)

    @contextlib.contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """A function that shows how many of `total` photos are done; for the length of a `with` block."""
        started = shown = time.monotonic()

        def line(done: int) -> None:
            nonlocal shown
            if time.monotonic() - shown >= self._line_seconds:
                shown = time.monotonic()
                self.log(progress_line(done, total, shown - started))

        if not self._console.is_terminal:
            yield line
            return
        columns = BarColumn(24), TextColumn("{task.description}")
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(
                task, completed=done, description=progress_line(done, total, time.monotonic() - started)
            )

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print names and values on standard output, one pair a line."""
        width = max((len(name) for name, _ in rows), default=0) + 2
        for name, value in rows:
            print(f"{name:<{width}}{value}")


def progress_line(done: int, total: int, seconds: float) -> str:
    """`14,700 of 50,000 photos, 180/s, 0:03:16 left`, after so many seconds."""
    rate = done / seconds if seconds > 0 else 0.0
    left = f"{timedelta(seconds=round((total - done) / rate))} left" if rate else "time left unknown"
    return f"{done:,} of {total:,} photos, {rate:.0f}/s, {left}"


@contextlib.contextmanager
def results() -> Iterator[TextIO]:
    """Standard output for a command's results, complete at the end of the `with` block.

    A closed pipe, as in `... | head`, ends the process as it ends any other command. The signal is left alone until
    then: a process that ignores it, as Python does, survives peers that close their connections.

    Raises:
        OutputError: nothing can be written there, such as on a full disk.
    """
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    except OSError as error:
        _discard_output()
        raise OutputError(f"standard output: {error.strerror}: redirect it to where there is room") from error


def _discard_output() -> None:
    """What is still buffered would fail again when Python flushes it at its end, with a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain(value: Any) -> str:
    """A value of JSON as a person reads it: `none`, `yes`, `1,234`, `a, b`, `name: a`; of long lists the beginning."""
    if value is None or value in ((), [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return _shortened([f"{name}: {_nested(one)}" for name, one in value.items()])
    if isinstance(value, list | tuple):
        return _shortened([_nested(one) for one in value])
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _nested(value: Any) -> str:
    many = isinstance(value, Mapping | list | tuple) and len(value) > 1
    return f"({plain(value)})" if many else plain(value)


def _shortened(items: Sequence[str]) -> str:
    more = f" and {len(items) - MOST_ITEMS:,} more" if len(items) > MOST_ITEMS else ""
    return ", ".join(items[:MOST_ITEMS]) + more


def show_plan(plan: Mapping[str, Any], *, as_json: bool) -> int:
    """Print what a command would do; returns its exit code, 0. `partitions` are numbers of partitions and photos."""
    rows = [(name.replace("_", " "), plain(value)) for name, value in plan.items() if name != "partitions"]
    if sizes := [photos for _, photos in plan.get("partitions", [])]:
        rows.append(("partitions", f"{len(sizes):,} of {min(sizes):,} to {max(sizes):,} photos"))
    return show(plan, rows, as_json=as_json)


def show(facts: Any, rows: Sequence[tuple[str, str]], *, as_json: bool) -> int:
    """Print what a command found, as JSON or as a table of names and values; returns its exit code, 0."""
    with results():
        if as_json:
            print(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False))
        else:
            Reporter().table(rows)
    return 0
