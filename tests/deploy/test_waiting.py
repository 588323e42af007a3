"""Context.wait, by a clock of the test's own."""

from __future__ import annotations

import itertools

import pytest
from orchard_deploy.context import Context, Pace
from orchard_deploy.errors import RunError, UnavailableError, WaitError
from orchard_deploy.site import Account, Site


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(first=2, longest=10, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def context(clock: Clock, said: list[str]) -> Context:
    site = Site(None, Account(id="123456789012", region="x"))  # type: ignore[arg-type]
    return Context(site=site, pace=clock.pace, tell=said.append, aws=None, target=None, tree=None)  # type: ignore[arg-type]


def test_wait_gives_up_at_its_deadline_and_not_before() -> None:
    clock, asked = Clock(), list[float]()
    with pytest.raises(WaitError, match="the tide: not after 1 minutes"):
        context(clock, []).wait(lambda: asked.append(clock.now), lambda _: False, what="the tide", seconds=60)
    assert asked[-1] == 60
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses[:3] == [2, 3, 4.5]
    assert max(pauses) == 10


def test_wait_survives_an_unavailable_service_reports_it_once_and_nothing_else() -> None:
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

    waits = context(Clock(), said)
    assert waits.wait(ask, lambda answer: answer == 7, what="x", seconds=60) == 7
    assert said == ["lost; still waiting for x"] * 2
    answers[:] = [RunError("broken")]
    with pytest.raises(RunError):
        waits.wait(ask, lambda answer: True, what="x", seconds=60)
