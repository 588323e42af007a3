"""From nothing to a run and back to nothing; and the same with the process killed at every single step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.aws import s3
from deploy.aws.session import Aws
from deploy.choose import known_runs
from deploy.context import Context
from deploy.ensure import down, look_up, up
from deploy.errors import AwsError, RefusedError
from deploy.record import Submission
from deploy.rehearsal.stage import Rehearsal
from deploy.status import status_facts, status_lines
from deploy.submit import Wanted, submit
from deploy.watch import Watch
from tests.aws.conftest import (
    LONG_JOB,
    NOTHING,
    QUICK,
    REGION,
    Theatre,
    context_of,
    everything,
    there,
    tree_tag,
    write_tree,
)
from tests.aws.memory.stage import MemoryStage


def photos(context: Context) -> None:
    s3.write(context.aws, context.site.input.bucket, f"{context.site.input.prefix}/Apple/1.jpg", b"x")


def test_up_makes_everything_once_and_down_leaves_nothing(tree: Path, stage: MemoryStage) -> None:
    context = context_of(tree)
    up(context)
    up(context)  # the image is there as soon as there is a repository
    assert there(stage) == everything(stage)
    calls = len(stage.faults.log)
    assert up(context).actions == []
    changing = {
        name for _, name in stage.faults.log[calls:] if not name.startswith(("Get", "List", "Describe", "HEAD", "GET"))
    }
    assert not changing
    assert down(context, force=False, with_data=False) == []
    assert there(stage) == NOTHING
    assert not context.record.path.parent.exists()


def test_a_run_from_submission_to_the_record(tree: Path, stage: MemoryStage) -> None:
    context = context_of(tree)
    up(context)
    photos(context)
    submission = submit(context, Wanted(photos=1, extra=("--varieties", "5")))
    (job,) = stage.serverless.floor.jobs.values()
    assert submission.run == job.id
    assert job.request["jobDriver"]["sparkSubmit"]["entryPointArguments"][-2:] == ["--varieties", "5"]
    assert job.request["tags"]["orchard:image"] == tree_tag(tree)
    kept = context.record.read()
    assert kept.runs == (submission,)
    assert kept.made["application"] == submission.place
    assert submission.digest == job.digest


def test_neither_record_nor_lines_hold_the_account_or_a_key(tree: Path, stage: MemoryStage) -> None:
    said: list[str] = []
    context = context_of(tree, said=said)
    up(context)
    submit(context, Wanted())
    shown = json.dumps(status_facts(context)["things"]) + "\n".join(status_lines(status_facts(context)))
    for text in (*said, context.record.path.read_text(), shown):
        assert "123456789012" not in text
        assert "rehearsal" not in text
    assert any("{account}" in line for line in said)


def test_down_refuses_while_a_run_is_active_and_with_force_ends_it_first(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    context = context_of(tree)
    up(context)
    submission = submit(context, Wanted())
    with pytest.raises(RefusedError, match=rf"runs are active: {submission.run} .*down --force"):
        down(context, force=False, with_data=True)
    assert there(stage)["applications"] == ["orchard"]
    assert down(context, force=True, with_data=True) == []
    assert there(stage) == NOTHING


def test_down_keeps_the_data_and_what_is_not_its_own(tree: Path, stage: MemoryStage) -> None:
    context = context_of(tree)
    up(context)
    photos(context)
    left = down(context, force=False, with_data=False)
    assert [line.partition(":")[0] for line in left] == ["bucket orchard-{account}-us-east-1"]
    assert there(stage) == {**NOTHING, "buckets": ["orchard-123456789012-us-east-1"]}
    assert down(context, force=False, with_data=True) == []
    assert there(stage) == NOTHING


def test_an_untagged_bucket_of_another_account_is_not_ours_by_the_record_of_this_one(
    tree: Path, wire: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(context_of(tree))
    other = as_account("210987654321", monkeypatch)
    context = context_of(tree, aws=other)
    bucket = context.site.bucket or ""
    assert bucket == "orchard-210987654321-us-east-1"
    other.call("s3", "create_bucket", {"Bucket": bucket})
    s3.write(other, bucket, "holiday.jpg", b"x")
    assert "bucket orchard-{account}-us-east-1: orchard-deploy did not make it" in down(
        context, force=False, with_data=True
    )
    assert s3.read(other, bucket, "holiday.jpg") == b"x"


def as_account(number: str, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """AWS as another account sees it."""
    role = {"RoleArn": f"arn:aws:iam::{number}:role/deployer", "RoleSessionName": "deployer"}
    keys = Aws(region=REGION).call("sts", "assume_role", role)["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
    return Aws(region=REGION)


def test_a_lost_record_leaks_nothing(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    context = context_of(tree)
    up(context)
    submission = submit(context, Wanted())
    context.record.delete()
    assert up(context).actions == []
    ((entry, run),) = known_runs(context)
    assert (entry.run, entry.tag) == (submission.run, "")
    assert run is not None
    context.record.delete()
    assert down(context, force=True, with_data=True) == []
    assert there(stage) == NOTHING


def test_another_image_changes_the_application_and_a_run_under_way_is_not_pulled_from_under(
    theatre: Theatre, tree: Path
) -> None:
    other = write_tree(tree.parent / "other")
    (other / "app" / "part.py").write_text("# changed\n", encoding="utf-8")
    stage = theatre.open(LONG_JOB, tags=(tree_tag(other),))
    first, second = context_of(tree), context_of(other)
    up(first)
    running = submit(first, Wanted())
    with pytest.raises(RefusedError, match=rf"imageConfiguration must change, and run {running.run} is active"):
        submit(second, Wanted())
    Watch(first, running, patience=0).cancel()
    submission = submit(second, Wanted())
    (application,) = [found for found in stage.serverless.applications.values() if found.state != "TERMINATED"]
    assert application.image is not None
    assert application.image.endswith(submission.digest)
    assert submission.digest != running.digest


def test_an_application_that_begins_to_stop_at_the_wrong_moment_is_waited_for(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(timings=replace(QUICK, stopping=0.5))
    context = context_of(tree)
    up(context)
    up(context)

    class StopsFirst(Aws):
        stopped = False

        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            if operation == "start_job_run" and not self.stopped:
                self.stopped = True
                super().call(service, "start_application", {"applicationId": parameters["applicationId"]})
                while self._state(parameters) != "STARTED":
                    pass
                super().call(service, "stop_application", {"applicationId": parameters["applicationId"]})
            return super().call(service, operation, parameters)

        def _state(self, parameters: Mapping[str, Any]) -> str:
            found = super().call("emr-serverless", "get_application", {"applicationId": parameters["applicationId"]})
            return str(found["application"]["state"])

    submission = submit(context_of(tree, aws=StopsFirst(region=REGION)), Wanted())
    assert submission.run in stage.serverless.floor.jobs


def test_a_bucket_whose_making_was_answered_too_late_is_ours_all_the_same(tree: Path, stage: MemoryStage) -> None:
    class Late(Aws):
        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().call(service, operation, parameters)
            if operation == "create_bucket":  # as where the first answer is lost and botocore asks again
                error = AwsError("AWS, s3 create_bucket: Your previous request succeeded (BucketAlreadyOwnedByYou)")
                error.code = "BucketAlreadyOwnedByYou"
                raise error
            return answer

    up(context_of(tree, aws=Late(region=REGION)))
    assert [action.service for action in look_up(context_of(tree)).actions] == ["emr-serverless"]
    assert down(context_of(tree), force=False, with_data=False) == []
    assert there(stage) == NOTHING


def test_a_submission_to_an_application_that_is_gone_blocks_nothing(tree: Path, stage: MemoryStage) -> None:
    context = context_of(tree)
    up(context)
    lost = Submission(token="t", request="", target="serverless", place="00fgone", tag="", digest="", submitted=0.0)
    context.record.change(lambda known: known.with_run(lost))
    assert [entry.token for entry, _ in known_runs(context)] == ["t"]
    assert down(context, force=False, with_data=True) == []


def test_a_refused_bucket_name_does_not_count_as_ours(tree: Path, stage: MemoryStage) -> None:
    class Taken(Aws):
        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            if operation == "create_bucket":
                error = AwsError(
                    "AWS, s3 create_bucket: The requested bucket name is not available (BucketAlreadyExists)"
                )
                raise error
            return super().call(service, operation, parameters)

    context = context_of(tree, aws=Taken(region=REGION))
    with pytest.raises(AwsError, match="BucketAlreadyExists"):
        up(context)
    assert "bucket" not in context.record.read().made
    assert look_up(context_of(tree)).actions[0].operation == "create_bucket"
