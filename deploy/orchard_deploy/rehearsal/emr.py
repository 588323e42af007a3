"""What both EMR services have in common: backends in the place of moto's, and runs with processes and logs.

moto routes and parses the calls by botocore's models, and writes the answers by them: of what is answered too much,
each call takes what its model has.
"""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from threading import RLock
from types import SimpleNamespace
from typing import Any, ClassVar

from botocore import xform_name
from moto.core.base_backend import BaseBackend
from moto.core.utils import get_service_model
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends

from orchard_deploy.rehearsal import machines
from orchard_deploy.rehearsal.inputs import Response, check_input, properties_of
from orchard_deploy.rehearsal.machines import Job
from orchard_deploy.rehearsal.settings import Order, Refusal, Settings, absent, not_rehearsed

# What a driver writes, for ever, whose executors are more than there may be.
_STARVED = (
    b"ERROR ExecutorContainerAllocator: Failed to allocate worker: ApplicationMaxCapacityExceededException: "
    b"Worker could not be allocated as the application has exceeded maximumCapacity settings\n"
)


class Emr(BaseBackend):
    """One service in one region; a method `_name_of_call` answers each call that is answered."""

    settings: ClassVar[Settings]
    # As calls name the service, what a run belongs to, a run and the job; the former in ARNs; the folder of a run's
    # logs; EMR Serverless' names of a run's states -> this service's, where they differ.
    service = parent = run = driver = path = logs = ""
    states: ClassVar[Mapping[str, str]] = {}
    # A subclass knows what of a run is refused and how long and how often it may run, what its next step depends on,
    # its image, the slots of its executors (0: they never come), and what else there is to say of it.
    _accept: Any
    _around: Any
    _image: Any
    _slots: Any
    _more: Any

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.lock = RLock()
        self.jobs: dict[str, Job] = {}
        self._running: dict[str, Any] = {}
        self._delivered: dict[str, float] = {}
        self._answered: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}

    @property
    def _url_module(self) -> Any:
        base = rf"https?://{self.service}\.(.+)\.amazonaws\.com"
        return SimpleNamespace(url_bases=[base], url_paths={"{0}/(?P<path>.+)$": self._handle})

    def _handle(self, request: Any, full_url: str, headers: Any) -> Any:
        return Response(self.service)._dispatch(request, full_url, headers)

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.settings.clock()

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer a call; a second one with the same client token as the first.

        Raises:
            ServiceException: as the service would, or because the rehearsal does not know the call or its input.
        """
        with self.lock:
            self.tick()
            method = getattr(self, f"_{xform_name(operation)}", None)
            if method is None:
                raise not_rehearsed(operation)
            check_input(get_service_model(self.service).operation_model(operation), asked)
            key, text = (operation, asked.get("clientToken", "")), json.dumps(asked, sort_keys=True)
            before, answered = self._answered.get(key, (text, {}))
            if before != text:
                raise Refusal("ConflictException", f"clientToken {key[1]} was used with another input")
            answered = answered or method(asked)
            if key[1]:
                self._answered[key] = text, answered
            return answered

    def tick(self) -> None:
        """Let every run become what it is by now."""
        with self.lock:
            for job in [job for job in self.jobs.values() if not job.over]:
                self._move(job)

    def reset(self) -> None:
        """End every process, and forget everything; a call that is still being answered comes before or after."""
        with self.lock:
            for running in self._running.values():
                running.stop()
                running.close()
            super().reset()

    def arn(self, parent: str, run: str = "") -> str:
        """The ARN of what runs belong to, or of a run."""
        found = f"arn:{self.partition}:{self.service}:{self.region_name}:{self.account_id}:/{self.path}/{parent}"
        return f"{found}/jobruns/{run}" if run else found

    def active(self, parent: str) -> list[Job]:
        """The runs of an application or virtual cluster that are not over."""
        return [job for job in self.jobs.values() if job.parent == parent and not job.over]

    def put(self, job: Job) -> None:
        """Take a run in, or its new state."""
        self.jobs[job.id] = job
        if job.state in ("CANCELLING", "CANCELLED") and job.id in self._running:
            self._running[job.id].stop()

    def _start_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        limits, now, name = self._accept(asked), self.now, secrets.token_hex(8)
        job = Job(id=name, parent=asked[self.parent], request=asked, created=now, since=now, **limits)
        self.put(replace(job, tags=asked.get("tags", {}), digest=(self._image(asked) or "").partition("@")[2] or None))
        return self._describe(self.jobs[name])

    def _get_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"jobRun": self._describe(self._job(asked))}

    _describe_job_run = _get_job_run

    def _list_job_runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = sorted(self.jobs.values(), key=lambda job: -job.created)
        return listed([self._describe(job) for job in found if job.parent == asked[self.parent]], asked, "jobRuns")

    def _cancel_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.put(machines.cancel(self._job(asked), self.now))
        return asked

    def _job(self, asked: Mapping[str, Any]) -> Job:
        job = self.jobs.get(asked[self.run])
        if job is None or job.parent != asked[self.parent]:
            raise absent(f"Job run {asked[self.run]} does not exist")
        return job

    def _describe(self, job: Job) -> dict[str, Any]:
        return {
            **job.request,
            **dict.fromkeys((self.run, "id"), job.id),
            "arn": self.arn(job.parent, job.id),
            "createdAt": job.created,
            "updatedAt": job.since,
            "startedAt": job.started,
            **dict.fromkeys(("endedAt", "finishedAt"), job.ended),
            "executionRole": job.request["executionRoleArn"],
            "state": self.states.get(job.state, job.state),
            "stateDetails": job.details or None,
            "failureReason": "USER_ERROR" if job.state == "FAILED" else None,
            "attempt": job.attempt,
            "executionTimeoutMinutes": job.timeout,
            "tags": dict(job.tags),
            **self._more(job),
        }

    def _move(self, job: Job) -> None:
        running, around = self._running.get(job.id), self._around(job)
        if running and job.state == "RUNNING":
            around = {"code": running.exit_code()}
            if self.now - self._delivered.get(job.id, job.since) >= self.settings.timings.logging:
                self._deliver(job, running)
        moved = machines.advance_job(job, self.now, self.settings.timings, **around)
        if moved == job:
            return
        if running and job.state in ("RUNNING", "CANCELLING"):
            self._deliver(job, running)
        if moved.state == "RUNNING":
            self._running[job.id] = self._begin(moved)
        self.put(moved)
        if running and (moved.over or moved.state == "PENDING"):
            self._running.pop(job.id).close()

    def _begin(self, job: Job) -> Any:
        """Start a run's process; one whose executors never come waits for ever."""
        properties, submit = properties_of(job.request, self.driver), job.request["jobDriver"][self.driver]
        if not (slots := self._slots(job, properties)):
            never, output = (lambda: None), {"stdout": b"", "stderr": _STARVED}
            return SimpleNamespace(exit_code=never, output=lambda: output, stop=never, close=never)
        image, arguments = self._image(job.request) or "", tuple(submit.get("entryPointArguments", ()))
        named, entry = image.partition("/")[2] or None, submit["entryPoint"]
        order = Order(image=named, entry_point=entry, arguments=arguments, properties=properties, slots=slots)
        return self.settings.run(order)

    def _deliver(self, job: Job, running: Any) -> None:
        """Write the driver's logs to S3 as they are now; with their bucket gone they are lost."""
        self._delivered[job.id] = self.now
        monitoring = job.request.get("configurationOverrides", {}).get("monitoringConfiguration", {})
        uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri", "").rstrip("/")
        attempt = f"attempts/{job.attempt}/" if job.attempts > 1 else ""
        bucket, _, prefix = f"{uri}/{self.logs.format(job, attempt)}".removeprefix("s3://").partition("/")
        for stream, text in running.output().items() if uri else ():
            try:
                content = gzip.compress(text, 1, mtime=0)
                s3_backends[self.account_id][self.partition].put_object(bucket, f"{prefix}/{stream}.gz", content)
            except MissingBucket:
                return


def listed(items: list[dict[str, Any]], asked: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Those in the requested states, on one page."""
    return {key: [each for each in items if each["state"] in asked.get("states", each["state"])]}
