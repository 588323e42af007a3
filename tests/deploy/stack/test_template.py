"""The template: linters and the services' models take it, it holds the cap, and it gives no right too many."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from orchard_deploy.runs import payloads
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import capacity
from orchard_deploy.stack.lifecycle import additions
from orchard_deploy.stack.state import TEMPLATE, stack_parameters
from orchard_deploy.targets import EKS, SERVERLESS, Target

from tests.deploy.stack.conftest import DIGEST
from tests.deploy.stack.resolved import Resolved, allows, parsed
from tests.deploy.stack.specifications import sites

BUCKET = "arn:aws:s3:::orchard-123456789012-us-east-1"
MODELS = botocore.session.get_session()


def resolved(site: Site, *, digest: str | None = DIGEST, makes_bucket: bool = True) -> Resolved:
    return Resolved(site, stack_parameters(site, digest=digest, makes_bucket=makes_bucket))


def test_cfn_lint_finds_nothing() -> None:
    from cfnlint.api import lint

    assert [str(match) for match in lint(TEMPLATE)] == []


def test_a_call_takes_the_template_as_it_is() -> None:
    assert len(TEMPLATE.encode()) < 51_200


@settings(max_examples=50, deadline=None)
@given(site=sites())
def test_every_specification_makes_parameters_that_the_template_takes(site: Site) -> None:
    given_, asked = stack_parameters(site, digest=DIGEST, makes_bucket=True), parsed()["Parameters"]
    assert given_.keys() == asked.keys()
    for name, value in given_.items():
        assert len(value) <= 4096
        assert re.search(asked[name].get("AllowedPattern", ""), value), name
        assert value in asked[name].get("AllowedValues", [value]), name
        assert float(asked[name].get("MinValue", 0)) <= float(value) if asked[name]["Type"] == "Number" else True


@settings(max_examples=50, deadline=None)
@given(site=sites())
def test_every_specifications_application_and_run_hold_the_cap(site: Site) -> None:
    application, spec = resolved(site).properties("Application"), site.spec
    most = capacity(spec)
    assert application["MaximumCapacity"] == {
        "Cpu": f"{spec.driver.cpu + spec.executors * spec.executor.cpu}vCPU",
        "Memory": f"{spec.driver.memory + spec.executors * spec.executor.memory}GB",
        "Disk": f"{spec.driver.disk + spec.executors * spec.executor.disk}GB",
    }
    assert application["SchedulerConfiguration"]["MaxConcurrentRuns"] == 1
    assert "InitialCapacity" not in application
    assert application["ImageConfiguration"]["ImageUri"].endswith(f"/{spec.repository}@{DIGEST}")
    for submit in (start(site)["jobDriver"]["sparkSubmit"], start(site, EKS)["jobDriver"]["sparkSubmitJobDriver"]):
        conf = dict(re.findall(r"--conf (\S+?)=(\S+)", submit["sparkSubmitParameters"]))
        assert conf["spark.dynamicAllocation.enabled"] == "false"
        for name in ("initialExecutors", "minExecutors", "maxExecutors"):
            assert conf[f"spark.dynamicAllocation.{name}"] == str(spec.executors)
        assert conf["spark.executor.instances"] == str(spec.executors)
        assert conf["spark.cores.max"] == str(most.cpu - spec.driver.cpu)


@settings(max_examples=30, deadline=None)
@given(site=sites())
def test_the_services_models_take_every_specification(site: Site) -> None:
    application = _camel(resolved(site).properties("Application"))
    check("emr-serverless", "CreateApplication", {"clientToken": "t", **application})
    check("emr-serverless", "StartJobRun", start(site))
    check("emr-containers", "StartJobRun", start(site, EKS))


def start(site: Site, target: Target = SERVERLESS) -> dict[str, Any]:
    outputs = {"Application": "00f1"}
    request = payloads.start_job_run(site, target, outputs=outputs, tag="emr-7.13.0-x", digest=DIGEST)
    return {**request, "clientToken": "t" * 64}


def check(service: str, operation: str, parameters: Mapping[str, Any]) -> None:
    shape = MODELS.get_service_model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(parameters, shape)
    assert not report.has_errors(), report.generate_report()


def _camel(value: Any) -> Any:
    """CloudFormation's names of the application's properties, as its calls have them."""
    if not isinstance(value, dict):
        return value
    named = {f"{name[0].lower()}{name[1:]}": _camel(inner) for name, inner in value.items()}
    return {name: int(inner) if name == "idleTimeoutMinutes" else inner for name, inner in named.items()}


@pytest.mark.parametrize(("digest", "makes_bucket"), [(None, True), (None, False), (DIGEST, True), (DIGEST, False)])
def test_additions_follow_the_templates_own_conditions(site: Site, digest: str | None, makes_bucket: bool) -> None:
    parameters = stack_parameters(site, digest=digest, makes_bucket=makes_bucket)
    found = resolved(site, digest=digest, makes_bucket=makes_bucket)
    assert {change.name: change.type for change in additions(parameters)} == {
        name: each["Type"] for name, each in found.resources.items()
    }
    assert ("Application" in found.outputs) == ("Image" in found.outputs) == (digest is not None)
    assert ("Bucket" in found.resources) == ("BucketPolicy" in found.resources) == makes_bucket
    assert found.outputs["Bucket"] == site.bucket


def test_without_a_bucket_of_its_own_there_is_none(site: Site) -> None:
    spec = replace(site.spec, bucket=None, input="s3://fruits/b", output="s3://fruits/c", logs=None)
    found = resolved(Site(spec, site.account), makes_bucket=False)
    assert not {"Bucket", "BucketPolicy"} & found.resources.keys()
    assert "Bucket" not in found.outputs
    assert [each["Sid"] for each in found.policy()["Statement"]] == ["List", "Read", "KeepOutput"]


def test_photos_outlive_the_stack_and_images_do_not(site: Site) -> None:
    found = resolved(site)
    assert {found.resources[name]["DeletionPolicy"] for name in ("Bucket", "BucketPolicy")} == {"Retain"}
    assert found.properties("Repository")["EmptyOnDelete"] is True


def test_the_bucket_is_closed_and_the_tags_of_images_are_fixed(site: Site) -> None:
    found = resolved(site)
    assert set(found.properties("Bucket")["PublicAccessBlockConfiguration"].values()) == {True}
    (tls,) = found.properties("BucketPolicy")["PolicyDocument"]["Statement"]
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert tls["Resource"] == [BUCKET, f"{BUCKET}/*"]
    assert found.properties("Repository")["ImageTagMutability"] == "IMMUTABLE"


def test_the_names_are_those_that_a_runs_input_has_offline(site: Site) -> None:
    assert resolved(site).properties("JobRole")["RoleName"] == site.role_arn().partition("/")[2]


def test_no_right_is_for_whole_services_or_every_resource(site: Site) -> None:
    for statement in resolved(site).policy()["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action] or isinstance(statement["Action"], str)
        assert "*" not in statement["Action"]
        assert all(arn.startswith(BUCKET) for arn in statement["Resource"])
        assert statement["Effect"] == "Allow"


def test_a_run_reads_photos_keeps_its_output_and_writes_logs(site: Site) -> None:
    policy = resolved(site).policy()
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
    assert not allows(resolved(site).policy(), action, f"{BUCKET}/{key}")


@settings(max_examples=40, deadline=None)
@given(site=sites())
def test_whatever_is_read_may_be_listed_and_read_and_only_the_output_changed(site: Site) -> None:
    policy, root = resolved(site).policy(), f"arn:{site.account.partition}:s3:::"
    for place in (*site.reads.values(), site.output):
        assert allows(policy, "s3:GetObject", f"{root}{place.bucket}/{place.prefix}/x".replace("//x", "/x"))
        assert allows(policy, "s3:ListBucket", f"{root}{place.bucket}")
    assert allows(policy, "s3:DeleteObject", f"{root}{site.output.bucket}/{site.output.prefix}/x".replace("//x", "/x"))
    assert allows(policy, "s3:DeleteObject", f"{root}fruits/elsewhere/x") == (str(site.output) == "s3://fruits")


def test_only_the_prefixes_of_the_run_are_listed(site: Site) -> None:
    (statement,) = [each for each in resolved(site).policy()["Statement"] if each["Action"] == "s3:ListBucket"]
    assert statement["Resource"] == [BUCKET]
    prefixes = statement["Condition"]["StringLike"]["s3:prefix"]
    assert {"photos", "photos/*", "features", "features/*"} <= set(prefixes)
    assert not [prefix for prefix in prefixes if prefix in ("", "*")]


def test_a_bucket_that_is_all_input_may_be_listed_whole(site: Site) -> None:
    policy = resolved(Site(replace(site.spec, input="s3://fruits"), site.account)).policy()
    (statement,) = [each for each in policy["Statement"] if each["Action"] == "s3:ListBucket"]
    assert "Condition" not in statement
    assert allows(policy, "s3:GetObject", "arn:aws:s3:::fruits/1.jpg")


def test_the_service_acts_for_this_account_only(site: Site) -> None:
    found = resolved(site)
    (trust,) = found.properties("JobRole")["AssumeRolePolicyDocument"]["Statement"]
    (images,) = found.properties("Repository")["RepositoryPolicyText"]["Statement"]
    assert trust["Principal"] == images["Principal"] == {"Service": "emr-serverless.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert images["Condition"] == {
        "ArnLike": {"aws:SourceArn": "arn:aws:emr-serverless:us-east-1:123456789012:/applications/*"}
    }


def test_the_partition_of_china_is_kept(site: Site) -> None:
    policy = resolved(Site(site.spec, Account(id="123456789012", region="cn-north-1", partition="aws-cn"))).policy()
    assert {arn.split(":")[1] for statement in policy["Statement"] for arn in statement["Resource"]} == {"aws-cn"}
