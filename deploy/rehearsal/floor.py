"""Where jobs run.

Each is moved on by the clock, its process started and ended when its stage says so, its logs delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.rehearsal.jobs import Job, Stage, Surroundings, advance
from deploy.rehearsal.orders import Running
from deploy.rehearsal.timings import Timings


@dataclass
class Floor:
    """The runs of one service.

    Attributes:
        around: what a run's next step depends on, its process apart.
        begin: starts a run's process.
        deliver: writes what a run's process has put out so far.
    """

    clock: Callable[[], float]
    timings: Timings
    around: Callable[[Job], Surroundings]
    begin: Callable[[Job], Running]
    deliver: Callable[[Job, Running], None]
    jobs: dict[str, Job] = field(default_factory=dict)
    _running: dict[str, Running] = field(default_factory=dict)
    _delivered: dict[str, float] = field(default_factory=dict)
    _closed: bool = False

    def active(self, place: str) -> list[Job]:
        """The runs of an application or virtual cluster that are not over."""
        return [job for job in self.jobs.values() if job.place == place and not job.stage.final]

    def occupying(self, place: str) -> list[Job]:
        """Those of them that are past the queue."""
        return [job for job in self.active(place) if job.stage not in (Stage.SUBMITTED, Stage.QUEUED)]

    def tick(self) -> None:
        """Move every run on to now; none once the floor is closed, or its process would outlive the rehearsal."""
        for job in list(self.jobs.values()):
            if not (job.stage.final or self._closed):
                self._move(job)

    def put(self, job: Job) -> None:
        """Take a run in, or its new stage."""
        self.jobs[job.id] = job
        if job.stage in (Stage.CANCELLING, Stage.CANCELLED) and job.id in self._running:
            self._running[job.id].stop()

    def close(self) -> None:
        """End every process, and start none any more."""
        self._closed = True
        for running in self._running.values():
            running.stop()
            running.close()
        self._running.clear()

    def _move(self, job: Job) -> None:
        now, running = self.clock(), self._running.get(job.id)
        around = self.around(job)
        if running and job.stage is Stage.RUNNING:
            around = Surroundings(exit=running.exit_code())
            self._deliver_at_times(job, running, now)
        moved = advance(job, now, self.timings, around)
        if moved == job:
            return
        if running and job.stage in (Stage.RUNNING, Stage.CANCELLING):
            self.deliver(job, running)
        if moved.stage is Stage.RUNNING:
            self._running[job.id] = self.begin(moved)
        self.put(moved)
        if running and (moved.stage.final or moved.stage is Stage.PENDING):
            self._running.pop(job.id).close()

    def _deliver_at_times(self, job: Job, running: Running, now: float) -> None:
        if now - self._delivered.get(job.id, job.since) >= self.timings.logging:
            self._delivered[job.id] = now
            self.deliver(job, running)
