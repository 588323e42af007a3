"""What a rehearsal is made with: a clock, how long things take, what runs its jobs, where its images are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from moto.core.exceptions import ServiceException

from orchard_deploy.rehearsal.images import Images


@dataclass(frozen=True, kw_only=True)
class Timings:
    """What AWS takes, in seconds, as documented or measured by others, rounded.

    `stacking` is a change of a stack, `scheduling` and `provisioning` are a run's way to its first line, `billing` is
    from its end to its bill, `logging` between two deliveries of a log, `minute` one of idle time or of a timeout.
    """

    stacking: float = 20.0
    creating: float = 3.0
    starting: float = 20.0
    stopping: float = 10.0
    scheduling: float = 5.0
    provisioning: float = 85.0
    cancelling: float = 10.0
    billing: float = 10.0
    logging: float = 15.0
    minute: float = 60.0

    def faster(self, factor: float) -> Timings:
        """The same, so many times as fast."""
        return Timings(**{each.name: getattr(self, each.name) / factor for each in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Order:
    """One attempt of a run: `image` is repository and digest, `slots` the cores of all executors together."""

    image: str | None
    entry_point: str
    arguments: tuple[str, ...]
    properties: Mapping[str, str]
    slots: int


@dataclass(kw_only=True)
class Settings:
    """What all services share.

    Attributes:
        run: starts an attempt; gives what has the methods of `runners.RunningProcess`.
        clusters: ids of the virtual clusters there are.
        changed: called after each change of a stack.
    """

    run: Callable[[Order], Any]
    timings: Timings = field(default_factory=Timings)
    clock: Callable[[], float] = time.time
    images: Images = field(default_factory=Images)
    clusters: frozenset[str] = frozenset()
    changed: Callable[[], None] = lambda: None


class Refusal(ServiceException):
    """An answer that is an error, by AWS's code and words."""


def invalid(message: str) -> Refusal:
    """The input is refused."""
    return Refusal("ValidationException", message)


def absent(message: str) -> Refusal:
    """There is no such thing."""
    return Refusal("ResourceNotFoundException", message)


def not_rehearsed(what: str) -> Refusal:
    """Something that AWS may know, and the rehearsal does not."""
    return Refusal("NotRehearsed", f"{what}: the rehearsal does not know this; Orchard does not use it")
