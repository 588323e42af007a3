"""From nothing to a run and back to nothing; and the same with the process killed at every single step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.aws import ecr, s3
from deploy.aws.session import Aws
from deploy.choose import choose_run, known_runs
from deploy.context import Context
from deploy.ensure import down, look_up, up
from deploy.errors import AwsError, RefusedError
from deploy.iam import deployer_policy
from deploy.record import Record, RecordFile, Submission
from deploy.rehearsal.registry import moto_client
from deploy.rehearsal.stage import Rehearsal
from deploy.status import status_facts, status_lines
from deploy.submit import Wanted, submit
from deploy.watch import Watch
from tests.aws.conftest import QUICK, REGION, Theatre, context_of, tree_tag, write_tree

LONG_JOB = "import time; print('working', flush=True); time.sleep(60)"


def photos(context: Context) -> None:
    s3.write(context.aws, context.site.input.bucket, f"{context.site.input.prefix}/Apple/1.jpg", b"x")


def there(stage: Rehearsal) -> dict[str, Any]:
    """What exists behind the scenes, asked of moto and of the rehearsal itself."""
    images, roles, buckets = (moto_client(name, stage.moto, REGION) for name in ("ecr", "iam", "s3"))
    return {
        "repositories": [found["repositoryName"] for found in images.describe_repositories()["repositories"]],
        "roles": [found["RoleName"] for found in roles.list_roles()["Roles"]],
        "buckets": [found["Name"] for found in buckets.list_buckets()["Buckets"]],
        "applications": [found.settings["name"] for found in stage.serverless.applications.values() if found.state != "TERMINATED"],
        "runs": [job.id for job in stage.serverless.floor.jobs.values() if not job.stage.final],
    }


NOTHING: dict[str, list[str]] = {"repositories": [], "roles": [], "buckets": [], "applications": [], "runs": []}


def everything(stage: Rehearsal) -> dict[str, Any]:
    return {
        "repositories": ["orchard"],
        "roles": ["orchard-job-us-east-1"],
        "buckets": ["orchard-123456789012-us-east-1"],
        "applications": ["orchard"],
        "runs": there(stage)["runs"],
    }


def test_up_makes_everything_once_and_down_leaves_nothing(tree: Path, stage: Rehearsal) -> None:
    context = context_of(tree)
    up(context)
    up(context)  # the image is there as soon as there is a repository
    assert there(stage) == everything(stage)
    calls = len(stage.faults.log)
    assert up(context).actions == []
    changing = {name for _, name in stage.faults.log[calls:] if not name.startswith(("Get", "List", "Describe", "HEAD", "GET"))}
    assert not changing
    assert down(context, force=False, with_data=False) == []
    assert there(stage) == NOTHING
    assert not (tree / ".orchard").exists()


def test_a_run_from_submission_to_the_record(tree: Path, stage: Rehearsal) -> None:
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


def test_neither_record_nor_lines_hold_the_account_or_a_key(tree: Path, stage: Rehearsal) -> None:
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


def test_down_keeps_the_data_and_what_is_not_its_own(tree: Path, stage: Rehearsal) -> None:
    context = context_of(tree)
    up(context)
    photos(context)
    left = down(context, force=False, with_data=False)
    assert [line.partition(":")[0] for line in left] == ["bucket orchard-{account}-us-east-1"]
    assert there(stage) == {**NOTHING, "buckets": ["orchard-123456789012-us-east-1"]}
    assert down(context, force=False, with_data=True) == []
    assert there(stage) == NOTHING


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


def test_another_image_changes_the_application_and_a_run_under_way_is_not_pulled_from_under(theatre: Theatre, tree: Path) -> None:
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


def test_a_refused_bucket_name_does_not_count_as_ours(tree: Path, stage: Rehearsal) -> None:
    class Taken(Aws):
        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            if operation == "create_bucket":
                error = AwsError("AWS, s3 create_bucket: The requested bucket name is not available (BucketAlreadyExists)")
                raise error
            return super().call(service, operation, parameters)

    context = context_of(tree, aws=Taken(region=REGION))
    with pytest.raises(AwsError, match="BucketAlreadyExists"):
        up(context)
    assert "bucket" not in context.record.read().made
    assert look_up(context_of(tree)).actions[0].operation == "create_bucket"


# Permissions: what the launchers call, against what the deployer's policy allows.

S3_ACTIONS = {
    "head_bucket": "ListBucket", "list_objects_v2": "ListBucket", "get_public_access_block": "GetBucketPublicAccessBlock",
    "put_public_access_block": "PutBucketPublicAccessBlock", "delete_objects": "DeleteObject",
}  # fmt: skip


class Watching(Aws):
    """The door, noting the permission that each call needs."""

    def __init__(self) -> None:
        super().__init__(region=REGION)
        self.needed: set[str] = set()

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._note(service, operation)
        return super().call(service, operation, parameters)

    def pages(self, service: str, operation: str, parameters: Mapping[str, Any], key: str) -> Iterator[Any]:
        self._note(service, operation)
        return super().pages(service, operation, parameters, key)

    def _note(self, service: str, operation: str) -> None:
        name = S3_ACTIONS.get(operation) or "".join(part.capitalize() for part in operation.split("_"))
        if service != "sts":  # anyone may ask who he is
            self.needed.add(f"{service}:{name}")


def test_the_deployers_policy_allows_every_call_and_hardly_more(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    aws = Watching()
    here, there_ = context_of(tree, aws=aws), context_of(tree, aws=aws, target="eks")
    up(here)
    first, second = submit(here, Wanted()), submit(there_, Wanted())
    s3.write(aws, here.site.code.bucket, "code/x.py", b"x")
    s3.read(aws, here.site.output.bucket, "features/report.json")
    s3.count_photos(aws, here.site.input)
    status_facts(here)
    choose_run(there_, None)
    Watch(here, first, patience=0).cancel()
    Watch(there_, second, patience=0).cancel()
    shrunk = stage.serverless.applications[first.place]
    stage.serverless.applications[first.place] = replace(shrunk, settings={**shrunk.settings, "releaseLabel": "emr-7.1.0"})
    update_trust(stage)
    loosen_repository(stage)
    up(here)
    ecr.log_in(aws)
    down(here, force=True, with_data=True)
    allowed = {action for statement in deployer_policy(here.site)["Statement"] for action in statement["Action"]}
    assert aws.needed <= allowed
    pushing = {"BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "GetDownloadUrlForLayer", "InitiateLayerUpload"}
    # Done by the engine's push, or checked by AWS beside another call: tags of what is made, the first start, roles handed over.
    by_others = {
        *(f"ecr:{name}" for name in {*pushing, "PutImage", "UploadLayerPart", "TagResource"}),
        *(f"{service}:TagResource" for service in ("emr-serverless", "emr-containers")),
        *(f"iam:{name}" for name in ("TagRole", "PassRole", "CreateServiceLinkedRole")),
        "emr-serverless:StartApplication",
    }
    assert allowed - aws.needed == by_others


def loosen_repository(stage: Rehearsal) -> None:
    images = moto_client("ecr", stage.moto, REGION)
    images.put_image_tag_mutability(repositoryName="orchard", imageTagMutability="MUTABLE")
    images.put_image_scanning_configuration(repositoryName="orchard", imageScanningConfiguration={"scanOnPush": False})


def update_trust(stage: Rehearsal) -> None:
    iam = moto_client("iam", stage.moto, REGION)
    trust = iam.get_role(RoleName="orchard-job-us-east-1")["Role"]["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Sid"] = "Changed"
    iam.update_assume_role_policy(RoleName="orchard-job-us-east-1", PolicyDocument=json.dumps(trust))
