"""How EMR Serverless describes its applications and runs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from deploy.rehearsal.applications import Application, amount
from deploy.rehearsal.jobs import Job
from deploy.rehearsal.protocol import invalid
from deploy.rehearsal.registry import ACCOUNT
from deploy.rehearsal.sizing import Sizing, properties_of, sizing

_UNITS = {"cpu": "vCPU", "memory": "GB", "disk": "GB"}
# Seconds that each worker is billed at least, and GB of its disk that cost nothing.
_LEAST, _FREE_DISK = 60.0, 20


def describe_application(found: Application, region: str, digest: str | None) -> dict[str, Any]:
    """What GetApplication answers; `digest` is known once the application has started."""
    settings = dict(found.settings)
    if "maximumCapacity" in settings:
        settings["maximumCapacity"] = {
            key: f"{amount(value)} {_UNITS[key]}" for key, value in settings["maximumCapacity"].items()
        }
    if "imageConfiguration" in settings and digest:
        settings["imageConfiguration"] = {**settings["imageConfiguration"], "resolvedImageDigest": digest}
    return {
        **settings,
        "type": "Spark",
        "applicationId": found.id,
        "arn": arn(region, found.id),
        "state": found.state,
        "stateDetails": "-",
        "tags": dict(found.tags),
        "createdAt": found.created,
        "updatedAt": found.updated,
    }


def describe_run(job: Job, found: Application, region: str, *, billed: bool) -> dict[str, Any]:
    """What GetJobRun answers; the bill follows some time after the end."""
    asked = job.request
    described: dict[str, Any] = {
        "applicationId": job.place,
        "jobRunId": job.id,
        "name": asked.get("name"),
        "arn": arn(region, job.place, job.id),
        "createdBy": f"arn:aws:sts::{ACCOUNT}:assumed-role/rehearsal",
        "createdAt": job.created,
        "updatedAt": job.since,
        "executionRole": asked["executionRoleArn"],
        "state": job.stage.value,
        "stateDetails": job.details or "-",
        "releaseLabel": found.settings["releaseLabel"],
        "jobDriver": asked["jobDriver"],
        "configurationOverrides": asked.get("configurationOverrides"),
        "retryPolicy": asked.get("retryPolicy"),
        "mode": asked.get("mode", "BATCH"),
        "attempt": job.attempt,
        "executionTimeoutMinutes": job.timeout,
        "tags": dict(job.tags),
        "imageConfiguration": {"imageUri": found.image, "resolvedImageDigest": job.digest} if found.image else None,
        "startedAt": job.started,
        "endedAt": job.ended,
        **_utilization(job, billed=billed),
    }
    return {key: value for key, value in described.items() if value is not None}


def summarize_application(found: Application, region: str) -> dict[str, Any]:
    """One line of ListApplications."""
    kept = {
        key: found.settings[key] for key in ("name", "releaseLabel", "type", "architecture") if key in found.settings
    }
    moments = {"createdAt": found.created, "updatedAt": found.updated}
    return {**kept, **moments, "id": found.id, "arn": arn(region, found.id), "state": found.state}


def summarize_run(run: str, described: Mapping[str, Any], members: Collection[str]) -> dict[str, Any]:
    """One line of ListJobRuns: of the description what the summary has."""
    return {"id": run, **{key: value for key, value in described.items() if key in members}}


def submitted_properties(asked: Mapping[str, Any]) -> dict[str, str]:
    """The Spark properties of a run, from the input of its StartJobRun."""
    submit = asked.get("jobDriver", {}).get("sparkSubmit")
    if submit is None:
        raise invalid("jobDriver.sparkSubmit: required")
    return properties_of(submit, asked.get("configurationOverrides", {}).get("applicationConfiguration", ()))


def arn(region: str, application: str, run: str | None = None) -> str:
    """The ARN of an application or a run."""
    return f"arn:aws:emr-serverless:{region}:{ACCOUNT}:/applications/{application}" + (f"/jobruns/{run}" if run else "")


def _utilization(job: Job, *, billed: bool) -> dict[str, Any]:
    """What all workers took while the run ran."""
    if job.started is None or job.ended is None:
        return {}
    sized, ran = sizing(submitted_properties(job.request)), job.ended - job.started
    found = {"totalResourceUtilization": _hours(sized, ran, 0), "totalExecutionDurationSeconds": int(ran)}
    return {**found, "billedResourceUtilization": _hours(sized, max(ran, _LEAST), _FREE_DISK)} if billed else found


def _hours(sized: Sizing, seconds: float, free_disk: int) -> dict[str, float]:
    workers = [sized.driver, *[sized.executor] * sized.executors]
    return {
        "vCPUHour": round(sum(worker.cpu for worker in workers) * seconds / 3600, 3),
        "memoryGBHour": round(sum(worker.memory for worker in workers) * seconds / 3600, 3),
        "storageGBHour": round(sum(max(0, worker.disk - free_disk) for worker in workers) * seconds / 3600, 3),
    }
