"""An application of EMR Serverless as a state machine.

What it becomes by itself, and what it may be asked for. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deploy.rehearsal.protocol import invalid
from deploy.rehearsal.timings import Timings
from deploy.workers import Capacity

AT_REST = ("CREATED", "STOPPED")
_NO_LIMIT = "1000000 GB"


@dataclass(frozen=True, kw_only=True)
class Application:
    """One application.

    Attributes:
        settings: the input of the call that made it, with later updates, tags and token apart.
        since: when it came into its state; idle: since when no run is active.
    """

    id: str
    settings: Mapping[str, Any]
    tags: Mapping[str, str]
    created: float
    updated: float
    state: str = "CREATING"
    since: float
    idle: float

    @property
    def starts_itself(self) -> bool:
        """Whether a submitted run starts it."""
        return bool(self.settings.get("autoStartConfiguration", {}).get("enabled", True))

    @property
    def concurrent_runs(self) -> int:
        """Runs that it takes at once."""
        return int(self.settings.get("schedulerConfiguration", {}).get("maxConcurrentRuns", 15))

    @property
    def queue_minutes(self) -> int:
        """Minutes that a run may wait in its queue."""
        return int(self.settings.get("schedulerConfiguration", {}).get("queueTimeoutMinutes", 360))

    @property
    def image(self) -> str | None:
        """URI of its image, if it has one of its own."""
        image: str | None = self.settings.get("imageConfiguration", {}).get("imageUri")
        return image

    @property
    def maximum(self) -> Capacity | None:
        """What its workers may take together; no limit where none is set."""
        found = self.settings.get("maximumCapacity")
        if not found:
            return None
        disk = found.get("disk")
        return Capacity(
            cpu=amount(found["cpu"]),
            memory=amount(found["memory"]),
            disk=amount(disk) if disk else Capacity(cpu=0, memory=0, disk=10**9).disk,
        )

    def to(self, state: str, now: float) -> Application:
        """The same in another state."""
        return replace(self, state=state, since=now, idle=now)


def amount(text: str) -> int:
    """The number in `12 vCPU`, `48GB`, `4`."""
    return int("".join(letter for letter in text if letter.isdigit()))


def advance(application: Application, now: float, timings: Timings, *, busy: bool) -> Application:
    """What it has become by `now`."""
    passed = now - application.since
    if application.state == "CREATING" and passed >= timings.creating:
        return application.to("CREATED", now)
    if application.state == "STARTING" and passed >= timings.starting:
        return application.to("STARTED", now)
    if application.state == "STOPPING" and passed >= timings.stopping:
        return application.to("STOPPED", now)
    if application.state == "STARTED":
        return _rest(replace(application, idle=now) if busy else application, now, timings)
    return application


def _rest(application: Application, now: float, timings: Timings) -> Application:
    stop = application.settings.get("autoStopConfiguration", {})
    minutes = stop.get("idleTimeoutMinutes", 15)
    idle = now - application.idle >= minutes * timings.minute
    return application.to("STOPPING", now) if stop.get("enabled", True) and idle else application


def start(application: Application, now: float) -> Application:
    """Answer StartApplication, or the first run's automatic start."""
    if application.state in AT_REST:
        return application.to("STARTING", now)
    if application.state in ("STARTING", "STARTED"):
        return application
    raise invalid(f"Application {application.id} is in {application.state} state and cannot be started")


def stop(application: Application, now: float, *, busy: bool) -> Application:
    """Answer StopApplication."""
    if busy:
        raise invalid(
            f"Application {application.id} has active job runs: they must be completed or cancelled before it can be "
            "stopped"
        )
    if application.state == "STARTED":
        return application.to("STOPPING", now)
    if application.state in ("STOPPING", "STOPPED"):
        return application
    raise invalid(f"Application {application.id} is in {application.state} state and cannot be stopped")


def update(application: Application, settings: Mapping[str, Any], now: float) -> Application:
    """Answer UpdateApplication."""
    if application.state not in AT_REST:
        raise invalid(
            f"Application {application.id} is in {application.state} state: it must be CREATED or STOPPED to be updated"
        )
    return replace(application, settings={**application.settings, **settings}, updated=now)


def delete(application: Application, now: float) -> Application:
    """Answer DeleteApplication."""
    if application.state not in AT_REST:
        raise invalid(
            f"Application {application.id} is in {application.state} state: it must be CREATED or STOPPED to be deleted"
        )
    return application.to("TERMINATED", now)
