"""The process killed at every single step of `up`, `submit` and `down`: nothing leaks, nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.aws.session import Aws
from deploy.context import Context
from deploy.ensure import down, up
from deploy.record import Record, RecordFile, Submission
from deploy.rehearsal.stage import Rehearsal
from deploy.status import status_facts
from deploy.submit import Wanted, submit
from tests.aws.conftest import LONG_JOB, NOTHING, REGION, Theatre, context_of, everything, there

# Kills: every call to AWS and every change of the record is a step; the process dies before it, or after it and before anything else.


class KilledError(BaseException):
    """The process is gone."""


class Steps:
    """Counts steps, and kills at one of them."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.count, self._at, self._after = 0, at, after

    @contextmanager
    def step(self) -> Iterator[None]:
        self.count += 1
        if self.count == self._at and not self._after:
            raise KilledError
        yield
        if self.count == self._at:
            raise KilledError


class MortalAws(Aws):
    """The door, in a process that may be killed."""

    def __init__(self, steps: Steps, clients: dict[str, Any]) -> None:
        super().__init__(region=REGION)
        self._steps, self._clients = steps, clients

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        changing = not operation.startswith(("get_", "list_", "describe_", "head_"))
        if not changing:
            return super().call(service, operation, parameters)
        with self._steps.step():
            return super().call(service, operation, parameters)


class MortalRecord(RecordFile):
    """The record, in a process that may be killed."""

    def __init__(self, path: Path, steps: Steps) -> None:
        super().__init__(path)
        self._steps = steps

    def change(self, change: Callable[[Record], Record]) -> Record:
        with self._steps.step():
            return super().change(change)


def mortal(living: Context, steps: Steps) -> Context:
    """The same context, to be killed; the clients are shared, since they are slow to make."""
    context = context_of(living.tree, aws=MortalAws(steps, living.aws._clients))
    return replace(context, record=MortalRecord(context.record.path, steps))


def whole(context: Context) -> Submission:
    """All that a person does: make everything, then run."""
    up(context)
    return submit(context, Wanted(photos=1))


def steps_of(living: Context, act: Callable[[Context], object]) -> int:
    steps = Steps()
    act(mortal(living, steps))
    return steps.count


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after the step"])
def test_killed_at_any_step_the_next_call_completes_without_making_anything_twice(theatre: Theatre, tree: Path, after: bool) -> None:
    stage = theatre.open(LONG_JOB)
    context = context_of(tree)
    total = steps_of(context, whole)
    down(context, force=True, with_data=True)
    assert total >= 15
    for at in range(1, total + 1):
        with pytest.raises(KilledError):
            whole(mortal(context, Steps(at, after=after)))
        submission = whole(context)
        assert there(stage) == {**everything(stage), "runs": [submission.run]}, f"killed at step {at}"
        assert [entry.run for entry in context.record.read().runs] == [submission.run]
        assert down(context, force=True, with_data=True) == []
        assert there(stage) == NOTHING


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after the step"])
def test_killed_at_any_step_down_finds_everything_and_status_tells_of_it(theatre: Theatre, tree: Path, after: bool) -> None:
    stage = theatre.open(LONG_JOB)
    context = context_of(tree)
    total = steps_of(context, whole)
    down(context, force=True, with_data=True)
    for at in range(1, total + 1):
        with pytest.raises(KilledError):
            whole(mortal(context, Steps(at, after=after)))
        exists = there(stage)
        facts = status_facts(context)
        told = {thing["kind"] for thing in facts["things"] if thing["state"].endswith("made by orchard-deploy")}
        kinds = {"repository": "repositories", "bucket": "buckets", "role": "roles", "application": "applications"}
        assert told == {kind for kind, plural in kinds.items() if exists[plural]}, f"killed at step {at}"
        assert {run["id"] for run in facts["runs"] if run["id"]} == set(exists["runs"])
        assert down(context, force=True, with_data=True) == []
        assert there(stage) == NOTHING, f"killed at step {at}"
        assert not (tree / ".orchard").exists()


def test_killed_at_any_step_of_down_the_next_one_goes_on(tree: Path, stage: Rehearsal) -> None:

    def finish(context: Context) -> None:
        down(context, force=True, with_data=True)

    context = context_of(tree)
    up(context)
    up(context)
    total = steps_of(context, finish)
    for at in range(1, total + 1):
        up(context)
        up(context)
        with pytest.raises(KilledError):
            finish(mortal(context, Steps(at, after=True)))
        finish(context)
        assert there(stage) == NOTHING, f"killed at step {at}"
        assert not (tree / ".orchard").exists()


def test_a_submission_that_never_reached_aws_is_forgotten_after_an_hour_and_a_new_one_is_made(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    context = context_of(tree)
    up(context)
    whole(context)
    first = context.record.read().runs[0]
    stage.serverless.floor.jobs.clear()
    context.record.change(lambda known: replace(known, runs=(replace(first, run=None, submitted=first.submitted - 7200),)))
    again = submit(context, Wanted(photos=1))
    assert again.token != first.token
    assert again.run in stage.serverless.floor.jobs
