from __future__ import annotations

import io
import time
from dataclasses import dataclass

import pytest
from orchard import console
from orchard.console import Reporter, progress_line


@dataclass
class Work:
    done: int
    total: int
    first: int = 0
    chunk: str = ""

    def count(self) -> int:
        return self.done


@pytest.mark.parametrize(
    ("work", "seconds", "line"),
    [
        (Work(1470, 2940), 8.0, "1,470 of 2,940 photos, 184/s, 8 s left"),
        (Work(0, 50), 3.0, "0 of 50 photos, 0/s, time left unknown"),
        (Work(50, 50), 0.0, "50 of 50 photos, 0/s, time left unknown"),
        (
            Work(14700, 50000, chunk=", chunk 2 of 6"),
            80.0,
            "14,700 of 50,000 photos, chunk 2 of 6, 184/s, 3 min 12 s left",
        ),
        # What was done before this process began says nothing of its speed.
        (
            Work(40000, 50000, first=39000, chunk=", chunk 5 of 6"),
            10.0,
            "40,000 of 50,000 photos, chunk 5 of 6, 100/s, 1 min 40 s left",
        ),
        (Work(1, 100000), 1.0, "1 of 100,000 photos, 1/s, 27 h 46 min left"),
    ],
)
def test_progress_line(work: Work, seconds: float, line: str) -> None:
    assert progress_line(work, seconds) == line


def test_without_a_terminal_progress_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_LINE", 0.01)
    stream = io.StringIO()
    with Reporter(stream).counting(Work(40, 100)):
        time.sleep(0.2)
    lines = stream.getvalue().splitlines()
    assert lines
    assert all(line.startswith("orchard: 40 of 100 photos, ") for line in lines)
    assert "\x1b" not in stream.getvalue()


def test_messages_are_printed_as_they_are() -> None:
    stream = io.StringIO()
    Reporter(stream).say("[bold]50%[/bold] of /a very/long " + "path" * 60)
    assert stream.getvalue() == "orchard: [bold]50%[/bold] of /a very/long " + "path" * 60 + "\n"
