"""What every command about AWS works with: specification, account, client, and how to report and wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from orchard_deploy.aws import Aws
from orchard_deploy.errors import UnavailableError, WaitError
from orchard_deploy.image.tag import image_tag
from orchard_deploy.site import Site
from orchard_deploy.targets import Target
from orchard_deploy.terminal import say

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds between two questions: `first`, then half as much again each time, up to `longest`."""

    first: float = 2.0
    longest: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


# How long every command waits between two questions.
PACE = Pace()


@dataclass(frozen=True, kw_only=True)
class Context:
    """A specification in an account; the content of `tree` names the image, `now` is in seconds since 1970."""

    aws: Aws
    site: Site
    target: Target
    tree: Path
    pace: Pace = field(default_factory=lambda: PACE)
    tell: Callable[[str], None] = say
    now: Callable[[], float] = time.time

    @property
    def tag(self) -> str:
        """The tag of the source tree's image."""
        return image_tag(self.tree, self.site.spec)

    def say(self, line: str) -> None:
        """Print a line for a person, without the account's number: it may end up in a log."""
        self.tell(self.site.account.mask(line))

    def wait(self, ask: Callable[[], T], done: Callable[[T], bool], *, what: str, seconds: float) -> T:
        """Ask until the answer is `done`, even if AWS is away for a while; `WaitError` after so many seconds."""
        deadline, pause, reached = self.pace.clock() + seconds, self.pace.first, True
        while True:
            try:
                answer = ask()
                if done(answer):
                    return answer
                reached = True
            except UnavailableError as error:
                if reached:
                    self.say(f"{error}; still waiting for {what}")
                reached = False
            left = deadline - self.pace.clock()
            if left <= 0:
                raise WaitError(f"{what}: not after {seconds / 60:,.0f} minutes")
            self.pace.sleep(min(pause, self.pace.longest, left))
            pause *= 1.5
