"""AWS for a test, behind boto3's own clients: the rehearsal's backends in moto, in this process or over HTTP.

Fixtures (tests/deploy/conftest.py):

- `aws_in_memory`: an `Account` under `moto.mock_aws`: no socket, no process; a run is a few lines of Python; nothing
  sleeps, since whoever waits with `account.pace` moves `account.clock` on.
- `rehearsal`: an `Account` at moto's server on loopback, for what runs in other processes; real time, but fast.

Both set the environment, so that `Aws()` finds the account. `account.behind("s3")` is a client whose calls are neither
noted nor let fail; `account.serverless`, `.containers` and `.stacks` are the backends; `account.faults` lets calls go
wrong and has every call in `log`; `account.settings.images.tags |= {tag}` pushes an image into every repository.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from moto import backend_index, mock_aws
from moto.cloudformation.models import cloudformation_backends
from moto.emrcontainers.models import emrcontainers_backends
from moto.emrserverless.models import emrserverless_backends
from orchard_deploy.context import Pace
from orchard_deploy.rehearsal.images import Images
from orchard_deploy.rehearsal.runners import RunningProcess
from orchard_deploy.rehearsal.services import Containers, Serverless
from orchard_deploy.rehearsal.settings import Order, Settings, Timings
from orchard_deploy.rehearsal.stacks import Stacks
from orchard_deploy.rehearsal.stage import ACCOUNT, environment, registered, served, tick

from tests.deploy.rehearsal.faults import BEHIND, Faults

REGION = "us-east-1"
CLUSTER = "vc0123456789"
GOOD_JOB = "import sys; print('50 photos done'); print('warming up', file=sys.stderr)"
SERVICES = ("cloudformation", "ecr", "emrcontainers", "emrserverless", "iam", "s3", "sts")
LONG_JOB = "import time; print('working', flush=True); time.sleep(60)"


class Clock:
    """Seconds since 1970; whoever sleeps moves it on."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now += 1e-4  # so that whoever looks without sleeping gets on, too
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Account:
    """AWS, with what a test looks at behind the scenes."""

    settings: Settings
    faults: Faults = field(default_factory=Faults)
    url: str = ""
    region: str = REGION

    @property
    def environ(self) -> dict[str, str]:
        """What a command finds it by."""
        return environment(self.region, self.url)

    @property
    def clock(self) -> Any:
        return self.settings.clock

    @property
    def pace(self) -> Pace:
        """Waiting: that takes no time in memory, and little over HTTP."""
        if isinstance(self.settings.clock, Clock):
            return Pace(first=0.02, longest=0.1, clock=self.clock, sleep=self.clock.sleep)
        return Pace(first=0.02, longest=0.1)

    @property
    def images(self) -> Images:
        return self.settings.images

    @property
    def serverless(self) -> Serverless:
        return cast(Serverless, emrserverless_backends[ACCOUNT][self.region])

    @property
    def containers(self) -> Containers:
        return cast(Containers, emrcontainers_backends[ACCOUNT][self.region])

    @property
    def stacks(self) -> Stacks:
        return cast(Stacks, cloudformation_backends[ACCOUNT][self.region])

    def behind(self, service: str) -> Any:
        """A client whose calls are neither noted nor let fail."""
        where = {"endpoint_url": self.url} if self.url else {}
        return self._session.client(service, **where)

    @cached_property
    def _session(self) -> Any:
        return boto3.session.Session(aws_access_key_id=BEHIND, aws_secret_access_key="x", region_name=self.region)

    def tick(self) -> None:
        """Let everything become what it is by now."""
        tick()

    def write(self, uri: str, content: bytes) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.behind("s3").put_object(Bucket=bucket, Key=key, Body=content)

    def read(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        content: bytes = self.behind("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return content


@contextmanager
def in_memory(
    job: str = GOOD_JOB,
    *,
    timings: Timings | None = None,
    tags: frozenset[str] = frozenset(),
    images: Images | None = None,
    **options: Any,
) -> Iterator[Account]:
    """AWS in this process, to the end of the block."""
    clock = Clock()
    settings = Settings(
        run=partial(Script, job, clock),
        clock=clock,
        timings=timings or Timings(),
        images=images or Images(tags),
        **options,
    )
    account = Account(settings)
    with pytest.MonkeyPatch.context() as patch:
        # moto looks for a request's service by all patterns, and takes a bucket called `logs` for a service.
        patterns = [each for each in backend_index.backend_url_patterns if each[0] in SERVICES]
        patch.setattr(backend_index, "backend_url_patterns", patterns)
        with registered(settings), account.faults.met(), mock_aws(config={"core": {"mock_credentials": False}}):
            yield account


@contextmanager
def over_http(
    job: str = GOOD_JOB,
    *,
    timings: Timings | None = None,
    tags: frozenset[str] = frozenset(),
    run: Callable[[Order], Any] | None = None,
    images: Images | None = None,
    **options: Any,
) -> Iterator[Account]:
    """AWS on loopback, to the end of the block; a job is a few lines of Python in a process."""
    with served() as url:
        environ = {"ATTEMPTS": "", **environment(REGION, url)}

        def start(order: Order) -> RunningProcess:
            return RunningProcess([sys.executable, "-c", job, *order.arguments], environ)

        settings = Settings(
            run=run or start, timings=timings or Timings().faster(1000), images=images or Images(tags), **options
        )
        account = Account(settings, url=url)
        with registered(settings), account.faults.met():
            yield account


class Script:
    """A few lines of Python as an attempt: run at once, in this process, and shown at the clock's own time.

    What it sleeps is only added up: each piece of output, and its end, comes when that much time has passed.
    """

    def __init__(self, code: str, clock: Callable[[], float], order: Order) -> None:
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
