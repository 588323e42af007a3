from __future__ import annotations

import io
import time

import pytest

from app import console
from app.console import Reporter, progress_line


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (1470, 2940, 8.0, "1,470 of 2,940 photos, 184/s, 8 s left"),
        (0, 50, 3.0, "0 of 50 photos, 0/s, time left unknown"),
        (50, 50, 0.0, "50 of 50 photos, 0/s, time left unknown"),
    ],
)
def test_progress_line(done: int, total: int, seconds: float, line: str) -> None:
    assert progress_line(done, total, seconds) == line


def test_without_a_terminal_progress_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_LINE", 0.01)
    stream = io.StringIO()
    with Reporter(stream).counting(100, lambda: 40):
        time.sleep(0.2)
    lines = stream.getvalue().splitlines()
    assert lines
    assert all(line.startswith("orchard: 40 of 100 photos, ") for line in lines)
    assert "\x1b" not in stream.getvalue()


def test_messages_are_printed_as_they_are() -> None:
    stream = io.StringIO()
    Reporter(stream).say("[bold]50%[/bold] of /a very/long " + "path" * 60)
    assert stream.getvalue() == "orchard: [bold]50%[/bold] of /a very/long " + "path" * 60 + "\n"
