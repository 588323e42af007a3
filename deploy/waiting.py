"""Waiting for something elsewhere.

One loop for everything, with a deadline; clock and sleep are passed in. No door in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from deploy.errors import UnavailableError, WaitError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long to wait between two questions, in seconds.

    `first`, then half as much again each time, up to `longest`.
    """

    first: float = 2.0
    longest: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def pause(self, number: int) -> float:
        """Seconds to wait after the `number`-th question, counted from 0."""
        return min(self.longest, self.first * 1.5 ** min(number, 20))


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

    Args:
        what: is being waited for, for a person.
        seconds: until giving up.

    Raises:
        WaitError: the deadline has passed.
    """
    deadline, number, lost = pace.clock() + seconds, 0, False
    while True:
        try:
            answer = ask()
            lost = False
            if done(answer):
                return answer
        except UnavailableError as error:
            if not lost:
                say(f"{error}; still waiting for {what}")
            lost = True
        left = deadline - pace.clock()
        if left <= 0:
            raise WaitError(f"{what}: not after {seconds / 60:,.0f} minutes")
        pace.sleep(min(pace.pause(number), left))
        number += 1
