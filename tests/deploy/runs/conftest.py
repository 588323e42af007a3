"""Fixtures of the tests of runs: an account in memory with all a run needs, at AWS's pace by a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.context import Context, Pace
from orchard_deploy.emr import Run
from orchard_deploy.rehearsal.emr import Job
from orchard_deploy.rehearsal.settings import Timings
from orchard_deploy.runs.logs import Source
from orchard_deploy.runs.submit import submit
from orchard_deploy.runs.watch import Watch, shown_by
from orchard_deploy.stack.lifecycle import up

from tests.deploy.cloud import BUCKET, Cloud
from tests.deploy.rehearsal.account import Script
from tests.deploy.stack.conftest import cloud, site

__all__ = ["BUCKET", "LONG_JOB", "Ready", "cloud", "ready", "site", "type_command"]
GOOD_JOB = "import sys; print('50 photos done'); print('warming up', file=sys.stderr)"
LONG_JOB = "import time; print('working'); time.sleep(86400)"
Command = Callable[..., tuple[int, str, str]]


@dataclass
class Ready:
    """An account with a stack, its image and a photo; what is shown of runs and said about them."""

    cloud: Cloud
    shown: list[str] = field(default_factory=list)

    @property
    def said(self) -> list[str]:
        return self.cloud.said

    @property
    def pace(self) -> Pace:
        clock = self.cloud.account.clock
        return Pace(clock=clock, sleep=clock.sleep)

    def play(self, job: str, **timings: float) -> None:
        """Let the next runs be of these lines of Python; AWS takes as long as it does, or so many seconds."""
        settings = self.cloud.account.settings
        settings.run, settings.timings = partial(Script, job, settings.clock), replace(Timings(), **timings)

    def make_stack(self) -> None:
        """Make the stack with its application, in no time."""
        settings = self.cloud.account.settings
        timings, settings.timings = settings.timings, Timings().faster(1000)
        for _ in range(2):
            up(self.context())
        settings.timings = timings

    def context(self, target: str = "serverless", **options: Any) -> Context:
        return replace(self.cloud.context(target, **options), pace=self.pace)

    def submit(self, target: str = "serverless", **wanted: Any) -> Run:
        return submit(self.context(target), **{"photos": 1, **wanted})

    def submit_of(self, context: Context, **wanted: Any) -> Run:
        """Submit in a context of its own, after whatever the stack needs for it."""
        up(context)
        return submit(context, **{"photos": 1, **wanted})

    def watch(self, submission: Run, context: Context | None = None, **options: Any) -> Watch:
        def show(source: Source, line: str) -> None:
            self.shown.append(f"{source}: {line}")

        return shown_by(context or self.context(submission.target.name), submission, **{"show": show, **options})

    def jobs(self, target: str = "serverless") -> dict[str, Job]:
        """The runs as the service has them."""
        account = self.cloud.account
        account.tick()
        return (account.serverless if target == "serverless" else account.containers).jobs

    def state(self, submission: Run) -> str:
        return self.jobs(submission.target.name)[submission.id].state

    def change(self, submission: Run, **changes: Any) -> None:
        """Change a run behind the scenes."""
        for name, value in changes.items():
            setattr(self.jobs(submission.target.name)[submission.id], name, value)


@pytest.fixture
def ready(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Ready:
    """An account with all that a run needs; runs say two lines and end well."""
    ready = Ready(cloud)
    ready.play(GOOD_JOB)
    monkeypatch.setattr("orchard_deploy.context.PACE", ready.pace)
    ready.make_stack()
    cloud.put("photos/Apple/1.jpg")
    return ready


@pytest.fixture
def type_command(tree: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Types a command in the tree: exit code, standard output, standard error."""

    def run(name: str, *words: str, job: tuple[str, ...] = ()) -> tuple[int, str, str]:
        behind = ("--", *job) if job else ()
        code = main([name, "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words, *behind])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
