"""What a rehearsal is made with: a clock, how long things take, what runs its jobs, where its images are."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from threading import RLock
from typing import Any, Self

from moto.core.exceptions import ServiceException

from orchard_deploy.rehearsal.images import Images

# Held while a call is answered, and while everything becomes what it is by now.
LOCK = RLock()


@dataclass(frozen=True, kw_only=True)
class Timings:
    """What AWS takes, in seconds, as documented or measured by others, rounded.

    `stacking` is a change of a stack, `scheduling` and `provisioning` are a run's way to its first line, `billing` is
    from its end to its bill, `logging` between two deliveries of a log, `minute` one of a timeout.
    """

    stacking: float = 20.0
    starting: float = 20.0
    stopping: float = 10.0
    scheduling: float = 5.0
    provisioning: float = 85.0
    cancelling: float = 10.0
    billing: float = 10.0
    logging: float = 15.0
    minute: float = 60.0

    def faster(self, factor: float) -> Self:
        """The same, so many times as fast."""
        return replace(self, **{each.name: getattr(self, each.name) / factor for each in fields(self)})


@dataclass(kw_only=True)
class Order:
    """What a run executes: in its image by URI, with `slots`, all cores of its executors; 0 if they never come."""

    entry_point: str
    arguments: tuple[str, ...]
    properties: Mapping[str, str]
    image: str = ""
    slots: int = 0


@dataclass(kw_only=True)
class Settings:
    """What all services share: `run` starts an attempt, as `runners` do; `changed` follows a change of a stack."""

    run: Callable[[Order], Any]
    timings: Timings = field(default_factory=Timings)
    clock: Callable[[], float] = time.time
    images: Images = field(default_factory=Images)
    changed: Callable[[], None] = lambda: None


class Refusal(ServiceException):
    """An answer that is an error, by AWS's code and words; moto looks for the model of those of its own services."""


invalid, absent = (partial(Refusal, f"{code}Exception") for code in ("Validation", "ResourceNotFound"))


def not_rehearsed(what: str) -> Refusal:
    """Something that AWS may know, and the rehearsal does not."""
    return invalid(f"{what}: the rehearsal does not know this; Orchard does not use it")
