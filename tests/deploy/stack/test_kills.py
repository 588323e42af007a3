"""The process killed around every call that changes something: the same command again ends well, nothing leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from orchard_deploy.context import Context
from orchard_deploy.stack.lifecycle import down, plan_up, up

from tests.deploy.cloud import EVERYTHING, NOTHING, Cloud, Interrupted, KilledError, killed_at

AFTER = pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])


def killed(cloud: Cloud, act: Callable[[Context], object], at: int, *, after: bool) -> bool:
    """Whether there was such a call to be killed at."""
    try:
        act(cloud.context(aws=Interrupted(cloud, killed_at(at, after=after), changing=True)))
    except KilledError:
        return True
    return False


def change_sets(cloud: Cloud) -> list[str]:
    found = cloud.behind("cloudformation").list_change_sets(StackName="orchard")["Summaries"]
    return [each["ChangeSetName"] for each in found]


@AFTER
def test_killed_up_from_nothing(cloud: Cloud, after: bool) -> None:
    at = 1
    while killed(cloud, up, at, after=after):
        up(cloud.context())
        up(cloud.context())
        assert cloud.there() == EVERYTHING, f"killed at call {at}"
        assert up(cloud.context()).changes == ()
        assert change_sets(cloud) == []
        at += 1
        cloud.clear()
    assert at > 2


@AFTER
def test_killed_up_from_nothing_down_finds_everything(cloud: Cloud, after: bool) -> None:
    at = 1
    while killed(cloud, up, at, after=after):
        assert down(cloud.context(), with_data=True) == []
        assert cloud.there() == NOTHING, f"killed at call {at}"
        at += 1
    assert at > 2


@AFTER
def test_killed_up_of_a_change(cloud: Cloud, after: bool) -> None:
    up(cloud.context())
    up(cloud.context())
    cloud.behind("emr-serverless").start_application(applicationId=application(cloud))
    at, smaller = 1, 1
    while killed(cloud, lambda context: up_small(context, smaller), at, after=after):  # noqa: B023
        up_small(cloud.context(), smaller)
        assert cloud.there() == EVERYTHING, f"killed at call {at}"
        assert up_small(cloud.context(), smaller) == 0
        assert change_sets(cloud) == []
        at, smaller = at + 1, 3 - smaller
        cloud.behind("emr-serverless").start_application(applicationId=application(cloud))
        cloud.pass_time(60)
    assert at > 3


def up_small(context: Context, executors: int) -> int:
    spec = replace(context.site.spec, executors=executors)
    return len(up(replace(context, site=replace(context.site, spec=spec))).changes)


def application(cloud: Cloud) -> str:
    listed = cloud.behind("emr-serverless").list_applications()["applications"]
    (found,) = [each for each in listed if each["state"] != "TERMINATED"]
    return str(found["id"])


@AFTER
def test_killed_down(cloud: Cloud, after: bool) -> None:
    at = 1
    while True:
        up(cloud.context())
        up(cloud.context())
        cloud.put("photos/Apple/1.jpg")
        cloud.behind("emr-serverless").start_application(applicationId=application(cloud))
        if not killed(cloud, lambda context: down(context, with_data=True), at, after=after):
            break
        assert down(cloud.context(), with_data=True) == []
        assert cloud.there() == NOTHING, f"killed at call {at}"
        at += 1
    assert at > 3


@AFTER
def test_killed_plan_leaves_what_the_next_up_takes_away(cloud: Cloud, after: bool) -> None:
    up(cloud.context())
    at = 1
    while killed(cloud, plan_up, at, after=after):
        up(cloud.context())
        assert change_sets(cloud) == [], f"killed at call {at}"
        at += 1
        cloud.clear()
        up(cloud.context())
    assert at > 2
