"""EMR Serverless with its applications, and EMR on EKS: in what they differ, as far as Orchard asks."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.ecr.models import ecr_backends
from moto.iam.models import iam_backends

from orchard_deploy.rehearsal import machines
from orchard_deploy.rehearsal.emr import Emr, listed
from orchard_deploy.rehearsal.inputs import properties_of, workers
from orchard_deploy.rehearsal.machines import AT_REST, WAITING, Application, Job
from orchard_deploy.rehearsal.repositories import allows
from orchard_deploy.rehearsal.settings import Refusal, absent, invalid

# Seconds that each worker is billed at least, GB of its disk that are free, vCPU that a new account may use at once.
_LEAST, _FREE_DISK, _QUOTA = 60.0, 20, 16


class Serverless(Emr):
    """EMR Serverless."""

    service, parent, run, path = "emr-serverless", "applicationId", "jobRunId", "applications"
    driver, logs = "sparkSubmit", "applications/{0.parent}/jobs/{0.id}/{1}SPARK_DRIVER"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.applications: dict[str, Application] = {}

    def tick(self) -> None:
        """Let applications and runs become what they are by now."""
        with self.lock:
            for found in list(self.applications.values()):
                busy, timings = bool(self.active(found.id)), self.settings.timings
                self.applications[found.id] = machines.advance(found, self.now, timings, busy=busy)
            super().tick()

    def _create_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, now = f"00f{secrets.token_hex(6)}", self.now
        made = Application(id=name, settings=asked, tags=asked.get("tags", {}), created=now, since=now)
        self._check_image(made)
        self.applications[name] = made
        return self._show(made)

    def _update_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._application(asked)
        if found.state not in AT_REST:
            raise invalid(f"Application {found.id} is in {found.state} state: it must be CREATED or STOPPED")
        changed = replace(found, settings={**found.settings, **asked})
        self._check_image(changed)
        self.applications[found.id] = changed
        return {"application": self._show(changed)}

    def _get_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"application": self._show(self._application(asked))}

    def _list_applications(self, asked: dict[str, Any]) -> dict[str, Any]:
        return listed([self._show(each) for each in self.applications.values()], asked, "applications")

    def _start_application(self, asked: dict[str, Any], verb: str = "start") -> dict[str, Any]:
        found = self._application(asked)
        self.applications[found.id] = machines.ask(found, verb, self.now, busy=bool(self.active(found.id)))
        return {}

    def _stop_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._start_application(asked, "stop")

    def _delete_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._start_application(asked, "delete")

    def _application(self, asked: Mapping[str, Any]) -> Application:
        found = self.applications.get(asked["applicationId"])
        if found is None or found.state == "TERMINATED":
            raise absent(f"Application {asked['applicationId']} does not exist")
        return found

    def _show(self, found: Application) -> dict[str, Any]:
        names = {**dict.fromkeys(("applicationId", "id"), found.id), "arn": self.arn(found.id), "type": "Spark"}
        state = {"state": found.state, "stateDetails": "-", "createdAt": found.created, "updatedAt": found.since}
        return {**found.settings, **names, **state, "tags": dict(found.tags)}

    def _check_image(self, found: Application) -> None:
        ecr: Any = ecr_backends[self.account_id][self.region_name]
        if image := found.setting("imageConfiguration.imageUri"):
            ecr.check(image, self.arn(found.id))

    def _accept(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Refuse a run that cannot run; else its application starts."""
        found, timeout = self._application(asked), asked.get("executionTimeoutMinutes", 720)
        starts = AT_REST if found.setting("autoStartConfiguration.enabled", True) else ()
        if found.state not in ("STARTING", "STARTED", *starts):
            raise invalid(f"Application {found.id} is in {found.state} state and takes no job runs")
        if timeout < 5:
            raise invalid("executionTimeoutMinutes: at least 5")
        self._check_role(asked["executionRoleArn"], self.arn(found.id))
        workers(properties_of(asked, self.driver))
        self._check_image(found)
        self.applications[found.id] = machines.ask(found, "start", self.now)
        return {"timeout": timeout, "attempts": asked.get("retryPolicy", {}).get("maxAttempts", 1)}

    def _check_role(self, arn: str, source: str) -> None:
        try:
            role = iam_backends[self.account_id][self.partition].get_role(arn.rpartition("/")[2])
        except ServiceException as exc:
            raise invalid(f"Execution role {arn}: {exc.message}") from exc
        if not allows(role.assume_role_policy_document, "sts:AssumeRole", source):
            message = f"emr-serverless.amazonaws.com is not authorized to perform: sts:AssumeRole on {arn}"
            raise Refusal("AccessDeniedException", message)

    def _around(self, job: Job) -> dict[str, Any]:
        found = self.applications[job.parent]
        occupying = [each for each in self.active(job.parent) if each.state not in WAITING]
        return {
            "ready": found.state == "STARTED",
            "free": len(occupying) < found.setting("schedulerConfiguration.maxConcurrentRuns", 15),
            "queue_minutes": found.setting("schedulerConfiguration.queueTimeoutMinutes", 360),
        }

    def _image(self, asked: Mapping[str, Any]) -> str | None:
        image: str | None = self.applications[asked["applicationId"]].setting("imageConfiguration.imageUri")
        return image

    def _slots(self, job: Job, properties: Mapping[str, str]) -> int:
        """All cores of the executors, unless they are more than the application or the account may have."""
        _, *executors = sized = workers(properties)
        limits = {"cpu": _QUOTA}, self.applications[job.parent].setting("maximumCapacity")
        wanted = {name: sum(getattr(each, name) for each in sized) for name in ("cpu", "memory", "disk")}
        fits = all(wanted[name] <= _amount(limit[name]) for limit in limits for name in limit)
        return sum(each.cpu for each in executors) if fits else 0

    def _more(self, job: Job) -> dict[str, Any]:
        """What only this service says of a run; the bill follows some time after the end."""
        found, image = self.applications[job.parent], self._image(job.request)
        more = {"releaseLabel": found.settings["releaseLabel"], "mode": "BATCH", "stateDetails": job.details or "-"}
        if image:
            more["imageConfiguration"] = {"imageUri": image, "resolvedImageDigest": job.digest}
        if job.started and job.ended:
            ran, properties = job.ended - job.started, properties_of(job.request, self.driver)
            more["totalExecutionDurationSeconds"] = int(ran)
            more["totalResourceUtilization"] = _hours(properties, ran, 0)
            if self.now - job.ended >= self.settings.timings.billing:
                more["billedResourceUtilization"] = _hours(properties, max(ran, _LEAST), _FREE_DISK)
        return more


