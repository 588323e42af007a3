"""Waiting for something elsewhere: one loop for everything, with a deadline; clock and sleep are passed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from orchard_deploy.errors import UnavailableError, WaitError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds between two questions: `first`, then half as much again each time, up to `longest`."""

    first: float = 2.0
    longest: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def wait_for(
    ask: Callable[[], T],
    done: Callable[[T], bool],
    *,
    what: str,
    seconds: float,
    pace: Pace,
    say: Callable[[str], None] = lambda line: None,
) -> T:
    """Ask until the answer is `done`; a service that cannot be reached for a while ends nothing.

    Raises:
        WaitError: the deadline has passed; says `what` was waited for.
    """
    deadline, pause, reached = pace.clock() + seconds, pace.first, True
    while True:
        try:
            answer = ask()
            if done(answer):
                return answer
            reached = True
        except UnavailableError as error:
            if reached:
                say(f"{error}; still waiting for {what}")
            reached = False
        left = deadline - pace.clock()
        if left <= 0:
            raise WaitError(f"{what}: not after {seconds / 60:,.0f} minutes")
        pace.sleep(min(pause, pace.longest, left))
        pause *= 1.5
