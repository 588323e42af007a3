"""What both EMR services have in common: backends in the place of moto's, and runs with processes and logs.

moto routes and parses the calls by botocore's models, and writes the answers by them: of what is answered too much,
each call takes what its model has. The states of a run are EMR Serverless' names, which EMR on EKS translates.
"""

import gzip
import secrets
import shlex
import tomllib
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from botocore import xform_name
from moto import backends
from moto.core.base_backend import BaseBackend
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends

from orchard_deploy.rehearsal.settings import LOCK, Order, Refusal, Settings, absent, invalid, not_rehearsed
from orchard_deploy.targets import Target

# Of all calls, what the rehearsal acts on.
KNOWN: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("inputs.toml").read_text(encoding="utf-8"))
WAITING, FINAL = ("SUBMITTED", "QUEUED"), ("SUCCESS", "FAILED", "CANCELLED")
# What a driver writes whose executors never come.
_STARVED = (
    b"ERROR ExecutorContainerAllocator: Failed to allocate worker: ApplicationMaxCapacityExceededException: "
    b"Worker could not be allocated as the application has exceeded maximumCapacity settings\n"
)


@dataclass(kw_only=True)
class Job(Order):
    """One run of an application or virtual cluster, `parent`, by the input `request`; attempts are counted from 1.

    `life` takes it, step by step, from state to state; it is in this one `since` then.
    """

    id: str
    since: float
    parent: str
    request: Mapping[str, Any]
    state: str = "SUBMITTED"
    details: str = ""
    created: float = 0.0
    started: float | None = None
    attempts: int = 1
    attempt: int = 1
    timeout: int | None = None
    digest: str = ""
    life: Any = None
    running: Any = None

    over = property(lambda job: job.state in FINAL)


class EndedError(Exception):
    """A run ends before its process does, or badly: the state that it comes to, and why."""


class Emr(BaseBackend):
    """One service in one region; a method `_name_of_call` answers each call that is answered.

    A subclass refuses a run or completes what it knows of it (`_accept`), and lets one wait that has to (`_wait`).
    """

    settings: ClassVar[Settings]
    target: ClassVar[Target]
    # Where a driver's logs are below those of its run; EMR Serverless' names of states -> this service's.
    driver_logs: ClassVar[str]
    states: ClassVar[Mapping[str, str]] = {}
    _accept: Any
    _wait: Any

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.jobs: dict[str, Job] = {}
        self._answered: dict[str | None, Any] = {}

    @property
    def _url_module(self) -> Any:
        def handle(request: Any, full_url: str, headers: Any) -> Any:
            return _Response(self.target.service)._dispatch(request, full_url, headers)

        base = rf"https?://{self.target.service}\.(.+)\.amazonaws\.com"
        return SimpleNamespace(url_bases=[base], url_paths={"{0}/(?P<path>.+)$": handle})

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.settings.clock()

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer a call, a second one with the same client token as the first; or raise `ServiceException`."""
        with LOCK:
            method = getattr(self, f"_{xform_name(operation)}", None)
            if method is None:
                raise not_rehearsed(operation)
            check_input(operation, asked)
            token = asked.get("clientToken")
            before, answered = self._answered.get(token, (asked, None))
            if before != asked:
                raise Refusal("ConflictException", f"clientToken {token} was used with another input")
            answer: dict[str, Any] = answered or method(asked)
            if token:
                self._answered[token] = asked, answer
            return answer

    def tick(self) -> None:
        """Let every run become what it is by now."""
        for job in list(self.jobs.values()):
            if not job.over:
                next(job.life, None)

    def reset(self) -> None:
        """End every process, and forget everything; a call that is still being answered comes before or after."""
        with LOCK:
            for job in self.jobs.values():
                job.life.close()
            super().reset()

    def to(self, found: Any, state: str) -> None:
        """Let an application or a run come to another state."""
        found.state, found.since = state, self.now

    def active(self, parent: str) -> list[Job]:
        """The runs of an application or virtual cluster that are not over."""
        return [job for job in self.jobs.values() if job.parent == parent and not job.over]

    def _start_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, now, submit = secrets.token_hex(8), self.now, asked["jobDriver"][self.target.driver_key]
        job = Job(
            id=name,
            since=now,
            created=now,
            parent=asked[self.target.place_key],
            request=asked,
            properties=properties_of(asked, self.target.driver_key),
            entry_point=submit["entryPoint"],
            arguments=tuple(submit.get("entryPointArguments", ())),
            attempts=asked.get(self.target.retry_key, {}).get("maxAttempts", 1),
        )
        self._accept(job)
        job.digest = job.image.partition("@")[2]
        job.life, self.jobs[name] = self._live(job), job
        next(job.life)
        return self._describe(job)

    def _get_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"jobRun": self._describe(self._job(asked))}

    _describe_job_run = _get_job_run

    def _list_job_runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        place = asked[self.target.place_key]
        found = [self._describe(job) for job in reversed(self.jobs.values()) if job.parent == place]
        return {"jobRuns": [each for each in found if each["state"] in asked.get("states", each["state"])]}

    def _cancel_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self._job(asked)
        if job.over:
            raise invalid(f"Job run {job.id} is in {job.state} state and cannot be cancelled")
        if job.state != "CANCELLING":
            job.life.throw(EndedError("CANCELLED", "Job run is being cancelled"))
        return asked

    def _job(self, asked: Mapping[str, Any]) -> Job:
        job = self.jobs.get(asked[self.target.run_key])
        if job is None or job.parent != asked[self.target.place_key]:
            raise absent(f"Job run {asked[self.target.run_key]} does not exist")
        return job

    def _describe(self, job: Job) -> dict[str, Any]:
        return {
            **job.request,
            **dict.fromkeys((self.target.run_key, "id"), job.id),
            "createdAt": job.created,
            "startedAt": job.started,
            "endedAt": job.since if job.over else None,
            "executionRole": job.request["executionRoleArn"],
            "state": self.states.get(job.state, job.state),
            "stateDetails": job.details or None,
        }

    def _live(self, job: Job) -> Iterator[None]:
        """What becomes of a run, step by step: each look at it is a `next`."""
        state = "SUCCESS"
        try:
            yield
            yield from self._wait(job)
            while code := (yield from self._run(job)):
                if job.attempt == job.attempts:
                    logs = "please check complete logs in configured logging destination"
                    raise EndedError("FAILED", f"Job failed, {logs}. ExitCode: {code}")
                job.attempt += 1
        except EndedError as ended:
            state, job.details = ended.args
            if state == "CANCELLED":
                yield from self._stay(job, "CANCELLING", "cancelling")
        self.to(job, state)

    def _stay(self, job: Job, state: str, timing: str) -> Iterator[None]:
        self.to(job, state)
        while self.now - job.since < getattr(self.settings.timings, timing):
            yield

    def _run(self, job: Job) -> Generator[None, None, int]:
        """An attempt, and its exit code; one whose executors never come waits for ever."""
        yield from self._stay(job, "PENDING", "scheduling")
        yield from self._stay(job, "SCHEDULED", "provisioning")
        self.to(job, "RUNNING")
        job.started, delivered = job.started or self.now, self.now
        job.running = self.settings.run(job) if job.slots else None
        try:
            while True:
                yield
                code: int | None = job.running.exit_code() if job.running else None
                if code is not None:
                    return code
                if self.now - delivered >= self.settings.timings.logging:
                    self._deliver(job)
                    delivered = self.now
                if job.timeout and self.now - job.since >= job.timeout * self.settings.timings.minute:
                    details = f"Job run exceeded its execution timeout of {job.timeout} minutes"
                    raise EndedError("CANCELLED", details)
        finally:
            if job.running:
                job.running.stop()
                self._deliver(job)
                job.running.close()

    def _deliver(self, job: Job) -> None:
        """Write the driver's logs to S3 as they are now; with their bucket gone they are lost."""
        monitoring = job.request.get("configurationOverrides", {}).get("monitoringConfiguration", {})
        uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri", "").rstrip("/")
        attempt = f"attempts/{job.attempt}/" if job.attempts > 1 else ""
        folder = self.target.logs.format(place=job.parent, run=job.id)
        prefix = f"{uri}/{folder}/{self.driver_logs.format(run=job.id, attempt=attempt)}"
        bucket, _, key = prefix.removeprefix("s3://").partition("/")
        output = job.running.output() if job.running else {"stderr": _STARVED}
        for stream, text in output.items() if uri else ():
            content = gzip.compress(text, 1, mtime=0)
            with suppress(MissingBucket):
                s3_backends[self.account_id][self.partition].put_object(bucket, f"{key}/{stream}.gz", content)


