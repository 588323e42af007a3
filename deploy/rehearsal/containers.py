"""EMR on EKS' answers, as far as Orchard asks.

The same runs under other names, without applications and without a cap of the service.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from deploy.rehearsal import jobs
from deploy.rehearsal.jobs import Job, Stage, Surroundings
from deploy.rehearsal.orders import Running
from deploy.rehearsal.paging import page_of
from deploy.rehearsal.protocol import RefusalError, invalid
from deploy.rehearsal.registry import ACCOUNT
from deploy.rehearsal.service import Calls, Service, log_uri
from deploy.rehearsal.shipping import eks_prefix, ship
from deploy.rehearsal.sizing import properties_of

_STATES: Mapping[Stage, str] = {
    Stage.SUBMITTED: "PENDING",
    Stage.QUEUED: "PENDING",
    Stage.PENDING: "PENDING",
    Stage.SCHEDULED: "SUBMITTED",
    Stage.RUNNING: "RUNNING",
    Stage.CANCELLING: "CANCEL_PENDING",
    Stage.SUCCESS: "COMPLETED",
    Stage.FAILED: "FAILED",
    Stage.CANCELLED: "CANCELLED",
}


@dataclass
class Containers(Service):
    """The service, with virtual clusters of these ids."""

    name: ClassVar[str] = "emr-containers"
    clusters: frozenset[str] = frozenset()

    def calls(self) -> Calls:
        """The calls that it knows, by operation."""
        return {
            "StartJobRun": self._start_job_run,
            "DescribeJobRun": lambda asked: {"jobRun": self._describe(self._job(asked))},
            "ListJobRuns": self._list_job_runs,
            "CancelJobRun": self._cancel_job_run,
        }

    def _start_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["virtualClusterId"] not in self.clusters:
            raise RefusalError(
                "ResourceNotFoundException", f"Virtual cluster {asked['virtualClusterId']} does not exist"
            )
        if not asked.get("releaseLabel", "").endswith("-latest"):
            raise invalid(f"Release label {asked.get('releaseLabel')} does not exist")
        if "executionRoleArn" not in asked:
            raise invalid("executionRoleArn: required")
        made = self.tokens.known("StartJobRun", asked) or self._new_run(asked)
        self.tokens.keep("StartJobRun", asked, made)
        return {
            "id": made,
            "name": asked.get("name", ""),
            "arn": self._arn(asked["virtualClusterId"], made),
            "virtualClusterId": asked["virtualClusterId"],
        }

    def _new_run(self, asked: dict[str, Any]) -> str:
        image = _properties(asked).get("spark.kubernetes.container.image")
        now, name = self.clock(), f"000{secrets.token_hex(8)}"
        self.floor.put(
            Job(
                id=name,
                place=asked["virtualClusterId"],
                request=asked,
                digest=self.world.digest(image, by_service=False) if image else None,
                created=now,
                since=now,
                attempts=asked.get("retryPolicyConfiguration", {}).get("maxAttempts", 1),
                tags=asked.get("tags", {}),
            )
        )
        return name

    def _list_job_runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        states = asked.get("states")
        found = [
            job
            for job in self.floor.jobs.values()
            if job.place == asked["virtualClusterId"] and (not states or _STATES[job.stage] in states)
        ]
        items, more = page_of(sorted(found, key=lambda job: job.created, reverse=True), asked)
        return {"jobRuns": [self._describe(job) for job in items], **more}

    def _cancel_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self._job(asked)
        if job.stage.final:
            raise invalid(f"Job run {job.id} is not in a cancellable state")
        self.floor.put(jobs.cancel(job, self.clock()))
        return {"id": job.id, "virtualClusterId": job.place}

    def _job(self, asked: dict[str, Any]) -> Job:
        job = self.floor.jobs.get(asked["id"])
        if job is None or job.place != asked["virtualClusterId"]:
            raise RefusalError("ResourceNotFoundException", f"Job run {asked['id']} does not exist")
        return job

    def _describe(self, job: Job) -> dict[str, Any]:
        asked = job.request
        described: dict[str, Any] = {
            "id": job.id,
            "name": asked.get("name"),
            "virtualClusterId": job.place,
            "arn": self._arn(job.place, job.id),
            "state": _STATES[job.stage],
            "clientToken": asked["clientToken"],
            "executionRoleArn": asked["executionRoleArn"],
            "releaseLabel": asked["releaseLabel"],
            "jobDriver": asked["jobDriver"],
            "configurationOverrides": asked.get("configurationOverrides"),
            "retryPolicyConfiguration": asked.get("retryPolicyConfiguration"),
            "createdAt": _moment(job.created),
            "finishedAt": _moment(job.ended) if job.ended else None,
            "stateDetails": job.details or None,
            "failureReason": "USER_ERROR" if job.stage is Stage.FAILED else None,
            "tags": dict(job.tags),
        }
        return {key: value for key, value in described.items() if value is not None}

    def around(self, job: Job) -> Surroundings:
        """Nothing: there are always pods."""
        return Surroundings()

    def begin(self, job: Job) -> Running:
        """Start a run's process, on all slots of its executors."""
        properties = _properties(job.request)
        slots = int(properties.get("spark.executor.instances", "2")) * int(properties.get("spark.executor.cores", "1"))
        image = properties.get("spark.kubernetes.container.image")
        return self.start(
            job, job.request["jobDriver"]["sparkSubmitJobDriver"], image=image, properties=properties, slots=slots
        )

    def deliver(self, job: Job, running: Running) -> None:
        """Write a run's logs to S3."""
        if uri := log_uri(job):
            ship(job, eks_prefix(uri, job), running.output(), self.world.write_log)

    def _arn(self, cluster: str, run: str) -> str:
        return f"arn:aws:emr-containers:{self.region}:{ACCOUNT}:/virtualclusters/{cluster}/jobruns/{run}"


def _properties(asked: Mapping[str, Any]) -> dict[str, str]:
    submit = asked.get("jobDriver", {}).get("sparkSubmitJobDriver")
    if submit is None:
        raise invalid("jobDriver.sparkSubmitJobDriver: required")
    return properties_of(submit, asked.get("configurationOverrides", {}).get("applicationConfiguration", ()))


def _moment(seconds: float) -> str:
    """The service's own form of a moment."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
