"""What a run of each command may read and write by the stack's template."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from orchard_deploy.site import Site
from orchard_deploy.stack.state import stack_parameters

from tests.deploy.stack.resolved import Resolved, allows
from tests.deploy.stack.test_template import BUCKET

ARGUMENTS = {
    "run": ("--variance", "0.5"),
    "train": ("--labels", "first-word", "--test", "s3://{bucket}/unseen"),
    "evaluate": ("s3://{bucket}/classifier", "--unfamiliar", "s3://{bucket}/others"),
    "predict": ("s3://{bucket}/classifier", "--overwrite"),
    "export": ("s3://{bucket}/classifier", "--quantize", "float16"),
}


def site_of(site: Site, command: str, *arguments: str, **changes: Any) -> Site:
    """The site with a specification of another command."""
    places = {"input": "s3://{bucket}/in", "output": "s3://{bucket}/out"}
    given = {"arguments": arguments or ARGUMENTS[command]}
    return Site(replace(site.spec, command=command, **{**places, **given, **changes}), site.account)


def job_policy(site: Site) -> dict[str, Any]:
    """What a run may do by the stack's template."""
    return Resolved(site, stack_parameters(site, digest=None, makes_bucket=True)).policy()


@pytest.mark.parametrize(
    ("command", "read", "closed"),
    [
        ("run", ["in/a/1.jpg"], ["classifier/classifier.json", "unseen/report.json"]),
        ("train", ["in/report.json", "unseen/features/x"], ["classifier/classifier.json"]),
        ("evaluate", ["in/report.json", "classifier/classifier.json", "others/report.json"], ["unseen/report.json"]),
        ("predict", ["in/a/1.jpg", "classifier/classifier.json"], ["unseen/report.json"]),
        ("export", ["classifier/classifier.json"], ["in/a/1.jpg", "classifier-2/classifier.json"]),
    ],
)
def test_a_run_may_read_what_its_arguments_name_and_writes_to_its_output_alone(
    site: Site, command: str, read: list[str], closed: list[str]
) -> None:
    policy = job_policy(site_of(site, command))
    for key in read:
        assert allows(policy, "s3:GetObject", f"{BUCKET}/{key}")
        assert not allows(policy, "s3:PutObject", f"{BUCKET}/{key}")
    for key in closed:
        assert not allows(policy, "s3:GetObject", f"{BUCKET}/{key}")
    assert allows(policy, "s3:PutObject", f"{BUCKET}/out/x")


def test_a_classifier_in_the_output_is_read_by_the_right_to_keep_it(site: Site) -> None:
    policy = job_policy(site_of(site, "evaluate", "s3://{bucket}/out/classifier"))
    (read,) = [statement for statement in policy["Statement"] if statement["Sid"] == "Read"]
    assert read["Resource"] == [f"{BUCKET}/in", f"{BUCKET}/in/*"]
