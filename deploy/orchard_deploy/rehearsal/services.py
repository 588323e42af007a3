"""EMR Serverless with its applications, and EMR on EKS: in what they differ, as far as Orchard asks."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchard_deploy.local.run_local import parse_memory
from orchard_deploy.rehearsal.emr import WAITING, Emr, EndedError, Job
from orchard_deploy.rehearsal.settings import absent, invalid
from orchard_deploy.spec import Worker, fitting_memory
from orchard_deploy.targets import EKS, SERVERLESS

AT_REST = ("CREATED", "STOPPED")
# Seconds that each worker is billed at least, and GB of its disk that are free.
_LEAST, _FREE_DISK = 60.0, 20


@dataclass(kw_only=True)
class Application:
    """One application; `settings` is the input that made it, with later changes; it is in a state `since` then."""

    id: str
    since: float
    settings: dict[str, Any]
    state: str = "CREATED"

    def setting(self, part: str, name: str, default: Any = None) -> Any:
        """The value of a setting."""
        return self.settings.get(part, {}).get(name, default)


class Serverless(Emr):
    """EMR Serverless."""

    target, driver_logs = SERVERLESS, "{attempt}SPARK_DRIVER"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.applications: dict[str, Application] = {}

    def tick(self) -> None:
        """Let applications and runs become what they are by now."""
        for found in self.applications.values():
            timings, passed = self.settings.timings, self.now - found.since
            if found.state == "STARTING" and passed >= timings.starting:
                self.to(found, "STARTED")
            elif found.state == "STOPPING" and passed >= timings.stopping:
                self.to(found, "STOPPED")
        super().tick()

    def _create_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = Application(id=f"00f{secrets.token_hex(6)}", settings=dict(asked), since=self.now)
        self.applications[found.id] = found
        return _show(found)

    def _get_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"application": _show(self._application(asked))}

    def _list_applications(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"applications": [_show(each) for each in self.applications.values()]}

    def _start_application(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = self._application(asked, "STARTING", "STARTED", *AT_REST)
        if found.state in AT_REST:
            self.to(found, "STARTING")
        return {}

    def _stop_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._application(asked)
        if self.active(found.id):
            raise invalid(f"Application {found.id} has active job runs: they must be completed or cancelled first")
        if found.state == "STARTED":
            self.to(found, "STOPPING")
        return {}

    def _delete_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.to(self._application(asked, *AT_REST), "TERMINATED")
        return {}

    def _application(self, asked: Mapping[str, Any], *states: str) -> Application:
        """An application, in one of these states, if any are named."""
        found = self.applications.get(asked["applicationId"])
        if found is None or found.state == "TERMINATED":
            raise absent(f"Application {asked['applicationId']} does not exist")
        if states and found.state not in states:
            raise invalid(f"Application {found.id} is in {found.state} state: it must be {' or '.join(states)}")
        return found

    def _accept(self, job: Job) -> None:
        """Refuse a run that cannot run; else its application starts.

        It gets no executors if they and the driver are more than the application may have.
        """
        found, job.timeout = self._application(job.request), job.request.get("executionTimeoutMinutes", 720)
        _, *executors = sized = workers(job.properties)
        most = found.settings.get("maximumCapacity", {})
        if all(
            sum(getattr(each, name) for each in sized) <= int("".join(filter(str.isdigit, most[name]))) for name in most
        ):
            job.slots = sum(each.cpu for each in executors)
        job.image = found.setting("imageConfiguration", "imageUri", "")
        self._start_application(job.request)

    def _wait(self, job: Job) -> Iterator[None]:
        """Wait until the application has started and is free for one more run; not for ever."""
        found, timings = self.applications[job.parent], self.settings.timings
        while (full := self._full(found)) or found.state != "STARTED":
            if full and job.state == "SUBMITTED":
                self.to(job, "QUEUED")
            elif full and self.now - job.since >= timings.minute * found.setting(
                "schedulerConfiguration", "queueTimeoutMinutes", 360
            ):
                raise EndedError("FAILED", "Job run exceeded the queue timeout")
            yield

    def _full(self, found: Application) -> bool:
        occupying = [job for job in self.active(found.id) if job.state not in WAITING]
        return len(occupying) >= int(found.setting("schedulerConfiguration", "maxConcurrentRuns", 15))

    def _describe(self, job: Job) -> dict[str, Any]:
        """With what only this service says of a run; the bill follows some time after the end."""
        more: dict[str, Any] = {"mode": "BATCH", "stateDetails": job.details or "-"}
        if job.image:
            more["imageConfiguration"] = {"imageUri": job.image, "resolvedImageDigest": job.digest}
        if job.started and job.over:
            ran, sized = job.since - job.started, workers(job.properties)
            if self.now - job.since >= self.settings.timings.billing:
                more["billedResourceUtilization"] = _hours(sized, max(ran, _LEAST))
        return {**super()._describe(job), **more}


def _show(found: Application) -> dict[str, Any]:
    return {**found.settings, "type": "Spark", **dict.fromkeys(("applicationId", "id"), found.id), "state": found.state}


def _hours(sized: Sequence[Worker], seconds: float) -> dict[str, float]:
    """What workers take in so many seconds, as bills have it."""
    cpu, memory = sum(each.cpu for each in sized), sum(each.memory for each in sized)
    taken = {"vCPUHour": cpu, "memoryGBHour": memory, "storageGBHour": sum(each.disk - _FREE_DISK for each in sized)}
    return {name: round(value * seconds / 3600, 3) for name, value in taken.items()}


class Containers(Emr):
    """EMR on EKS, with whatever virtual cluster is named; it has no applications, and no cap."""

    target, driver_logs = EKS, "containers/spark-{run}/spark-{run}-driver"
    states = dict.fromkeys(WAITING, "PENDING") | {
        "SCHEDULED": "SUBMITTED",
        "CANCELLING": "CANCEL_PENDING",
        "SUCCESS": "COMPLETED",
    }

    def _accept(self, job: Job) -> None:
        instances, cores = (job.properties.get(f"spark.executor.{name}") for name in ("instances", "cores"))
        job.slots = int(instances or 2) * int(cores or 1)
        job.image = job.properties.get(self.target.image_property or "", "")

    def _wait(self, job: Job) -> Iterator[None]:
        yield from ()


def workers(properties: Mapping[str, str]) -> list[Worker]:
    """The driver and the executors that these properties start with; `ServiceException` if there are no such workers.

    As in Spark, the start is the greatest of three numbers, and maxExecutors does not limit it.
    """
    least = {"spark.executor.instances": 3}
    if properties.get("spark.dynamicAllocation.enabled", "true").lower() == "true":
        least |= {"spark.dynamicAllocation.initialExecutors": 3, "spark.dynamicAllocation.minExecutors": 0}
    count = max(int(properties.get(name, number)) for name, number in least.items())
    return [_worker("driver", properties), *[_worker("executor", properties)] * count]


def _worker(role: str, properties: Mapping[str, str]) -> Worker:
    cores = int(properties.get(f"spark.{role}.cores", 4))
    heap, disk = properties.get(f"spark.{role}.memory", "14g"), f"spark.emr-serverless.{role}.disk"
    overhead = properties.get(f"spark.{role}.memoryOverhead")
    memory = fitting_memory(cores, parse_memory(heap) >> 20, parse_memory(overhead) >> 20 if overhead else None)
    if memory is None:
        raise invalid(f"{role}: {cores} cores with {heap} and overhead: no supported worker configuration")
    return Worker(cpu=cores, memory=memory, disk=parse_memory(properties.get(disk, "20g")) >> 30)
