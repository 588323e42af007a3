"""The process killed at every single step on each way to a run, and of `down`: nothing leaks, nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy.context import Context
from deploy.ensure import bring_up, down, up
from deploy.record import Submission
from deploy.status import status_facts
from deploy.submit import Wanted, submit
from tests.aws.conftest import LONG_JOB, NOTHING, Stage, Theatre, context_of, everything, there
from tests.aws.mortal import KilledError, MortalEngine, Steps, mortal

KINDS = {"repository": "repositories", "bucket": "buckets", "role": "roles", "application": "applications"}


def up_and_submit(context: Context, stage: Stage, steps: Steps) -> Submission:
    """`up`, then `submit`."""
    up(context)
    return submit(context, Wanted(photos=1))


def all_in_one(context: Context, stage: Stage, steps: Steps) -> Submission:
    """`submit --up --upload-main`: everything is made, the image pushed, the main file uploaded."""
    main_file = context.tree / "main.py"
    main_file.write_text("print('mine')\n", encoding="utf-8")
    bring_up(context, lambda: MortalEngine(stage, context.aws, steps))
    return submit(context, Wanted(photos=1, main_file=main_file))


@dataclass(frozen=True)
class Way:
    """A way to a run.

    Attributes:
        without: kinds of things that there are none of on it.
        pushes: whether the image is not in the repository yet.
    """

    act: Callable[[Context, Stage, Steps], Submission]
    target: str = "serverless"
    without: tuple[str, ...] = ()
    pushes: bool = False
    steps: int = 0


WAYS = {
    "up, submit": Way(up_and_submit, steps=15),
    "submit --up --upload-main": Way(all_in_one, pushes=True, steps=18),
    "up, submit --target eks": Way(up_and_submit, target="eks", without=("roles", "applications"), steps=8),
}


class Play:
    """A way, to be gone again and again from nothing."""

    def __init__(self, way: Way, stage: Stage, tree: Path) -> None:
        self.way, self.stage = way, stage
        self.context, self.downer = context_of(tree, target=way.target), context_of(tree)
        self.clear()

    def whole(self) -> Submission:
        return self.way.act(self.context, self.stage, Steps())

    def killed(self, at: int, *, after: bool) -> None:
        steps = Steps(at, after=after)
        with pytest.raises(KilledError):
            self.way.act(mortal(self.context, steps), self.stage, steps)

    def total(self) -> int:
        """Steps of the whole way."""
        steps = Steps()
        self.way.act(mortal(self.context, steps), self.stage, steps)
        self.clear()
        assert steps.count >= self.way.steps
        return steps.count

    def clear(self) -> None:
        """Back to nothing, by `down`."""
        assert down(self.downer, force=True, with_data=True) == []
        assert there(self.stage) == NOTHING
        assert not self.context.record.path.parent.exists()
        if self.way.pushes:
            self.stage.images.tags = frozenset()

    def expected(self, run: str | None) -> dict[str, Any]:
        return {**everything(self.stage), **{kind: [] for kind in self.way.without}, "runs": [run]}


@pytest.fixture(params=WAYS)
def play(request: pytest.FixtureRequest, theatre: Theatre, tree: Path) -> Play:
    return Play(WAYS[request.param], theatre.open(LONG_JOB), tree)


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after the step"])
def test_killed_at_any_step_the_next_call_completes_without_making_anything_twice(play: Play, after: bool) -> None:
    for at in range(1, play.total() + 1):
        play.killed(at, after=after)
        submission = play.whole()
        assert there(play.stage) == play.expected(submission.run), f"killed at step {at}"
        assert [entry.run for entry in play.context.record.read().runs] == [submission.run]
        play.clear()


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after the step"])
def test_killed_over_http_the_next_call_completes(theatre: Theatre, tree: Path, after: bool) -> None:
    """The same at the first, a middle and the last step, with real requests and a real process as the run."""
    play = Play(WAYS["submit --up --upload-main"], theatre.wire(LONG_JOB), tree)
    total = play.total()
    for at in (1, total // 2, total):
        play.killed(at, after=after)
        submission = play.whole()
        assert there(play.stage) == play.expected(submission.run), f"killed at step {at}"
        play.clear()


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after the step"])
def test_killed_at_any_step_down_finds_everything_and_status_tells_of_it(play: Play, after: bool) -> None:
    for at in range(1, play.total() + 1):
        play.killed(at, after=after)
        exists = there(play.stage)
        facts = status_facts(play.context)
        told = {thing["kind"] for thing in facts["things"] if thing["state"].endswith("made by orchard-deploy")}
        assert told == {kind for kind, plural in KINDS.items() if exists[plural]}, f"killed at step {at}"
        # A virtual cluster outlives `down`, and with it what it knows of runs that are over.
        active = play.context.target.active_states()
        assert {run["id"] for run in facts["runs"] if run["id"] and run["state"] in active} == set(exists["runs"])
        play.clear()


def test_killed_at_any_step_of_down_the_next_one_goes_on(tree: Path, stage: Stage) -> None:

    def finish(context: Context) -> None:
        down(context, force=True, with_data=True)

    context = context_of(tree)
    up(context)
    up(context)
    steps = Steps()
    finish(mortal(context, steps))
    for at in range(1, steps.count + 1):
        up(context)
        up(context)
        with pytest.raises(KilledError):
            finish(mortal(context, Steps(at, after=True)))
        finish(context)
        assert there(stage) == NOTHING, f"killed at step {at}"
        assert not context.record.path.parent.exists()


def test_a_submission_that_never_reached_aws_is_forgotten_after_an_hour_and_a_new_one_is_made(
    theatre: Theatre, tree: Path
) -> None:
    stage = theatre.open(LONG_JOB)
    context = context_of(tree)
    up(context)
    up_and_submit(context, stage, Steps())
    first = context.record.read().runs[0]
    stage.serverless.floor.jobs.clear()
    context.record.change(
        lambda known: replace(known, runs=(replace(first, run=None, submitted=first.submitted - 7200),))
    )
    again = submit(context, Wanted(photos=1))
    assert again.token != first.token
    assert again.run in stage.serverless.floor.jobs
