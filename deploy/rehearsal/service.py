"""What both services have in common: calls answered one at a time, on a clock, and runs with processes and logs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, ClassVar

from deploy.rehearsal.floor import Floor
from deploy.rehearsal.jobs import Job, Surroundings
from deploy.rehearsal.known import known_inputs, strangers
from deploy.rehearsal.orders import Order, Runner, Running
from deploy.rehearsal.protocol import Protocol, not_rehearsed
from deploy.rehearsal.timings import Timings
from deploy.rehearsal.tokens import Tokens
from deploy.rehearsal.world import World

Calls = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]


@dataclass
class Service(ABC):
    """One service.

    Attributes:
        name: as AWS signs its calls.
        clock: seconds since 1970.
    """

    name: ClassVar[str]
    region: str
    world: World
    runner: Runner
    timings: Timings
    clock: Callable[[], float]
    tokens: Tokens = field(default_factory=Tokens, init=False)
    lock: RLock = field(default_factory=RLock, init=False)

    def __post_init__(self) -> None:
        self.protocol, self._calls, self._known = Protocol(self.name), self.calls(), known_inputs(self.name)
        self.floor = Floor(
            clock=self.clock, timings=self.timings, around=self.around, begin=self.begin, deliver=self.deliver
        )

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer a call.

        Raises:
            RefusalError: as the service would, or because the rehearsal does not know the call or something in its
                input.
        """
        with self.lock:
            self.tick()
            self._check_known(operation, asked)
            return self._calls[operation](asked)

    def _check_known(self, operation: str, asked: Mapping[str, Any]) -> None:
        if operation not in self._calls:
            raise not_rehearsed(operation)
        shape = self.protocol.model.operation_model(operation).input_shape
        if found := sorted(set(strangers(shape, asked, self._known[operation]))):
            raise not_rehearsed(f"{operation}: {', '.join(found)}")

    def tick(self) -> None:
        """Move everything on to now."""
        with self.lock:
            self.floor.tick()

    def close(self) -> None:
        """End every run's process; a call that is still being answered comes before or after."""
        with self.lock:
            self.floor.close()

    @abstractmethod
    def calls(self) -> Calls:
        """The calls that it knows, by operation."""

    @abstractmethod
    def around(self, job: Job) -> Surroundings:
        """What a run's next step depends on, its process apart."""

    @abstractmethod
    def begin(self, job: Job) -> Running:
        """Start a run's process."""

    @abstractmethod
    def deliver(self, job: Job, running: Running) -> None:
        """Write what a run's process has put out so far."""

    def start(
        self, job: Job, submit: Mapping[str, Any], *, image: str | None, properties: dict[str, str], slots: int
    ) -> Running:
        """Start a run's process by what was submitted, on the digest that its image had then."""
        repository = image.partition("/")[2].partition("@")[0].partition(":")[0] if image else None
        return self.runner.start(
            Order(
                job=job.id,
                attempt=job.attempt,
                image=f"{repository}@{job.digest}" if repository else None,
                entry_point=submit["entryPoint"],
                arguments=tuple(submit.get("entryPointArguments", ())),
                properties=properties,
                slots=slots,
            )
        )


def log_uri(job: Job) -> str | None:
    """Where a run's logs are to go in S3, if anywhere."""
    monitoring = job.request.get("configurationOverrides", {}).get("monitoringConfiguration", {})
    uri: str | None = monitoring.get("s3MonitoringConfiguration", {}).get("logUri")
    return uri
