"""The process killed at every single step of changing a running application.

It is found, changed once, and stays the only one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.context import Context
from deploy.ensure import down, up
from deploy.spec import SPEC_FILE
from deploy.status import status_facts
from deploy.submit import Wanted, submit
from tests.aws.conftest import LONG_JOB, NOTHING, QUICK, Theatre, behind, context_of, everything, there
from tests.aws.memory.stage import MemoryStage
from tests.aws.mortal import KilledError, Steps, mortal

Act = Callable[[Context], object]
SMALL = {"cpu": "8vCPU", "memory": "32GB", "disk": "40GB"}


def submit_one(context: Context) -> str | None:
    return submit(context, Wanted(photos=1)).run


@pytest.fixture
def slow(theatre: Theatre) -> MemoryStage:
    """A rehearsal in which the next call meets an application that is still stopping."""
    return theatre.open(LONG_JOB, timings=replace(QUICK, stopping=0.2))


def running_other(context: Context, stage: MemoryStage) -> str:
    """Everything is there, and the application has started; somebody has made its capacity smaller. Returns its id."""
    up(context)
    up(context)
    (found,) = [each for each in stage.serverless.applications.values() if each.state != "TERMINATED"]
    changed = replace(found, settings={**found.settings, "maximumCapacity": SMALL})
    stage.serverless.applications[found.id] = changed.to("STARTED", stage.serverless.clock())
    return found.id


def killed(act: Act, context: Context, at: int, *, after: bool) -> bool:
    """Whether there was such a step to be killed at."""
    try:
        act(mortal(context, Steps(at, after=after)))
    except KilledError:
        return True
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after the step"])
@pytest.mark.parametrize(("act", "least"), [(up, 2), (submit_one, 5)], ids=["up", "submit"])
def test_killed_at_any_step_of_a_change_the_next_call_completes_it(
    slow: MemoryStage, tree: Path, act: Act, least: int, after: bool
) -> None:
    context, at = context_of(tree), 1
    application = running_other(context, slow)
    while killed(act, context, at, after=after):
        made = act(context)
        assert there(slow) == {**everything(slow), "runs": [made] if act is submit_one else []}, f"killed at step {at}"
        assert slow.serverless.applications[application].settings["maximumCapacity"] == {
            "cpu": "12vCPU",
            "memory": "48GB",
            "disk": "60GB",
        }
        assert context.record.read().made["application"] == application
        assert up(context).actions == []
        assert down(context, force=True, with_data=True) == []
        application, at = running_other(context, slow), at + 1
    assert at > least


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after the step"])
def test_killed_at_any_step_of_tagging_the_next_call_completes_it(theatre: Theatre, tree: Path, after: bool) -> None:
    stage, context, at = theatre.open(), context_of(tree), 1
    up(context)
    up(context)
    say_tags(tree, {"project": "step 1"})
    while killed(up, context, at, after=after):
        again = context_of(tree, aws=context.aws)
        up(again)
        assert up(again).actions == []
        assert tags_of(stage) == [{"orchard:application": "orchard", "project": f"step {at}"}] * 4, (
            f"killed at step {at}"
        )
        assert there(stage) == everything(stage)
        at += 1
        say_tags(tree, {"project": f"step {at}"})
    assert at == 5


def say_tags(tree: Path, tags: dict[str, str]) -> None:
    path = tree / SPEC_FILE
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "tags": tags}), encoding="utf-8")


def tags_of(stage: MemoryStage) -> list[dict[str, str]]:
    """Of repository, bucket, role and application, asked behind the scenes."""
    images, buckets, roles = (behind(stage, name) for name in ("ecr", "s3", "iam"))
    (repository,) = images.describe_repositories()["repositories"]
    listed = [
        images.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"],
        buckets.get_bucket_tagging(Bucket="orchard-123456789012-us-east-1")["TagSet"],
        roles.list_role_tags(RoleName="orchard-job-us-east-1")["Tags"],
    ]
    (application,) = stage.serverless.applications.values()
    return [*({tag["Key"]: tag["Value"] for tag in tags} for tags in listed), dict(application.tags)]


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after the step"])
def test_killed_at_any_step_of_a_change_status_and_down_find_it(slow: MemoryStage, tree: Path, after: bool) -> None:
    context, at = context_of(tree), 1
    application = running_other(context, slow)
    while killed(submit_one, context, at, after=after):
        facts = status_facts(context)
        (told,) = [thing for thing in facts["things"] if thing["kind"] == "application"]
        assert (told["name"], told["state"].partition(", ")[2]) == (application, "made by orchard-deploy")
        unchanged = slow.serverless.applications[application].settings["maximumCapacity"] == SMALL
        assert (
            [line for line in facts["to_do"] if "maximumCapacity" in line] != [] if unchanged else facts["to_do"] == []
        )
        assert {run["id"] for run in facts["runs"] if run["id"]} == set(there(slow)["runs"])
        assert down(context, force=True, with_data=True) == []
        assert there(slow) == NOTHING, f"killed at step {at}"
        application, at = running_other(context, slow), at + 1
    assert at > 5
