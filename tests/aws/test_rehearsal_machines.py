"""The rehearsal's state machines on a clock of the test's own: what AWS documents, step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.rehearsal import applications, jobs
from deploy.rehearsal.applications import Application
from deploy.rehearsal.jobs import Job, Stage, Surroundings
from deploy.rehearsal.protocol import RefusalError
from deploy.rehearsal.sizing import sizing
from deploy.rehearsal.timings import Timings

TIMINGS = Timings()


def application(state: str = "CREATING", **settings: Any) -> Application:
    return Application(id="00f1", settings=settings, tags={}, created=0, updated=0, since=0, idle=0, state=state)


def job(**changes: Any) -> Job:
    return replace(Job(id="00r1", place="00f1", request={}, digest=None, created=0, since=0), **changes)


def test_an_application_is_made_started_and_stopped_in_its_own_time() -> None:
    found = application()
    assert applications.advance(found, 2.9, TIMINGS, busy=False).state == "CREATING"
    found = applications.start(applications.advance(found, 3, TIMINGS, busy=False), 10)
    assert found.state == "STARTING"
    found = applications.advance(found, 30, TIMINGS, busy=False)
    assert found.state == "STARTED"
    found = applications.stop(found, 31, busy=False)
    assert (found.state, applications.advance(found, 41, TIMINGS, busy=False).state) == ("STOPPING", "STOPPED")


def test_an_idle_application_stops_by_itself_and_a_busy_one_does_not() -> None:
    found = application("STARTED", autoStopConfiguration={"enabled": True, "idleTimeoutMinutes": 5})
    assert applications.advance(found, 299, TIMINGS, busy=False).state == "STARTED"
    assert applications.advance(found, 300, TIMINGS, busy=False).state == "STOPPING"
    busy = applications.advance(found, 299, TIMINGS, busy=True)
    assert applications.advance(busy, 598, TIMINGS, busy=False).state == "STARTED"
    never = application("STARTED", autoStopConfiguration={"enabled": False})
    assert applications.advance(never, 10**6, TIMINGS, busy=False).state == "STARTED"


@pytest.mark.parametrize("state", ["CREATING", "STARTING", "STARTED", "STOPPING"])
def test_only_an_application_at_rest_is_changed_or_deleted(state: str) -> None:
    with pytest.raises(RefusalError, match="must be CREATED or STOPPED to be updated"):
        applications.update(application(state), {}, 1)
    with pytest.raises(RefusalError, match="must be CREATED or STOPPED to be deleted"):
        applications.delete(application(state), 1)


def test_an_application_with_runs_is_not_stopped() -> None:
    with pytest.raises(RefusalError, match="active job runs"):
        applications.stop(application("STARTED"), 1, busy=True)


def until(found: Job, now: float, **around: Any) -> Job:
    return jobs.advance(found, now, TIMINGS, Surroundings(**around))


def test_a_run_goes_its_way_and_is_running_after_the_time_that_aws_takes() -> None:
    found = until(job(), 0)
    assert found.stage is Stage.PENDING
    found = until(found, 5)
    assert found.stage is Stage.SCHEDULED
    assert until(found, 89).stage is Stage.SCHEDULED
    found = until(found, 90)
    assert (found.stage, found.started) == (Stage.RUNNING, 90)
    assert until(found, 200).stage is Stage.RUNNING
    found = until(found, 201, exit=0)
    assert (found.stage, found.ended) == (Stage.SUCCESS, 201)


def test_a_run_waits_for_the_application_and_in_the_queue_but_not_for_ever() -> None:
    assert until(job(), 1, ready=False).stage is Stage.SUBMITTED
    queued = until(job(), 1, free=False)
    assert queued.stage is Stage.QUEUED
    assert until(queued, 2).stage is Stage.PENDING
    assert until(queued, 1 + 15 * 60, free=False, queue_minutes=15).stage is Stage.FAILED


def test_a_failed_attempt_is_followed_by_another_while_there_are_any() -> None:
    running = job(stage=Stage.RUNNING, attempts=2)
    second = until(running, 5, exit=1)
    assert (second.stage, second.attempt) == (Stage.PENDING, 2)
    assert until(replace(second, stage=Stage.RUNNING), 9, exit=1).stage is Stage.FAILED
    assert "ExitCode: 137" in until(job(stage=Stage.RUNNING), 5, exit=137).details


def test_a_run_that_is_cancelled_or_out_of_time_is_cancelling_before_it_is_cancelled() -> None:
    late = until(job(stage=Stage.RUNNING, timeout=5), 300)
    assert late.stage is Stage.CANCELLING
    found = jobs.cancel(job(stage=Stage.RUNNING), 10)
    assert (found.stage, found.stage.final) == (Stage.CANCELLING, False)
    assert jobs.cancel(found, 11) == found
    assert until(found, 19).stage is Stage.CANCELLING
    assert until(found, 20).stage is Stage.CANCELLED


@given(
    stages=st.sampled_from(list(Stage)), now=st.floats(0, 1e6), code=st.none() | st.integers(0, 255), free=st.booleans()
)
def test_what_is_over_stays_as_it_is_and_what_is_not_takes_one_step_at_most(
    stages: Stage, now: float, code: int | None, free: bool
) -> None:
    found = job(stage=stages)
    moved = until(found, now, exit=code, free=free)
    if stages.final:
        assert moved == found
    assert (moved.ended is not None) == (moved.stage.final and not stages.final)


def test_without_a_word_about_it_a_run_starts_with_three_executors_and_maxexecutors_does_not_change_that() -> None:
    """The measured behaviour of Spark; `test_cap` has the same with a real one."""
    assert sizing({}).executors == 3
    assert sizing({"spark.dynamicAllocation.maxExecutors": "2"}).executors == 3
    assert (
        sizing({"spark.dynamicAllocation.maxExecutors": "2", "spark.dynamicAllocation.initialExecutors": "1"}).executors
        == 3
    )
    assert sizing({"spark.dynamicAllocation.enabled": "false", "spark.executor.instances": "2"}).executors == 2


@pytest.mark.parametrize(
    "properties", [{"spark.driver.memory": "60g", "spark.driver.cores": "8"}, {"spark.executor.cores": "3"}]
)
def test_a_worker_that_there_is_not_is_refused(properties: dict[str, str]) -> None:
    with pytest.raises(RefusalError, match="no supported worker configuration"):
        sizing(properties)
