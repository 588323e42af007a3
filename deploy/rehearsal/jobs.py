"""A run as a state machine, the same for EMR Serverless and EMR on EKS: only the names of the states differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from deploy.rehearsal.timings import Timings


class Stage(Enum):
    """How far a run is; the values are EMR Serverless' names."""

    SUBMITTED = "SUBMITTED"
    QUEUED = "QUEUED"
    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether a run at this stage is over."""
        return self in (Stage.SUCCESS, Stage.FAILED, Stage.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run.

    Attributes:
        request: the input of the call that started it.
        digest: of the image it runs.
        since: when it came into its stage; started: when its first line ran; ended: when it was over.
        attempt, attempts: this one, counted from 1, and how many there may be.
        timeout: minutes it may run; None for ever.
    """

    id: str
    place: str
    request: Mapping[str, Any]
    digest: str | None
    created: float
    since: float
    stage: Stage = Stage.SUBMITTED
    details: str = ""
    started: float | None = None
    ended: float | None = None
    attempt: int = 1
    attempts: int = 1
    timeout: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def to(self, stage: Stage, now: float, details: str = "") -> Job:
        """The same at another stage."""
        ended = now if stage.final else self.ended
        return replace(self, stage=stage, since=now, details=details, ended=ended)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a run's next step depends on.

    Attributes:
        ready: the application has started.
        free: there is room for one more concurrent run.
        exit: exit code of its process, once that has ended.
        queue_minutes: it may wait in the queue.
    """

    ready: bool = True
    free: bool = True
    exit: int | None = None
    queue_minutes: int = 360


def advance(job: Job, now: float, timings: Timings, around: Surroundings) -> Job:
    """What it has become by `now`; one step at most."""
    step = {
        Stage.SUBMITTED: _leave_queue,
        Stage.QUEUED: _leave_queue,
        Stage.PENDING: _get_workers,
        Stage.SCHEDULED: _begin,
        Stage.RUNNING: _go_on,
        Stage.CANCELLING: _give_up,
    }.get(job.stage)
    return step(job, now, timings, around) if step else job


def cancel(job: Job, now: float) -> Job:
    """Answer CancelJobRun; a run that is over stays as it is."""
    if job.stage.final or job.stage is Stage.CANCELLING:
        return job
    return job.to(Stage.CANCELLING, now, "Job run is being cancelled")


def _leave_queue(job: Job, now: float, timings: Timings, around: Surroundings) -> Job:
    if around.free:
        return job.to(Stage.PENDING, now) if around.ready else job
    if job.stage is Stage.SUBMITTED:
        return job.to(Stage.QUEUED, now, "Waiting for another job run to end")
    if now - job.since >= around.queue_minutes * timings.minute:
        return job.to(Stage.FAILED, now, "Job run exceeded the queue timeout")
    return job


def _get_workers(job: Job, now: float, timings: Timings, around: Surroundings) -> Job:
    return job.to(Stage.SCHEDULED, now) if now - job.since >= timings.scheduling else job


def _begin(job: Job, now: float, timings: Timings, around: Surroundings) -> Job:
    if now - job.since < timings.provisioning:
        return job
    return replace(job.to(Stage.RUNNING, now), started=job.started or now)


def _go_on(job: Job, now: float, timings: Timings, around: Surroundings) -> Job:
    if around.exit == 0:
        return job.to(Stage.SUCCESS, now)
    if around.exit is not None:
        return _fail(job, now, around.exit)
    if job.timeout and now - job.since >= job.timeout * timings.minute:
        return job.to(Stage.CANCELLING, now, f"Job run exceeded its execution timeout of {job.timeout} minutes")
    return job


def _fail(job: Job, now: float, code: int) -> Job:
    details = f"Job failed, please check complete logs in configured logging destination. ExitCode: {code}"
    if job.attempt < job.attempts:
        return replace(job.to(Stage.PENDING, now, details), attempt=job.attempt + 1)
    return job.to(Stage.FAILED, now, details)


def _give_up(job: Job, now: float, timings: Timings, around: Surroundings) -> Job:
    return job.to(Stage.CANCELLED, now, job.details) if now - job.since >= timings.cancelling else job
