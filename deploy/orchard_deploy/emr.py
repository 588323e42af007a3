"""Runs, on EMR Serverless and EMR on EKS alike, and applications. What tells the services apart is in `Target`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchard_deploy.errors import AwsError, WaitError
from orchard_deploy.targets import SERVERLESS, Target
from orchard_deploy.waiting import Pace, wait_for

if TYPE_CHECKING:
    from orchard_deploy.aws import Aws

# States in which an application takes changes or may be deleted, and those that pass by themselves.
AT_REST = frozenset({"CREATED", "STOPPED"})
PASSING = frozenset({"CREATING", "STARTING", "STOPPING"})
# Seconds for an application to be made, to change or to stop; half a minute is usual.
_SETTLING = 600.0


@dataclass(frozen=True, kw_only=True)
class Utilization:
    """vCPU-hours, GB-hours of memory and GB-hours of disk beyond the free 20 GB a worker."""

    cpu: float
    memory: float
    storage: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, on either service.

    Attributes:
        place: application or virtual cluster.
        created, started, ended: seconds since 1970.
        digest: of the run's image, once the service reports it.
        billed, used: what is billed, and what was used, once the service reports it.
    """

    id: str
    place: str
    name: str
    state: str
    details: str = ""
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    digest: str | None = None
    billed: Utilization | None = None
    used: Utilization | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def list_runs(aws: Aws, target: Target, place: str, *, active: bool = False) -> Iterator[Run]:
    """The runs of an application or virtual cluster by its listing, newest first; if `active`, only those not over."""
    asked = {target.place_key: place, **({"states": target.active_states()} if active else {})}
    for found in aws.pages(target.service, "list_job_runs", asked, "jobRuns"):
        yield _run(target, place, found)


def list_runs_if_any(aws: Aws, target: Target, place: str, *, active: bool = False) -> list[Run]:
    """The same; nothing where the application or virtual cluster is gone, and its runs with it."""
    try:
        return list(list_runs(aws, target, place, active=active))
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return []
        raise


def get_run(aws: Aws, target: Target, place: str, run: str) -> Run:
    """A run."""
    named = {target.place_key: place, target.run_key: run}
    return _run(target, place, aws.call(target.service, target.describe, named)["jobRun"])


def application_state(aws: Aws, application: str) -> str | None:
    """The state of an application; None if it is gone."""
    named = {"applicationId": application}
    found = aws.find(SERVERLESS.service, "get_application", named, "ResourceNotFoundException")
    state = str(found["application"]["state"]) if found else "TERMINATED"
    return None if state == "TERMINATED" else state


def stop_application(aws: Aws, application: str, *, pace: Pace, say: Callable[[str], None]) -> None:
    """Bring an application without runs to rest, unless it is or is gone.

    Raises:
        WaitError: it does not stop in time.
    """
    state = application_state(aws, application)
    if state in PASSING:
        state = settle(aws, application, AT_REST | {"STARTED"}, pace=pace, say=say)
    if state == "STARTED":
        say(f"stop application {application}")
        aws.call(SERVERLESS.service, "stop_application", {"applicationId": application})
        settle(aws, application, AT_REST, pace=pace, say=say)


def settle(aws: Aws, application: str, states: Iterable[str], *, pace: Pace, say: Callable[[str], None]) -> str | None:
    """Wait until an application is in one of these states, or gone; returns its state."""
    wanted = frozenset(states)
    try:
        return wait_for(
            lambda: application_state(aws, application),
            lambda state: state is None or state in wanted,
            what=f"application {application} to be {' or '.join(sorted(wanted))}",
            seconds=_SETTLING,
            pace=pace,
            say=say,
        )
    except WaitError as error:
        raise WaitError(f"{error}: see `orchard-deploy status`, then call again") from error


def cancel_run(aws: Aws, target: Target, place: str, run: str) -> None:
    """Request the end of a run; it continues, and costs, until its state is final."""
    aws.call(target.service, "cancel_job_run", {target.place_key: place, target.run_key: run})


def _run(target: Target, place: str, found: Mapping[str, Any]) -> Run:
    return Run(
        id=found.get(target.run_key) or found["id"],
        place=place,
        name=found.get("name", ""),
        state=found["state"],
        details=": ".join(text for key in ("failureReason", "stateDetails") if (text := found.get(key) or "-") != "-"),
        created=_seconds(found.get("createdAt")),
        started=_seconds(found.get("startedAt")),
        ended=_seconds(found.get("endedAt")),
        digest=found.get("imageConfiguration", {}).get("resolvedImageDigest") or _named_digest(found),
        billed=_utilization(found.get("billedResourceUtilization")),
        used=_utilization(found.get("totalResourceUtilization")),
        tags=found.get("tags", {}),
    )


def _named_digest(found: Mapping[str, Any]) -> str | None:
    """The image that was named by its digest, on EKS in the run's parameters, where the service resolves nothing."""
    parameters = found.get("jobDriver", {}).get("sparkSubmitJobDriver", {}).get("sparkSubmitParameters", "")
    named = re.search(r"spark\.kubernetes\.container\.image=(\S+)", parameters)
    image = named[1] if named else found.get("imageConfiguration", {}).get("imageUri", "")
    digest = re.search(r"@(sha256:[0-9a-f]{64})$", image)
    return digest[1] if digest else None


def _utilization(found: Mapping[str, float] | None) -> Utilization | None:
    """What the service reports, if anything yet: all zeroes are no bill."""
    if not found or not any(found.values()):
        return None
    names = {"cpu": "vCPUHour", "memory": "memoryGBHour", "storage": "storageGBHour"}
    return Utilization(**{field: found.get(name, 0.0) for field, name in names.items()})


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
