"""The stack from nothing to nothing, in an account in memory."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from orchard_deploy.errors import RefusedError
from orchard_deploy.runs.submit import submit
from orchard_deploy.stack.lifecycle import down, look_down, plan_up, up
from orchard_deploy.stack.state import find_stack, require_outputs

from tests.deploy.cloud import BUCKET, EVERYTHING, NOTHING, Cloud

FIRST = ["Repository", "Bucket", "BucketPolicy", "JobRole"]


def made(cloud: Cloud) -> None:
    """Everything is there, the application too."""
    up(cloud.context())
    up(cloud.context())
    assert cloud.there() == EVERYTHING


def parameters(cloud: Cloud) -> dict[str, str]:
    stack = find_stack(cloud.aws, cloud.context().site)
    assert stack is not None
    return dict(stack.parameters)


def test_up_makes_everything_and_down_leaves_nothing(cloud: Cloud) -> None:
    cloud.take_images()
    first = up(cloud.context())
    assert [(change.action, change.name) for change in first.changes] == [("Add", name) for name in FIRST]
    assert first.waits_for_image
    assert cloud.there() == {**EVERYTHING, "applications": []}
    cloud.push()
    second = up(cloud.context())
    assert [(change.action, change.name) for change in second.changes] == [("Add", "Application")]
    assert cloud.there() == EVERYTHING
    assert up(cloud.context()).changes == ()
    assert down(cloud.context(), with_data=False) == []
    assert cloud.there() == NOTHING
    assert down(cloud.context(), with_data=False) == []


def test_up_prints_changes_and_events(cloud: Cloud) -> None:
    up(cloud.context())
    assert any(line.startswith("Add") and "AWS::ECR::Repository" in line for line in cloud.said)
    assert any(line.startswith("CREATE_COMPLETE") and "JobRole" in line for line in cloud.said)
    assert not [line for line in cloud.said if "123456789012" in line]
    before = len(cloud.said)
    up(cloud.context())
    assert not [line for line in cloud.said[before:] if line.startswith("CREATE_COMPLETE") and "JobRole" in line]


def test_up_without_changes_leaves_no_change_set(cloud: Cloud) -> None:
    made(cloud)
    up(cloud.context())
    plan_up(cloud.context())
    assert cloud.behind("cloudformation").list_change_sets(StackName="orchard")["Summaries"] == []


def test_up_makes_an_application_with_image_cap_and_tags(cloud: Cloud) -> None:
    made(cloud)
    outputs = require_outputs(cloud.aws, cloud.context().site)
    emr = cloud.behind("emr-serverless")
    found = emr.get_application(applicationId=outputs["Application"])["application"]
    assert found["imageConfiguration"]["imageUri"] == outputs["Image"]
    assert "@sha256:" in outputs["Image"]
    most = {name: value.replace(" ", "") for name, value in found["maximumCapacity"].items()}
    assert most == {"cpu": "12vCPU", "memory": "48GB", "disk": "60GB"}
    assert found["schedulerConfiguration"]["maxConcurrentRuns"] == 1
    assert found["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 5}
    assert found["tags"] == {"project": "orchard", "orchard:application": "orchard"}
    assert outputs["Bucket"] == BUCKET
    assert outputs["RoleArn"] == cloud.context().site.role_arn()


def test_plan_up_changes_nothing_and_is_what_up_does(cloud: Cloud) -> None:
    planned = plan_up(cloud.context())
    assert cloud.there() == NOTHING
    assert tuple(planned.changes) == up(cloud.context()).changes
    planned = plan_up(cloud.context())
    assert [change.name for change in planned.changes] == ["Application"]
    assert cloud.there()["applications"] == []
    assert tuple(planned.changes) == up(cloud.context()).changes
    assert plan_up(cloud.context()).changes == ()


def test_up_of_a_changed_cap_changes_the_application_alone(cloud: Cloud) -> None:
    made(cloud)
    changed = up(cloud.context(executors=1)).changes
    assert [(change.action, change.name, change.replaced) for change in changed] == [("Modify", "Application", False)]
    assert parameters(cloud)["MaximumCpu"] == "8vCPU"


def test_up_of_a_changed_cap_refuses_while_a_run_is_active(cloud: Cloud) -> None:
    made(cloud)
    run = submit(cloud.context(), photos=1).id
    with pytest.raises(RefusedError, match=f"run {run} is active"):
        up(cloud.context(executors=1))
    assert cloud.behind("cloudformation").list_change_sets(StackName="orchard")["Summaries"] == []
    cloud.pass_time(1200)
    up(cloud.context(executors=1))
    assert parameters(cloud)["MaximumCpu"] == "8vCPU"


def test_up_of_changed_rights_refuses_while_a_run_is_active_and_needs_no_stop(cloud: Cloud) -> None:
    made(cloud)
    run = submit(cloud.context(), photos=1).id
    moved = cloud.context(output="s3://{bucket}/elsewhere")
    with pytest.raises(RefusedError, match=f"JobRole must change, and run {run} is active"):
        up(moved)
    cloud.pass_time(800)
    assert [change.name for change in up(moved).changes] == ["JobRole"]
    assert not any(line.startswith("stop application") for line in cloud.said)


def test_up_shows_that_a_bucket_stays_which_the_specification_no_longer_names(cloud: Cloud) -> None:
    made(cloud)
    up(cloud.context(bucket="orchard-two-{account}"))
    assert any(line.startswith("DELETE_SKIPPED") and "Bucket" in line for line in cloud.said)
    assert BUCKET in cloud.there()["buckets"]


def test_up_stops_an_application_before_it_changes(cloud: Cloud) -> None:
    made(cloud)
    submit(cloud.context(), photos=1)
    cloud.pass_time(800)
    up(cloud.context(executors=1))
    assert any(line.startswith("stop application") for line in cloud.said)


def test_up_keeps_the_applications_image_until_the_new_one_is_pushed(cloud: Cloud) -> None:
    made(cloud)
    before = parameters(cloud)
    (cloud.tree / "app" / "part.py").write_text("# changed\n", encoding="utf-8")
    cloud.take_images()
    found = up(cloud.context(release_label="emr-7.14.0"))
    assert (found.changes, found.waits_for_image) == ((), True)
    assert parameters(cloud) == before
    with pytest.raises(RefusedError, match="ReleaseLabel"):
        submit(cloud.context(release_label="emr-7.14.0"), photos=1)
    with pytest.raises(RefusedError, match="ECR does not have it"):
        submit(cloud.context(), photos=1)
    cloud.push()
    with pytest.raises(RefusedError, match="orchard-deploy up"):
        submit(cloud.context(), photos=1)
    assert [change.name for change in up(cloud.context()).changes] == ["Application"]
    assert parameters(cloud)["ImageDigest"] != before["ImageDigest"]


def test_up_on_eks_neither_makes_nor_removes_an_application(cloud: Cloud) -> None:
    up(cloud.context(target="eks"))
    assert up(cloud.context(target="eks")).changes == ()
    assert cloud.there() == {**EVERYTHING, "applications": []}
    up(cloud.context())
    assert up(cloud.context(target="eks")).changes == ()
    assert cloud.there() == EVERYTHING


def test_up_replaces_a_renamed_repository(cloud: Cloud) -> None:
    made(cloud)
    changed = {
        change.name: (change.action, change.replaced) for change in up(cloud.context(repository="pears")).changes
    }
    assert changed == {"Repository": ("Modify", True), "Application": ("Remove", False)}  # its image is gone, too
    assert cloud.there() == {**EVERYTHING, "repositories": ["pears"], "applications": []}
    up(cloud.context(repository="pears"))
    assert cloud.there() == {**EVERYTHING, "repositories": ["pears"]}


def test_up_of_changed_tags_reaches_everything(cloud: Cloud) -> None:
    made(cloud)
    up(cloud.context(tags={"project": "pears"}))
    wanted = {"project": "pears", "orchard:application": "orchard"}
    (repository,) = cloud.behind("ecr").describe_repositories()["repositories"]
    listed = [
        cloud.behind("ecr").list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"],
        cloud.behind("s3").get_bucket_tagging(Bucket=BUCKET)["TagSet"],
        cloud.behind("iam").list_role_tags(RoleName="orchard-job-us-east-1")["Tags"],
    ]
    assert [{tag["Key"]: tag["Value"] for tag in tags} for tags in listed] == [wanted] * 3


def test_down_leaves_a_bucket_with_data_and_up_adopts_it(cloud: Cloud) -> None:
    made(cloud)
    cloud.put("photos/Apple/1.jpg")
    left = down(cloud.context(), with_data=False)
    assert ["--with-data" in line for line in left] == [True]
    assert "123456789012" not in left[0]
    assert cloud.there() == {**NOTHING, "buckets": [BUCKET]}
    made(cloud)
    assert parameters(cloud)["MakeBucket"] == "no"
    assert submit(cloud.context(), photos=1).id
    cloud.pass_time(1200)
    assert down(cloud.context(), with_data=True) == []
    assert cloud.there() == NOTHING


def test_up_uses_and_down_leaves_a_bucket_that_somebody_made(cloud: Cloud) -> None:
    cloud.behind("s3").create_bucket(Bucket=BUCKET)
    made(cloud)
    left = down(cloud.context(), with_data=True)
    assert [line.endswith("did not make it") for line in left] == [True]
    assert cloud.there() == {**NOTHING, "buckets": [BUCKET]}


def test_down_refuses_while_a_run_is_active(cloud: Cloud) -> None:
    made(cloud)
    run = submit(cloud.context(), photos=1).id
    with pytest.raises(RefusedError, match=f"--run {run}.*`orchard-deploy cancel`"):
        down(cloud.context(), with_data=True)
    assert cloud.there() == EVERYTHING
    cloud.pass_time(1200)
    assert down(cloud.context(), with_data=True) == []
    assert cloud.there() == NOTHING


def test_down_knows_runs_on_eks(cloud: Cloud) -> None:
    up(cloud.context(target="eks"))
    run = submit(cloud.context(target="eks"), photos=1).id
    with pytest.raises(RefusedError, match=f"{run} .*--target eks"):
        down(cloud.context(), with_data=True)
    cloud.pass_time(1200)
    assert down(cloud.context(), with_data=True) == []


def test_look_down_does_nothing(cloud: Cloud) -> None:
    made(cloud)
    cloud.put("photos/Apple/1.jpg")
    lines = list(look_down(cloud.context(), with_data=False))
    assert [line.split()[0] for line in lines] == ["delete", "leave"]
    assert [line.split()[0] for line in look_down(cloud.context(), with_data=True)] == ["delete"] * 2
    assert cloud.there() == EVERYTHING


def test_down_leaves_an_application_of_the_same_name_outside_of_the_stack(cloud: Cloud) -> None:
    emr = cloud.behind("emr-serverless")
    other = emr.create_application(name="orchard", releaseLabel="emr-7.13.0", type="SPARK")["applicationId"]
    up(cloud.context())
    up(cloud.context())
    assert cloud.there()["applications"] == ["orchard", "orchard"]
    submission = submit(cloud.context(), photos=1)
    assert submission.place != other
    cloud.pass_time(1200)
    down(cloud.context(), with_data=True)
    assert emr.get_application(applicationId=other)["application"]["applicationId"] == other
    assert cloud.there()["applications"] == ["orchard"]


def test_up_leaves_a_repository_that_somebody_made(cloud: Cloud) -> None:
    cloud.behind("ecr").create_repository(repositoryName="orchard")
    with pytest.raises(RefusedError, match="ROLLBACK_COMPLETE: Repository: "):
        up(cloud.context())
    assert down(cloud.context(), with_data=False) == []
    assert cloud.there() == {**NOTHING, "repositories": ["orchard"]}


def test_every_command_leaves_a_stack_of_somebody_else(cloud: Cloud) -> None:
    own = cloud.context()
    other = replace(own, site=replace(own.site, spec=replace(own.site.spec, name="orchard.", tags={})))
    assert other.site.spec.name != own.site.spec.name
    template = json.dumps(
        {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}}}
    )
    make_stack(cloud, template)
    for act in (up, lambda context: down(context, with_data=True), lambda c: submit(c, photos=1)):
        with pytest.raises(RefusedError, match="choose another `name`"):
            act(cloud.context())
    with pytest.raises(RefusedError, match="choose another `name`"):
        list(look_down(cloud.context(), with_data=True))
    assert cloud.there()["stacks"] == ["orchard"]


def make_stack(cloud: Cloud, template: str, **more: object) -> None:
    """Make a stack of our name by other means."""
    cloudformation = cloud.behind("cloudformation")
    named = {"StackName": "orchard", "ChangeSetName": "by-hand"}
    cloudformation.create_change_set(
        **named, ChangeSetType="CREATE", TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"], **more
    )
    cloudformation.execute_change_set(**named)
    cloud.pass_time(60)


def test_require_outputs_without_a_stack(cloud: Cloud) -> None:
    with pytest.raises(RefusedError, match="`orchard-deploy up` makes it"):
        submit(cloud.context(), photos=1)


def test_require_outputs_refuses_a_role_of_another_specification(cloud: Cloud) -> None:
    made(cloud)
    with pytest.raises(RefusedError, match="WriteArns"):
        submit(cloud.context(output="s3://{bucket}/elsewhere"), photos=1)


def test_up_that_failed_halfway_is_mended_by_down_and_up(cloud: Cloud) -> None:
    cloud.behind("iam").create_role(RoleName="orchard-job-us-east-1", AssumeRolePolicyDocument="{}")
    with pytest.raises(RefusedError, match=r"ROLLBACK_COMPLETE: JobRole: .*orchard-job-us-east-1"):
        up(cloud.context())
    with pytest.raises(RefusedError, match="orchard-deploy down"):
        up(cloud.context())
    with pytest.raises(RefusedError, match="orchard-deploy down"):
        plan_up(cloud.context())
    with pytest.raises(RefusedError, match="orchard-deploy down"):
        submit(cloud.context(), photos=1)
    assert down(cloud.context(), with_data=False) == []
    cloud.behind("iam").delete_role(RoleName="orchard-job-us-east-1")
    made(cloud)
