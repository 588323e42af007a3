from __future__ import annotations

from datetime import UTC, datetime

import pytest
from orchard.report import text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.00 s"),
        (0.04, "0.04 s"),
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (99, "99 s"),
        (200, "3 min 20 s"),
        (900, "15 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert text.duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == expected


def test_percent_count_rate() -> None:
    assert text.percent(0.906).split() == ["90.6", "%"]
    assert text.percent(0.9).split() == ["90", "%"]
    assert text.count(1, "photo") == "1 photo"
    assert text.count(2000, "variety", "varieties") == "2,000 varieties"
    assert (text.rate(4.21), text.rate(1234.5)) == ("4.2", "1,234")


def test_when_takes_text_and_microseconds() -> None:
    moment = datetime(2026, 11, 22, 23, 26, 15, tzinfo=UTC)
    expected = "22 November 2026, 23:26 UTC"
    assert {text.when(moment.isoformat()), text.when(int(moment.timestamp() * 1e6))} == {expected}
    assert (text.when("yesterday"), text.when(2**62)) == ("yesterday", str(2**62))
