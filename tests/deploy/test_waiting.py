"""Waiting, by a clock of the test's own."""

from __future__ import annotations

import itertools

import pytest
from orchard_deploy.errors import RunError, UnavailableError, WaitError
from orchard_deploy.waiting import Pace, wait_for


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(first=2, longest=10, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_wait_for_gives_up_at_its_deadline_and_not_before() -> None:
    clock, asked = Clock(), list[float]()
    with pytest.raises(WaitError, match="the tide: not after 1 minutes"):
        wait_for(lambda: asked.append(clock.now), lambda _: False, what="the tide", seconds=60, pace=clock.pace)
    assert asked[-1] == 60
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses[:3] == [2, 3, 4.5]
    assert max(pauses) == 10


def test_wait_for_survives_an_unavailable_service_reports_it_once_and_nothing_else() -> None:
    answers: list[Exception | int] = [
        UnavailableError("lost"),
        UnavailableError("lost"),
        1,
        UnavailableError("lost"),
        7,
    ]
    said: list[str] = []

    def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pace = Clock().pace
    assert wait_for(ask, lambda answer: answer == 7, what="x", seconds=60, pace=pace, say=said.append) == 7
    assert said == ["lost; still waiting for x"] * 2
    answers[:] = [RunError("broken")]
    with pytest.raises(RunError):
        wait_for(ask, lambda answer: True, what="x", seconds=60, pace=pace)
