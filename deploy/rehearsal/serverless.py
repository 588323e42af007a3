"""EMR Serverless' answers, as far as Orchard asks."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from deploy.rehearsal import applications, jobs
from deploy.rehearsal.applications import Application
from deploy.rehearsal.describing import (
    arn,
    describe_application,
    describe_run,
    submitted_properties,
    summarize_application,
    summarize_run,
)
from deploy.rehearsal.jobs import Job, Surroundings
from deploy.rehearsal.orders import Running, Starved
from deploy.rehearsal.paging import page_of
from deploy.rehearsal.protocol import RefusalError, invalid
from deploy.rehearsal.service import Calls, Service, log_uri
from deploy.rehearsal.shipping import serverless_prefix, ship
from deploy.rehearsal.sizing import sizing


@dataclass
class Serverless(Service):
    """The service.

    Attributes:
        full: bytes that fill a log file.
        digests: of applications that resolved their image's tag when they started.
    """

    name: ClassVar[str] = "emr-serverless"
    full: int = 128 << 20
    applications: dict[str, Application] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._summary = self.protocol.model.shape_for("JobRunSummary").members.keys()

    def calls(self) -> Calls:
        """The calls that it knows, by operation."""
        return {
            "CreateApplication": self._create_application,
            "GetApplication": lambda asked: {"application": self._describe(self._application(asked).id)},
            "ListApplications": self._list_applications,
            "UpdateApplication": self._update_application,
            "StartApplication": self._start_application,
            "StopApplication": self._stop_application,
            "DeleteApplication": self._delete_application,
            "TagResource": self._tag_application,
            "StartJobRun": self._start_job_run,
            "GetJobRun": lambda asked: {"jobRun": self._describe_run(self._job(asked))},
            "ListJobRuns": self._list_job_runs,
            "CancelJobRun": self._cancel_job_run,
        }

    def tick(self) -> None:
        """Move applications and runs on to now."""
        with self.lock:
            self._move_applications(self.clock())
            super().tick()

    def _move_applications(self, now: float) -> None:
        for application in list(self.applications.values()):
            busy = bool(self.floor.active(application.id))
            moved = applications.advance(application, now, self.timings, busy=busy)
            if moved.state == "STARTED" and application.state != "STARTED" and moved.image:
                with contextlib.suppress(RefusalError):  # its image is gone meanwhile: the next run is refused for that
                    self.digests[moved.id] = self.world.digest(moved.image)
            self.applications[application.id] = moved

    # Applications

    def _create_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        made = self.tokens.known("CreateApplication", asked) or self._new_application(asked)
        self.tokens.keep("CreateApplication", asked, made)
        return {"applicationId": made, "name": asked.get("name", ""), "arn": arn(self.region, made)}

    def _new_application(self, asked: dict[str, Any]) -> str:
        self._check_image(asked)
        now, name = self.clock(), f"00f{secrets.token_hex(6)}"
        settings = {key: value for key, value in asked.items() if key not in ("clientToken", "tags")}
        self.applications[name] = Application(
            id=name, settings=settings, tags=asked.get("tags", {}), created=now, updated=now, since=now, idle=now
        )
        return name

    def _update_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._application(asked)
        if not self.tokens.known("UpdateApplication", asked):
            self._change(found, asked)
        self.tokens.keep("UpdateApplication", asked, found.id)
        return {"application": self._describe(found.id)}

    def _change(self, found: Application, asked: dict[str, Any]) -> None:
        self._check_image(asked)
        settings = {key: value for key, value in asked.items() if key not in ("clientToken", "applicationId")}
        self.applications[found.id] = applications.update(found, settings, self.clock())
        self.digests.pop(found.id, None)

    def _check_image(self, asked: dict[str, Any]) -> None:
        image = asked.get("imageConfiguration", {}).get("imageUri")
        if image:
            self.world.digest(image)

    def _list_applications(self, asked: dict[str, Any]) -> dict[str, Any]:
        states = asked.get("states")
        found = [each for each in self.applications.values() if not states or each.state in states]
        items, more = page_of(found, asked)
        listed = [summarize_application(each, self.region) for each in items]
        return {"applications": listed, **more}

    def _start_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._application(asked)
        self.applications[found.id] = applications.start(found, self.clock())
        return {}

    def _stop_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._application(asked)
        self.applications[found.id] = applications.stop(found, self.clock(), busy=bool(self.floor.active(found.id)))
        return {}

    def _delete_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._application(asked)
        self.applications[found.id] = applications.delete(found, self.clock())
        return {}

    def _tag_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._application({"applicationId": asked["resourceArn"].partition(":/applications/")[2]})
        if asked["resourceArn"] != arn(self.region, found.id):
            raise RefusalError("ResourceNotFoundException", f"Resource {asked['resourceArn']} does not exist", 404)
        self.applications[found.id] = replace(found, tags={**found.tags, **asked["tags"]})
        return {}

    def _application(self, asked: dict[str, Any]) -> Application:
        found = self.applications.get(asked["applicationId"])
        if found is None or found.state == "TERMINATED":
            raise RefusalError("ResourceNotFoundException", f"Application {asked['applicationId']} does not exist", 404)
        return found

    def _describe(self, application: str) -> dict[str, Any]:
        return describe_application(self.applications[application], self.region, self.digests.get(application))

    # Runs

    def _start_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._application(asked)
        made = self.tokens.known("StartJobRun", asked) or self._new_run(found, asked)
        self.tokens.keep("StartJobRun", asked, made)
        return {"applicationId": found.id, "jobRunId": made, "arn": arn(self.region, found.id, made)}

    def _new_run(self, found: Application, asked: dict[str, Any]) -> str:
        if found.state not in ("STARTING", "STARTED") and not (
            found.starts_itself and found.state in applications.AT_REST
        ):
            raise invalid(f"Application {found.id} is in {found.state} state and takes no job runs")
        if asked.get("executionTimeoutMinutes", 720) < 5:
            raise invalid("executionTimeoutMinutes: at least 5")
        self.world.check_role(asked["executionRoleArn"])
        sizing(submitted_properties(asked))
        digest = self._digest(found)
        self.applications[found.id] = applications.start(found, self.clock())
        now, name = self.clock(), f"00r{secrets.token_hex(6)}"
        self.floor.put(
            Job(
                id=name,
                place=found.id,
                request=asked,
                digest=digest,
                created=now,
                since=now,
                attempts=asked.get("retryPolicy", {}).get("maxAttempts", 1),
                timeout=asked.get("executionTimeoutMinutes", 720),
                tags=asked.get("tags", {}),
            )
        )
        return name

    def _digest(self, found: Application) -> str | None:
        """Up to release 7.13 a tag is resolved when the application starts, and stays so until it is stopped."""
        if found.image is None:
            return None
        early = found.settings["imageConfiguration"].get(
            "applicationLevelDigestResolution", _resolves_early(found.settings["releaseLabel"])
        )
        if early and found.state == "STARTED" and found.id in self.digests:
            return self.digests[found.id]
        return self.world.digest(found.image)

    def _list_job_runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        states = asked.get("states")
        place = self._application(asked).id
        found = [
            job for job in self.floor.jobs.values() if job.place == place and (not states or job.stage.value in states)
        ]
        items, more = page_of(sorted(found, key=lambda job: job.created, reverse=True), asked)
        described = [summarize_run(job.id, self._describe_run(job), self._summary) for job in items]
        return {"jobRuns": described, **more}

    def _cancel_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self._job(asked)
        if job.stage.final:
            raise invalid(f"Job run {job.id} is in {job.stage.value} state and cannot be cancelled")
        self.floor.put(jobs.cancel(job, self.clock()))
        return {"applicationId": job.place, "jobRunId": job.id}

    def _job(self, asked: dict[str, Any]) -> Job:
        job = self.floor.jobs.get(asked["jobRunId"])
        if job is None or job.place != self._application(asked).id:
            raise RefusalError("ResourceNotFoundException", f"Job run {asked['jobRunId']} does not exist", 404)
        return job

    def _describe_run(self, job: Job) -> dict[str, Any]:
        billed = job.ended is not None and self.clock() - job.ended >= self.timings.billing
        return describe_run(job, self.applications[job.place], self.region, billed=billed)

    # The floor's questions

    def around(self, job: Job) -> Surroundings:
        """Whether the application is ready, and free for one run more."""
        found = self.applications[job.place]
        return Surroundings(
            ready=found.state == "STARTED",
            free=len(self.floor.occupying(job.place)) < found.concurrent_runs,
            queue_minutes=found.queue_minutes,
        )

    def begin(self, job: Job) -> Running:
        """Start a run's process, on all slots of its executors.

        One that the application's capacity cannot hold waits for ever.
        """
        found, properties = self.applications[job.place], submitted_properties(job.request)
        sized = sizing(properties)
        if found.maximum and not sized.total <= found.maximum:
            return Starved(str(found.maximum), self.clock)
        slots = sized.executors * sized.executor.cpu
        return self.start(
            job, job.request["jobDriver"]["sparkSubmit"], image=found.image, properties=properties, slots=slots
        )

    def deliver(self, job: Job, running: Running) -> None:
        """Write a run's logs to S3."""
        if uri := log_uri(job):
            ship(job, serverless_prefix(uri, job), running.output(), self.world.write_log, full=self.full)


def _resolves_early(release: str) -> bool:
    version = release.rpartition("-")[2].split(".")
    return (int(version[0]), int(version[1])) <= (7, 13)
