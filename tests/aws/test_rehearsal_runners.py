"""A run's container that is ended while it is just being made: it never outlives the run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from docker.errors import NotFound

from deploy.docker_engine import DockerEngine
from deploy.rehearsal.floor import Floor
from deploy.rehearsal.jobs import Job, Stage, Surroundings
from deploy.rehearsal.orders import Order, Running, Starved
from deploy.rehearsal.runners import ContainerRunner
from deploy.rehearsal.timings import Timings

ORDER = Order(
    job="00r1", attempt=1, image="orchard@sha256:1", entry_point="main.py", arguments=(), properties={}, slots=2
)


class SlowClient:
    """A Docker client whose engine takes its time to make the one container, and to tell that it has started."""

    def __init__(self, *, holds: str) -> None:
        self.containers, self.container, self.attrs = self, self, {"State": {"OOMKilled": False}}
        self.log: list[str] = []
        self.held, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self._holds = holds

    def ping(self) -> None:
        pass

    def reload(self) -> None:
        pass

    def create(self, **arguments: Any) -> SlowClient:
        self._do("create")
        return self.container

    def start(self) -> None:
        self._do("start")

    def attach(self, **options: Any) -> Iterator[tuple[bytes, bytes]]:
        yield b"working\n", b""
        self._do("attach")
        assert self.ended.wait(30), "nobody ended the container"

    def stop(self, timeout: int) -> None:
        if "remove" in self.log:
            raise NotFound("No such container")
        self.log.append("stop")
        self.ended.set()

    def wait(self) -> dict[str, int]:
        return {"StatusCode": 143}

    def remove(self, **options: Any) -> None:
        self.log.append("remove")
        self.ended.set()

    def _do(self, step: str) -> None:
        if step == self._holds:
            self.held.set()
            assert self.go.wait(30), "it was held for too long"
        self.log.append(step)


def runner(client: Any) -> ContainerRunner:
    return ContainerRunner(DockerEngine(client), "127.0.0.1:1", {}, memory=1, cpus=1)


def ended_at(step: str) -> list[str]:
    """What an engine was asked for, in order, when the run is stopped while the engine is busy with this step."""
    client = SlowClient(holds=step)
    running = runner(client).start(ORDER)
    assert client.held.wait(30)
    running.stop()
    assert step not in client.log, "stopping waited for the engine"
    client.go.set()
    running.close()
    return client.log


def test_a_container_that_is_being_made_is_removed_at_once() -> None:
    assert ended_at("create") == ["create", "start", "remove"]


def test_a_container_that_is_being_started_is_removed_at_once() -> None:
    assert ended_at("start") == ["create", "start", "remove"]


def test_a_container_that_runs_is_stopped_and_removed() -> None:
    assert ended_at("attach") == ["create", "start", "stop", "attach", "remove"]


def test_a_run_that_has_ended_is_stopped_without_a_word() -> None:
    client = SlowClient(holds="")
    running = runner(client).start(ORDER)
    client.ended.set()
    running.close()
    running.stop()
    assert running.exit_code() == 143
    assert running.output()["stdout"] == b"working\n"


def test_a_closed_floor_starts_nothing_any_more() -> None:
    begun: list[str] = []

    def begin(job: Job) -> Running:
        begun.append(job.id)
        return Starved("", lambda: 0.0)

    def floor() -> Floor:
        found = Floor(lambda: 1000.0, Timings(), lambda job: Surroundings(), begin, lambda job, running: None)
        found.put(Job(id="00r1", place="00f1", request={}, digest=None, created=0, since=0, stage=Stage.SCHEDULED))
        return found

    closed = floor()
    closed.close()
    closed.tick()
    assert begun == []
    floor().tick()
    assert begun == ["00r1"]
