"""The rehearsal's state machines on a clock of the test's own: what AWS documents, step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard_deploy.rehearsal import machines
from orchard_deploy.rehearsal.inputs import workers
from orchard_deploy.rehearsal.machines import Application, Job
from orchard_deploy.rehearsal.settings import Refusal, Timings

TIMINGS = Timings()
STATES = ("SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING", *machines.FINAL)


def application(state: str = "CREATING", **settings: Any) -> Application:
    return Application(id="00f1", settings=settings, created=0, since=0, state=state)


def job(**changes: Any) -> Job:
    return replace(Job(id="00r1", parent="00f1", request={}, digest=None, created=0, since=0), **changes)


def test_an_application_is_made_started_and_stopped_in_its_own_time() -> None:
    found = application()
    assert machines.advance(found, 2.9, TIMINGS, busy=False).state == "CREATING"
    found = machines.ask(machines.advance(found, 3, TIMINGS, busy=False), "start", 10)
    assert found.state == "STARTING"
    found = machines.advance(found, 30, TIMINGS, busy=False)
    assert found.state == "STARTED"
    found = machines.ask(found, "stop", 31)
    assert (found.state, machines.advance(found, 41, TIMINGS, busy=False).state) == ("STOPPING", "STOPPED")


def test_an_idle_application_stops_by_itself_and_a_busy_one_does_not() -> None:
    found = application("STARTED", autoStopConfiguration={"enabled": True, "idleTimeoutMinutes": 5})
    assert machines.advance(found, 299, TIMINGS, busy=False).state == "STARTED"
    assert machines.advance(found, 300, TIMINGS, busy=False).state == "STOPPING"
    busy = machines.advance(found, 299, TIMINGS, busy=True)
    assert machines.advance(busy, 598, TIMINGS, busy=False).state == "STARTED"
    never = application("STARTED", autoStopConfiguration={"enabled": False})
    assert machines.advance(never, 10**6, TIMINGS, busy=False).state == "STARTED"


@pytest.mark.parametrize("state", ["CREATING", "STARTING", "STARTED", "STOPPING"])
def test_only_an_application_at_rest_is_deleted(state: str) -> None:
    with pytest.raises(Refusal, match="delete is not possible"):
        machines.ask(application(state), "delete", 1)


def test_an_application_with_runs_is_not_stopped() -> None:
    with pytest.raises(Refusal, match="active job runs"):
        machines.ask(application("STARTED"), "stop", 1, busy=True)


def until(found: Job, now: float, **around: Any) -> Job:
    return machines.advance_job(found, now, TIMINGS, **around)


def test_a_run_goes_its_way_and_is_running_after_the_time_that_aws_takes() -> None:
    found = until(job(), 0)
    assert found.state == "PENDING"
    found = until(found, 5)
    assert found.state == "SCHEDULED"
    assert until(found, 89).state == "SCHEDULED"
    found = until(found, 90)
    assert (found.state, found.started) == ("RUNNING", 90)
    assert until(found, 200).state == "RUNNING"
    found = until(found, 201, code=0)
    assert (found.state, found.ended) == ("SUCCESS", 201)


def test_a_run_waits_for_the_application_and_in_the_queue_but_not_for_ever() -> None:
    assert until(job(), 1, ready=False).state == "SUBMITTED"
    queued = until(job(), 1, free=False)
    assert queued.state == "QUEUED"
    assert until(queued, 2).state == "PENDING"
    assert until(queued, 1 + 15 * 60, free=False, queue_minutes=15).state == "FAILED"


def test_a_failed_attempt_is_followed_by_another_while_there_are_any() -> None:
    running = job(state="RUNNING", attempts=2)
    second = until(running, 5, code=1)
    assert (second.state, second.attempt) == ("PENDING", 2)
    assert until(replace(second, state="RUNNING"), 9, code=1).state == "FAILED"
    assert "ExitCode: 137" in until(job(state="RUNNING"), 5, code=137).details


def test_a_run_that_is_cancelled_or_out_of_time_is_cancelling_before_it_is_cancelled() -> None:
    late = until(job(state="RUNNING", timeout=5), 300)
    assert late.state == "CANCELLING"
    found = machines.cancel(job(state="RUNNING"), 10)
    assert (found.state, found.over) == ("CANCELLING", False)
    assert machines.cancel(found, 11) == found
    assert until(found, 19).state == "CANCELLING"
    assert until(found, 20).state == "CANCELLED"


@given(state=st.sampled_from(STATES), now=st.floats(0, 1e6), code=st.none() | st.integers(0, 255), free=st.booleans())
def test_what_is_over_stays_as_it_is_and_what_is_not_takes_one_step_at_most(
    state: str, now: float, code: int | None, free: bool
) -> None:
    found = job(state=state)
    moved = until(found, now, code=code, free=free)
    if state in machines.FINAL:
        assert moved == found
    assert (moved.ended is not None) == (moved.over and state not in machines.FINAL)


def test_without_a_word_about_it_a_run_starts_with_three_executors_and_maxexecutors_does_not_change_that() -> None:
    """The measured behaviour of Spark; `test_cap` has the same with a real one."""
    assert len(workers({})) - 1 == 3
    assert len(workers({"spark.dynamicAllocation.maxExecutors": "2"})) - 1 == 3
    assert (
        len(workers({"spark.dynamicAllocation.maxExecutors": "2", "spark.dynamicAllocation.initialExecutors": "1"})) - 1
        == 3
    )
    assert len(workers({"spark.dynamicAllocation.enabled": "false", "spark.executor.instances": "2"})) - 1 == 2


@pytest.mark.parametrize(
    "properties", [{"spark.driver.memory": "60g", "spark.driver.cores": "8"}, {"spark.executor.cores": "3"}]
)
def test_a_worker_that_there_is_not_is_refused(properties: dict[str, str]) -> None:
    with pytest.raises(Refusal, match="no supported worker configuration"):
        workers(properties)
