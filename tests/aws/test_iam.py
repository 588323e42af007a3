"""The policies: no more than is needed, for this account.

They are enough for every call that the launchers make (see test_lifecycle).
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.__main__ import main
from deploy.compare import same_policy
from deploy.iam import deployer_policy, job_policy, job_trust, repository_policy
from deploy.site import Account, Site

BUCKET = "arn:aws:s3:::orchard-123456789012-us-east-1"


def allows(policy: dict[str, Any], action: str, resource: str) -> bool:
    """Whether a statement allows an action on a resource, conditions apart."""
    return any(
        action in statement["Action"]
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in policy["Statement"]
    )


def actions(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_no_policy_allows_whole_services_or_every_resource(site: Site) -> None:
    for policy in (job_policy(site), deployer_policy(site), repository_policy(site), job_trust(site)):
        assert not [action for action in actions(policy) if "*" in action]
        everywhere = [statement["Sid"] for statement in policy["Statement"] if "*" in statement.get("Resource", ())]
        assert everywhere in ([], ["LogInToRegistry"])  # ECR's login knows no resources
        assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}


def test_a_run_reads_photos_keeps_its_output_and_writes_logs(site: Site) -> None:
    policy = job_policy(site)
    assert allows(policy, "s3:GetObject", f"{BUCKET}/photos/Apple/1.jpg")
    assert allows(policy, "s3:PutObject", f"{BUCKET}/features/report.json")
    assert allows(policy, "s3:DeleteObject", f"{BUCKET}/features/.partial/x")
    assert allows(policy, "s3:PutObject", f"{BUCKET}/logs/applications/x")
    assert allows(policy, "s3:GetObject", f"{BUCKET}/features")  # else S3 says 403 where a file system expects 404


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("s3:PutObject", "photos/Apple/1.jpg"),
        ("s3:DeleteObject", "photos/Apple/1.jpg"),
        ("s3:DeleteObject", "logs/x"),
        ("s3:GetObject", "logs/x"),
        ("s3:PutObject", "code/main.py"),
        ("s3:GetObject", "featuresque/x"),
    ],
)
def test_a_run_may_do_nothing_else(site: Site, action: str, key: str) -> None:
    assert not allows(job_policy(site), action, f"{BUCKET}/{key}")


def test_only_the_prefixes_of_the_run_are_listed(site: Site) -> None:
    (statement,) = [each for each in job_policy(site)["Statement"] if each["Action"] == ["s3:ListBucket"]]
    assert statement["Resource"] == [BUCKET]
    prefixes = statement["Condition"]["StringLike"]["s3:prefix"]
    assert {"photos", "photos/*", "features", "features/*"} <= set(prefixes)
    assert not [prefix for prefix in prefixes if prefix in ("", "*")]


def test_a_bucket_that_is_all_input_may_be_listed_whole(site: Site) -> None:
    policy = job_policy(Site(replace(site.spec, input="s3://fruits"), site.account))
    whole = [each for each in policy["Statement"] if each["Resource"] == ["arn:aws:s3:::fruits"]]
    assert [each.get("Condition") for each in whole] == [None]
    assert allows(policy, "s3:GetObject", "arn:aws:s3:::fruits/1.jpg")


def test_the_service_acts_for_this_account_only(site: Site) -> None:
    (trust,), (images,) = job_trust(site)["Statement"], repository_policy(site)["Statement"]
    assert trust["Principal"] == images["Principal"] == {"Service": "emr-serverless.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert images["Condition"] == {
        "ArnLike": {"aws:SourceArn": "arn:aws:emr-serverless:us-east-1:123456789012:/applications/*"}
    }


def test_the_deployer_touches_only_what_carries_the_name(site: Site) -> None:
    policy = deployer_policy(site)
    by_sid = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert by_sid["RunJobs"]["Condition"] == {"StringEquals": {"aws:ResourceTag/orchard:application": "orchard"}}
    assert by_sid["MakeApplications"]["Condition"] == {
        "StringEquals": {"aws:RequestTag/orchard:application": "orchard"}
    }
    assert by_sid["HandOverJobRole"]["Resource"] == ["arn:aws:iam::123456789012:role/orchard-job-us-east-1"]
    assert by_sid["HandOverJobRole"]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}
    }
    assert not allows(policy, "iam:CreateRole", "arn:aws:iam::123456789012:role/admin")
    assert not allows(policy, "s3:DeleteObject", "arn:aws:s3:::someone-elses/x")


def test_the_partition_of_china_is_kept(site: Site) -> None:
    policy = job_policy(Site(site.spec, Account(id="123456789012", region="cn-north-1", partition="aws-cn")))
    assert {arn.split(":")[1] for statement in policy["Statement"] for arn in statement["Resource"]} == {"aws-cn"}


def test_policies_that_say_the_same_are_the_same_whatever_their_form(site: Site) -> None:
    wanted = job_policy(site)
    changed = json.loads(json.dumps(wanted))
    for statement in changed["Statement"]:
        statement["Action"] = (
            statement["Action"][0] if len(statement["Action"]) == 1 else list(reversed(statement["Action"]))
        )
    assert same_policy(wanted, changed)
    changed["Statement"][0]["Resource"] = ["*"]
    assert not same_policy(wanted, changed)
    assert not same_policy(wanted, None)


def test_the_deployer_may_look_at_every_bucket_that_is_named(site: Site) -> None:
    spec = replace(site.spec, input="s3://fruits/a", logs="s3://logs", entry_point="s3://code/main.py")
    policy = deployer_policy(Site(spec, site.account))
    for bucket in ("fruits", "logs", "code", "orchard-123456789012-us-east-1"):
        assert allows(policy, "s3:ListBucket", f"arn:aws:s3:::{bucket}")


@pytest.mark.parametrize("name", ["job-trust", "repository"])
def test_what_eks_has_otherwise_is_not_printed_as_if_it_held_there(
    tree: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["iam", name, "--target", "eks", "--account", "123456789012", "--region", "us-east-1"]
    assert main([*words, "--spec", str(tree / "emr-serverless.json")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"iam {name} --target eks: " in captured.err


@pytest.mark.parametrize("name", ["deployer", "job", "job-trust", "repository"])
def test_the_command_prints_a_policy_without_asking_aws(
    tree: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["iam", name, "--account", "123456789012", "--region", "us-east-1", "--spec", str(tree / "emr-serverless.json")]
    )
    assert code == 0
    assert json.loads(capsys.readouterr().out)["Version"] == "2012-10-17"
