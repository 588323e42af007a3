"""What is said of a stack in each of its states: a line that says what to do, where something is in the way."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import botocore.session
import pytest
from orchard_deploy.aws import Aws
from orchard_deploy.errors import RefusedError
from orchard_deploy.site import Site
from orchard_deploy.stack.state import IN_REVIEW, Stack, find_stack, obstacle, outdated, stack_parameters
from orchard_deploy.targets import EKS

from tests.deploy.stack.conftest import DIGEST

STATES = botocore.session.get_session().get_service_model("cloudformation").shape_for("StackStatus").enum
GOOD = {
    "CREATE_COMPLETE",
    "DELETE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}


def stack(site: Site, status: str = "CREATE_COMPLETE", **changes: str) -> Stack:
    parameters = {**stack_parameters(site, digest=DIGEST, makes_bucket=True), **changes}
    return Stack(name="orchard", id="1", status=status, reason="", parameters=parameters, outputs={})


@pytest.mark.parametrize("status", STATES)
def test_obstacle_knows_each_state_of_cloudformation(site: Site, status: str) -> None:
    line = obstacle(stack(site, status))
    assert (line is None) == (status in GOOD)
    if line:
        assert status in line
        assert "\n" not in line
        advised = "orchard-deploy down" if status.startswith(("CREATE_", "ROLLBACK_", "DELETE_")) else "`"
        assert ("orchard-deploy up" if status.endswith("_IN_PROGRESS") else advised) in line


def test_made_bucket_is_the_one_of_the_parameters_unless_it_was_there(site: Site) -> None:
    assert stack(site).made_bucket == site.bucket
    assert stack(site, MakeBucket="no").made_bucket is None


@pytest.mark.parametrize("tags", [[], [{"Key": "orchard:application", "Value": "pears"}]])
@pytest.mark.parametrize("status", STATES)
def test_find_stack_refuses_one_of_somebody_else_in_every_state(
    site: Site, status: str, tags: list[dict[str, str]]
) -> None:
    found = {"StackName": "orchard", "StackId": "1", "StackStatus": status, "Tags": tags}
    aws = Mock(spec=Aws, call=Mock(spec=Aws.call, return_value={"Stacks": [found]}))
    if status in (IN_REVIEW, "DELETE_IN_PROGRESS") and not tags:
        assert find_stack(aws, site)
    else:
        with pytest.raises(RefusedError, match="choose another `name`"):
            find_stack(aws, site)


def test_obstacle_of_a_drifted_stack(site: Site) -> None:
    assert "describe-stack-resource-drifts" in (obstacle(replace(stack(site), drifted=True)) or "")


def test_outdated_does_not_count_the_image(site: Site) -> None:
    assert outdated(site, stack(site)) is None
    assert outdated(site, stack(site, ImageDigest="")) is None
    assert outdated(site, stack(site, MakeBucket="no")) is None


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"output": "s3://{bucket}/other"}, "WriteArns"),
        ({"executors": 1}, "MaximumCpu"),
        ({"bucket": "mine", "output": "s3://mine/x"}, "BucketName"),
        ({"release_label": "emr-7.14.0"}, "ReleaseLabel"),
    ],
)
def test_outdated_names_what_differs(site: Site, change: dict[str, str], name: str) -> None:
    line = outdated(Site(replace(site.spec, **change), site.account), stack(site))  # type: ignore[arg-type]
    assert line is not None
    assert name in line


def test_outdated_on_eks_counts_repository_and_bucket_only(site: Site) -> None:
    assert outdated(Site(replace(site.spec, executors=1), site.account), stack(site), EKS) is None
    assert outdated(Site(replace(site.spec, repository="other"), site.account), stack(site), EKS) is not None
