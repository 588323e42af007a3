"""Applications and runs as state machines: what they become by themselves, what they may be asked for. Pure.

The states of a run are EMR Serverless' names; those of EMR on EKS are other names for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from orchard_deploy.rehearsal.settings import Timings, invalid

WAITING, FINAL, AT_REST = ("SUBMITTED", "QUEUED"), ("SUCCESS", "FAILED", "CANCELLED"), ("CREATED", "STOPPED")
# What a state becomes by itself: the timing of that, and the next state.
_STEPS = {
    "CREATING": ("creating", "CREATED"),
    "STARTING": ("starting", "STARTED"),
    "STOPPING": ("stopping", "STOPPED"),
    "PENDING": ("scheduling", "SCHEDULED"),
    "SCHEDULED": ("provisioning", "RUNNING"),
    "CANCELLING": ("cancelling", "CANCELLED"),
}
# What an application becomes when it is asked to; `start` is also what its first run asks.
_ASKED: Mapping[str, Mapping[str, str]] = {
    "start": {**dict.fromkeys((*AT_REST, "STARTING"), "STARTING"), "STARTED": "STARTED"},
    "stop": {"STARTED": "STOPPING", "STOPPING": "STOPPING", "STOPPED": "STOPPED"},
    "delete": dict.fromkeys(AT_REST, "TERMINATED"),
}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """An application or a run: when it was made, its state, since when, and the digest of its image."""

    id: str
    created: float
    since: float
    state: str
    digest: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def to(self, state: str, now: float, **changes: Any) -> Self:
        """The same in another state."""
        return replace(self, state=state, since=now, **changes)

    def step(self, now: float, timings: Timings) -> Self:
        """What it has become by itself."""
        timing, following = _STEPS.get(self.state, ("", ""))
        return self.to(following, now) if timing and now - self.since >= getattr(timings, timing) else self


@dataclass(frozen=True, kw_only=True)
class Application(Machine):
    """One application; `settings` is the input that made it, with later changes, `idle` since when no run is active."""

    settings: Mapping[str, Any]
    state: str = "CREATING"
    idle: float = 0

    def setting(self, path: str, default: Any = None) -> Any:
        """The value of a setting, as in `imageConfiguration.imageUri`."""
        part, _, name = path.partition(".")
        found = self.settings.get(part, {})
        return found.get(name, default) if name else found


def advance(found: Application, now: float, timings: Timings, *, busy: bool) -> Application:
    """What an application has become by `now`; one without runs stops after a while."""
    found = replace(found, idle=now) if busy or found.state != "STARTED" else found
    late = now - found.idle >= found.setting("autoStopConfiguration.idleTimeoutMinutes", 15) * timings.minute
    stops = found.state == "STARTED" and found.setting("autoStopConfiguration.enabled", True)
    return found.to("STOPPING", now) if stops and late else found.step(now, timings)


def ask(found: Application, verb: str, now: float, *, busy: bool = False) -> Application:
    """Answer `start`, `stop` or `delete`."""
    if verb == "stop" and busy:
        raise invalid(f"Application {found.id} has active job runs: they must be completed or cancelled first")
    if found.state not in _ASKED[verb]:
        raise invalid(f"Application {found.id} is in {found.state} state: {verb} is not possible")
    becomes = _ASKED[verb][found.state]
    return found if becomes == found.state else found.to(becomes, now)


@dataclass(frozen=True, kw_only=True)
class Job(Machine):
    """One run of an application or virtual cluster, `parent`, by the input `request`; attempts are counted from 1."""

    parent: str
    request: Mapping[str, Any]
    state: str = "SUBMITTED"
    details: str = ""
    started: float | None = None
    ended: float | None = None
    attempt: int = 1
    attempts: int = 1
    timeout: int | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in FINAL


def advance_job(
    job: Job, now: float, timings: Timings, *, ready: bool = True, free: bool = True, code: int | None = None,
    queue_minutes: int = 360,
) -> Job:  # fmt: skip
    """What a run has become by `now`; one step at most.

    Args:
        ready: the application has started; free: there is room for one more concurrent run.
        code: exit code of its process, once that has ended.
        queue_minutes: it may wait in the queue.
    """
    moved = _next(job, now, timings, code) if job.state == "RUNNING" else job.step(now, timings)
    if job.state in WAITING and free:
        moved = job.to("PENDING", now) if ready else job
    elif job.state == "SUBMITTED":
        moved = job.to("QUEUED", now, details="Waiting for another job run to end")
    elif job.state == "QUEUED" and now - job.since >= queue_minutes * timings.minute:
        moved = job.to("FAILED", now, details="Job run exceeded the queue timeout")
    started = moved.started or (now if moved.state == "RUNNING" else None)
    return replace(moved, started=started, ended=now if moved.over and not job.over else job.ended)


def _next(job: Job, now: float, timings: Timings, code: int | None) -> Job:
    if code is None:
        late = job.timeout and now - job.since >= job.timeout * timings.minute
        details = f"Job run exceeded its execution timeout of {job.timeout} minutes"
        return job.to("CANCELLING", now, details=details) if late else job
    details = f"Job failed, please check complete logs in configured logging destination. ExitCode: {code}"
    again = job.attempt < job.attempts
    failed = job.to("PENDING" if again else "FAILED", now, details=details, attempt=job.attempt + again)
    return failed if code else job.to("SUCCESS", now)


def cancel(job: Job, now: float) -> Job:
    """Answer CancelJobRun; one that is being cancelled stays as it is."""
    if job.over:
        raise invalid(f"Job run {job.id} is in {job.state} state and cannot be cancelled")
    return job if job.state == "CANCELLING" else job.to("CANCELLING", now, details="Job run is being cancelled")
