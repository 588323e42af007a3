from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from orchard.console import Reporter, plain, progress_line, show


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (1470, 2940, 8.0, "1,470 of 2,940 photos, 184/s, 0:00:08 left"),
        (0, 50, 3.0, "0 of 50 photos, 0/s, time left unknown"),
        (50, 50, 0.0, "50 of 50 photos, 0/s, time left unknown"),
        (1, 100000, 1.0, "1 of 100,000 photos, 1/s, 1 day, 3:46:39 left"),
    ],
)
def test_progress_line(done: int, total: int, seconds: float, line: str) -> None:
    assert progress_line(done, total, seconds) == line


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        ({}, "none"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.25, "0.25"),
        (["a", "b"], "a, b"),
        ({"a": {"b": 1, "c": ["d"]}, "e": [2, 3]}, "a: (b: 1, c: d), e: (2, 3)"),
        (list(range(20)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more"),
    ],
)
def test_plain(value: object, words: str) -> None:
    assert plain(value) == words


def test_reporter_progress_without_a_terminal() -> None:
    stream = io.StringIO()
    with Reporter(stream, line_seconds=0).progress(100) as show:
        show(40)
        show(60)
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == ["orchard: 40 of 100 photos", "orchard: 60 of 100 photos"]
    assert "\x1b" not in stream.getvalue()


def test_reporter_progress_is_quiet_between_lines() -> None:
    stream = io.StringIO()
    with Reporter(stream, line_seconds=60).progress(100) as show:
        show(40)
    assert stream.getvalue() == ""


def test_reporter_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    with Reporter(stream).progress(100) as show:
        show(40)
    assert "40 of 100 photos" in stream.getvalue()
    assert "\x1b" in stream.getvalue()


def test_reporter_log_prints_text_unchanged() -> None:
    stream = io.StringIO()
    Reporter(stream).log("[bold]50%[/bold] of /a very/long " + "path" * 60)
    assert stream.getvalue() == "orchard: [bold]50%[/bold] of /a very/long " + "path" * 60 + "\n"


def test_results_leave_signals_alone() -> None:
    # A test process in which SIGPIPE ends the process dies of the next peer that closes its connection.
    before = signal.getsignal(signal.SIGPIPE)
    show({"photos": 50}, [("photos", "50")], as_json=False)
    assert signal.getsignal(signal.SIGPIPE) is before


def test_results_on_a_full_disk(drawn: Path, tmp_path: Path) -> None:
    words = ["run", "--input", str(drawn), "--output", str(tmp_path / "out"), "--dry-run"]
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "orchard", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "standard output: No space left on device" in done.stderr
