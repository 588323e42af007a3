"""Questions about runs, on EMR Serverless and EMR on EKS alike: what tells them apart is data in `Target`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from deploy.aws.session import Aws
from deploy.errors import AwsError
from deploy.observed import Run, Utilization
from deploy.targets import Target


def list_runs(aws: Aws, target: Target, place: str, *, active: bool = False) -> Iterator[Run]:
    """The runs of an application or virtual cluster as far as a listing tells, newest first.

    Only those not over, if `active`.
    """
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
    return _run(
        target,
        place,
        aws.call(target.service, target.describe, {target.place_key: place, target.run_key: run})["jobRun"],
    )


def cancel_run(aws: Aws, target: Target, place: str, run: str) -> None:
    """Ask for the end of a run; it goes on, and costs, until its state says otherwise."""
    aws.call(target.service, "cancel_job_run", {target.place_key: place, target.run_key: run})


def _run(target: Target, place: str, found: Mapping[str, Any]) -> Run:
    return Run(
        id=found.get(target.run_key) or found["id"],
        place=place,
        name=found.get("name", ""),
        state=found["state"],
        details=": ".join(
            text for text in (found.get("failureReason"), found.get("stateDetails")) if text and text != "-"
        ),
        created=_seconds(found.get("createdAt")),
        started=_seconds(found.get("startedAt")),
        ended=_seconds(found.get("endedAt")),
        digest=found.get("imageConfiguration", {}).get("resolvedImageDigest") or _named_digest(found),
        billed=_utilization(found.get("billedResourceUtilization")),
        used=_utilization(found.get("totalResourceUtilization")),
        tags=found.get("tags", {}),
    )


def _named_digest(found: Mapping[str, Any]) -> str | None:
    """Where the service resolves nothing, the image that ran is the one that is named by its digest.

    On EKS in the run's parameters.
    """
    parameters = found.get("jobDriver", {}).get("sparkSubmitJobDriver", {}).get("sparkSubmitParameters", "")
    named = re.search(r"spark\.kubernetes\.container\.image=(\S+)", parameters)
    image = named[1] if named else found.get("imageConfiguration", {}).get("imageUri", "")
    digest = re.search(r"@(sha256:[0-9a-f]{64})$", image)
    return digest[1] if digest else None


def _utilization(found: Mapping[str, float] | None) -> Utilization | None:
    """What the service says, if it says anything yet: all zeroes are no bill."""
    if not found or not any(found.values()):
        return None
    return Utilization(
        cpu=found.get("vCPUHour", 0.0), memory=found.get("memoryGBHour", 0.0), storage=found.get("storageGBHour", 0.0)
    )


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