class _Response(BaseResponse):
    """A call of one of the services: parsed and answered by botocore's model of it."""

    def __init__(self, service: str) -> None:
        super().__init__(service_name=service)
        self.automated_parameter_parsing = True

    def call_action(self) -> Any:
        """Let the backend answer."""
        backend: Any = backends.get_backend(self.service_name)[self.current_account][self.region]  # type: ignore[call-overload]
        # An absent list in the query is parsed as an empty one.
        asked = {name: value for name, value in self.params.items() if value not in ([], None)}
        try:
            answer = backend.answer(self._get_action(), asked)
        except ServiceException as refusal:
            answer = refusal
        return self.serialized(ActionResult(answer))


def check_input(operation: str, asked: Mapping[str, Any]) -> None:
    """Raise `ServiceException` for an input that the rehearsal does not act on."""
    if strangers := sorted(set(_strangers(KNOWN, asked))):
        raise not_rehearsed(f"{operation}: {', '.join(strangers)}")


def _strangers(known: Any, value: Any, where: str = "") -> Iterator[str]:
    """The members of an input, by their paths, that are not known, or not with this value."""
    if known == "":
        return
    if isinstance(value, list):
        for item in value:
            yield from _strangers(known, item, where)
    elif isinstance(value, dict):
        for name, item in value.items():
            path = f"{where}.{name}".lstrip(".")
            yield from _strangers(known[name], item, path) if name in known else [path]
    elif value != known:
        yield f"{where} {value}"


def properties_of(asked: Mapping[str, Any], driver: str) -> dict[str, str]:
    """The Spark properties of a StartJobRun: those of the submit parameters win over those of the configuration."""
    found: dict[str, str] = {}
    for part in asked.get("configurationOverrides", {}).get("applicationConfiguration", ()):
        found.update(part.get("properties", {}))
    words = shlex.split(asked["jobDriver"][driver].get("sparkSubmitParameters", ""))
    if strangers := set(words[::2]) - {"--conf"}:
        raise not_rehearsed(f"sparkSubmitParameters: {', '.join(sorted(strangers))}")
    return found | dict(setting.partition("=")[::2] for setting in words[1::2])
