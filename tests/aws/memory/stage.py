"""The services in memory together: clients as boto3's, runs that are scripted, and a clock that waiting moves on."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.parsers import create_parser

from deploy.rehearsal.containers import Containers
from deploy.rehearsal.faults import Faults
from deploy.rehearsal.orders import Order
from deploy.rehearsal.protocol import RefusalError, invalid, problems
from deploy.rehearsal.serverless import Serverless
from deploy.rehearsal.service import Service
from deploy.rehearsal.timings import Timings
from deploy.rehearsal.world import World
from deploy.waiting import Pace
from tests.aws.memory.account import S3, Ecr, Iam, Images, Sts

# S3's calls are noted by their HTTP method, as over HTTP.
_METHODS = {"head": "HEAD", "get": "GET", "list": "GET", "put": "PUT", "create": "PUT"}


class Clock:
    """Seconds since 1970; whoever sleeps moves it on."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now += 1e-4  # so that whoever looks without sleeping gets on, too
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Script:
    """A few lines of Python as an attempt: run at once, in this process, and shown at the clock's own time.

    What it sleeps is only added up: each piece of output, and its end, comes when that much time has passed.
    """

    def __init__(self, code: str, clock: Clock, order: Order) -> None:
        self._clock, self._began, self._slept = clock, clock(), 0.0
        self._written: list[tuple[float, str, bytes]] = []
        self._stopped = False
        self._code = self._run(code, [order.entry_point, *order.arguments])

    def _run(self, code: str, argv: list[str]) -> int:
        streams = SimpleNamespace(out=_Stream(self, "stdout"), err=_Stream(self, "stderr"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", argv)
            patch.setattr(time, "sleep", self._sleep)
            with contextlib.redirect_stdout(streams.out), contextlib.redirect_stderr(streams.err):
                try:
                    exec(code, {"__name__": "__main__"})
                except SystemExit as exc:
                    return int(exc.code or 0)
        return 0

    def _sleep(self, seconds: float) -> None:
        self._slept += seconds

    def note(self, stream: str, text: str) -> None:
        """Something was written."""
        self._written.append((self._slept, stream, text.encode()))

    def exit_code(self) -> int | None:
        if self._stopped:
            return 143
        return self._code if self._passed() >= self._slept else None

    def output(self) -> Mapping[str, bytes]:
        passed = self._passed()
        return {
            name: b"".join(text for at, stream, text in self._written if stream == name and at <= passed)
            for name in ("stdout", "stderr")
        }

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        pass

    def _passed(self) -> float:
        return self._clock() - self._began


class _Stream(io.TextIOBase):
    def __init__(self, script: Script, name: str) -> None:
        self._script, self._name = script, name

    def write(self, text: str) -> int:
        self._script.note(self._name, text)
        return len(text)


@cache
def _camel(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


def _clean(model: ServiceModel, operation: str, encoded: bytes) -> dict[str, Any]:
    """An answer as boto3 gives it: moments as such."""
    parser = create_parser(model.metadata["protocol"])
    shape = model.operation_model(operation).output_shape
    found: dict[str, Any] = parser.parse({"status_code": 200, "headers": {}, "body": encoded}, shape)
    return found


@dataclass
class Client:
    """One service as boto3 offers it.

    Attributes:
        known: the calls that there are, by boto3's names.
        meet: notes a call, and lets it go wrong if that was planned.
    """

    known: Callable[[str], Callable[..., dict[str, Any]]]
    meet: Callable[[str], None]

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        if operation.startswith("_"):
            raise AttributeError(operation)
        return partial(self._call, operation)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            self.meet(operation)
            return self.known(operation)(**parameters)
        except RefusalError as refusal:
            mute = operation == "head_bucket"  # S3 answers a HEAD without text
            code, text = (str(refusal.status), "Forbidden") if mute else (refusal.code, refusal.message)
            answer = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": refusal.status}}
            raise ClientError(answer, _camel(operation)) from refusal

    def get_paginator(self, operation: str) -> Any:
        """Pages, as long as an answer names a next one."""
        return SimpleNamespace(paginate=partial(self._pages, operation))

    def _pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        page = self._call(operation, **parameters)
        yield page
        while "nextToken" in page:
            page = self._call(operation, **parameters, nextToken=page["nextToken"])
            yield page


class MemoryWorld(World):
    """The rest of the account, as the EMR services see it."""

    def __init__(self, region: str, images: Images, client: Callable[[str], Any]) -> None:
        self.region, self._images = region, images  # type: ignore[assignment]
        self._ecr, self._iam, self._s3 = (client(name) for name in ("ecr", "iam", "s3"))


@dataclass
class MemoryStage:
    """AWS in memory, with what the tests look at behind the scenes."""

    region: str
    job: str
    timings: Timings
    clusters: frozenset[str]
    tags: set[str]
    full: int = 128 << 20
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.images = Images(self.tags)
        ecr, s3 = Ecr(self.region, self.images), S3(self.region, self.clock)
        self._others: dict[str, Any] = {"ecr": ecr, "iam": Iam(), "s3": s3, "sts": Sts()}
        self.world = MemoryWorld(self.region, self.images, self.behind)
        shared = {"region": self.region, "world": self.world, "timings": self.timings, "clock": self.clock}
        runner = SimpleNamespace(start=partial(Script, self.job, self.clock))
        self.serverless = Serverless(runner=runner, full=self.full, **shared)  # type: ignore[arg-type]
        self.containers = Containers(runner=runner, clusters=self.clusters, **shared)  # type: ignore[arg-type]

    @property
    def pace(self) -> Pace:
        """Waiting that takes no time."""
        return Pace(first=0.02, longest=0.1, clock=self.clock, sleep=self.clock.sleep)

    def client(self, service: str) -> Client:
        """A client as the launchers have it."""
        return Client(self._known(service), lambda operation: self._meet(service, operation))

    def behind(self, service: str) -> Client:
        """A client that is not noted and never fails, to look behind the scenes."""
        return Client(self._known(service), lambda operation: None)

    def tick(self) -> None:
        """Let everything become what it is by now."""
        for service in (self.serverless, self.containers):
            service.tick()

    def _meet(self, service: str, operation: str) -> None:
        method = _METHODS.get(operation.partition("_")[0], "DELETE")
        self.faults.meet(service, method if service == "s3" else _camel(operation))

    def _known(self, service: str) -> Callable[[str], Callable[..., dict[str, Any]]]:
        if service in self._others:
            return partial(getattr, self._others[service])
        own = {each.name: each for each in (self.serverless, self.containers)}[service]
        return lambda operation: partial(self._answer, own, _camel(operation))

    @staticmethod
    def _answer(service: Service, operation: str, **parameters: Any) -> dict[str, Any]:
        model = service.protocol.model
        shape = model.operation_model(operation).input_shape
        asked = json.loads(json.dumps(parameters))
        if shape and (problem := next(problems(shape, asked), None)):
            raise invalid(problem)
        answer = service.protocol.encode(operation, service.answer(operation, asked))
        return _clean(model, operation, answer)