def _amount(limit: Any) -> int:
    """The number in `12 vCPU`, `48GB`, 4."""
    return int("".join(letter for letter in str(limit) if letter.isdigit()))


def _hours(properties: Mapping[str, str], seconds: float, free_disk: int) -> dict[str, float]:
    """What a run's workers take in so many seconds, as bills have it; so many GB of each disk are free."""
    sized = workers(properties)
    cpu, memory = sum(each.cpu for each in sized), sum(each.memory for each in sized)
    taken = {"vCPUHour": cpu, "memoryGBHour": memory, "storageGBHour": sum(each.disk - free_disk for each in sized)}
    return {name: round(value * seconds / 3600, 3) for name, value in taken.items()}


class Containers(Emr):
    """EMR on EKS, with the settings' virtual clusters; it has no applications, and no cap."""

    service, parent, run, path = "emr-containers", "virtualClusterId", "id", "virtualclusters"
    driver, logs = "sparkSubmitJobDriver", "{0.parent}/jobs/{0.id}/containers/spark-{0.id}/spark-{0.id}-driver"
    states: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(WAITING, "PENDING"),
        "SCHEDULED": "SUBMITTED",
        "CANCELLING": "CANCEL_PENDING",
        "SUCCESS": "COMPLETED",
    }

    def _accept(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["virtualClusterId"] not in self.settings.clusters:
            raise absent(f"Virtual cluster {asked['virtualClusterId']} does not exist")
        if not asked.get("releaseLabel", "").endswith("-latest") or "executionRoleArn" not in asked:
            raise invalid(f"releaseLabel {asked.get('releaseLabel')} does not exist, or executionRoleArn is missing")
        ecr: Any = ecr_backends[self.account_id][self.region_name]
        if image := self._image(asked):
            ecr.check(image)
        return {"attempts": asked.get("retryPolicyConfiguration", {}).get("maxAttempts", 1)}

    def _image(self, asked: Mapping[str, Any]) -> str | None:
        return properties_of(asked, self.driver).get("spark.kubernetes.container.image")

    def _slots(self, job: Job, properties: Mapping[str, str]) -> int:
        return int(properties.get("spark.executor.instances", "2")) * int(properties.get("spark.executor.cores", "1"))

    def _around(self, job: Job) -> dict[str, Any]:
        return {}

    _more = _around
