"""The rehearsal over HTTP, asked by boto3 as any program would ask AWS."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from deploy.iam import job_trust, repository_policy
from deploy.rehearsal.stage import Rehearsal
from deploy.site import Site
from tests.aws.conftest import QUICK, Theatre, tree_tag

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard"
ROLE = "arn:aws:iam::123456789012:role/job"


class Account:
    """Clients, and an account with an image, a role and a bucket."""

    def __init__(self, theatre: Theatre, site: Site, stage: Rehearsal) -> None:
        self.tag, self.stage = tree_tag(theatre.tree), stage
        services = ("ecr", "iam", "s3", "emr-serverless")
        self.ecr, self.iam, self.s3, self.emr = (
            boto3.client(name, config=Config(retries={"total_max_attempts": 1})) for name in services
        )
        self.ecr.create_repository(repositoryName="orchard", imageTagMutability="IMMUTABLE")
        self.ecr.set_repository_policy(repositoryName="orchard", policyText=json.dumps(repository_policy(site)))
        self.iam.create_role(RoleName="job", AssumeRolePolicyDocument=json.dumps(job_trust(site)))
        self.s3.create_bucket(Bucket="logs")

    def application(self, **settings: Any) -> str:
        made = self.emr.create_application(
            name="orchard",
            type="SPARK",
            releaseLabel="emr-7.13.0",
            imageConfiguration={"imageUri": f"{IMAGE}:{self.tag}"},
            **settings,
        )
        self.until(lambda: self.state(made["applicationId"]) == "CREATED")
        return str(made["applicationId"])

    def state(self, application: str) -> str:
        return str(self.emr.get_application(applicationId=application)["application"]["state"])

    def start(self, application: str, parameters: str = "--conf spark.executor.instances=2", **more: Any) -> str:
        submit = {"entryPoint": "local:///main.py", "entryPointArguments": ["a"], "sparkSubmitParameters": parameters}
        logs = {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://logs/runs/"}}}
        answer = self.emr.start_job_run(
            applicationId=application,
            executionRoleArn=ROLE,
            jobDriver={"sparkSubmit": submit},
            configurationOverrides=logs,
            **more,
        )
        return str(answer["jobRunId"])

    def run(self, application: str, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.emr.get_job_run(applicationId=application, jobRunId=run)["jobRun"]
        return found

    def stored(self) -> set[str]:
        return {found["Key"] for found in self.s3.list_objects_v2(Bucket="logs").get("Contents", ())}

    @staticmethod
    def until(true: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "it did not come in time"
            time.sleep(0.02)


@pytest.fixture
def stage(wire: Rehearsal) -> Rehearsal:
    """All of these are about HTTP."""
    return wire


@pytest.fixture
def account(theatre: Theatre, site: Site, stage: Rehearsal) -> Account:
    return Account(theatre, site, stage)


def refused(call: Callable[[], Any], code: str) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])


def test_a_run_really_runs_leaves_its_logs_where_aws_does_and_is_billed_late(account: Account) -> None:
    application = account.application()
    run = account.start(application)
    seen: list[str] = []
    account.until(lambda: seen.append(account.run(application, run)["state"]) or seen[-1] == "SUCCESS")  # type: ignore[func-returns-value]
    found = account.run(application, run)
    assert found["totalResourceUtilization"].keys() == {"vCPUHour", "memoryGBHour", "storageGBHour"}
    account.until(lambda: "billedResourceUtilization" in account.run(application, run))
    # Three executors: dynamic allocation is on unless a run says otherwise. 16 vCPU for a minute at least.
    assert account.run(application, run)["billedResourceUtilization"]["vCPUHour"] == pytest.approx(16 / 60, abs=0.001)
    prefix = f"runs/applications/{application}/jobs/{run}/SPARK_DRIVER"
    assert account.stored() == {f"{prefix}/stdout.gz", f"{prefix}/stderr.gz"}
    text = gzip.decompress(account.s3.get_object(Bucket="logs", Key=f"{prefix}/stdout.gz")["Body"].read())
    assert text == b"50 photos done\n"
    assert found["imageConfiguration"]["resolvedImageDigest"].startswith("sha256:")


def test_an_application_is_tagged_by_its_arn_and_keeps_its_other_tags(account: Account) -> None:
    application = account.application(tags={"a": "1", "b": "2"})
    arn = account.emr.get_application(applicationId=application)["application"]["arn"]
    account.emr.tag_resource(resourceArn=arn, tags={"b": "3", "c": "4"})
    assert account.emr.get_application(applicationId=application)["application"]["tags"] == {
        "a": "1",
        "b": "3",
        "c": "4",
    }
    elsewhere = arn.replace("us-east-1", "eu-west-3")
    refused(lambda: account.emr.tag_resource(resourceArn=elsewhere, tags={"b": "5"}), "ResourceNotFoundException")
    refused(
        lambda: account.emr.tag_resource(resourceArn=f"{arn}/jobruns/00r1", tags={"b": "5"}),
        "ResourceNotFoundException",
    )


def test_an_application_starts_by_itself_for_a_run_and_stops_by_itself(account: Account) -> None:
    application = account.application(autoStopConfiguration={"enabled": True, "idleTimeoutMinutes": 1})
    run = account.start(application)
    account.until(lambda: account.run(application, run)["state"] == "SUCCESS")
    assert account.state(application) == "STARTED"
    account.until(lambda: account.state(application) == "STOPPED")


def test_the_same_token_starts_one_run_and_another_input_with_it_is_refused(account: Account) -> None:
    application = account.application()
    first, second = (account.start(application, clientToken="t1") for _ in range(2))
    assert first == second
    refused(lambda: account.start(application, clientToken="t1", name="other"), "ConflictException")
    assert account.start(application, clientToken="t2") != first


def test_one_run_at_a_time_the_next_one_is_queued(theatre: Theatre, site: Site) -> None:
    account = Account(
        theatre, site, theatre.wire("import time; time.sleep(60)", timings=replace(QUICK, cancelling=1.0))
    )
    application = account.application(schedulerConfiguration={"maxConcurrentRuns": 1, "queueTimeoutMinutes": 60})
    first, second = account.start(application), account.start(application)
    account.until(lambda: account.run(application, first)["state"] == "RUNNING")
    assert account.run(application, second)["state"] == "QUEUED"
    refused(lambda: account.emr.stop_application(applicationId=application), "ValidationException")
    account.emr.cancel_job_run(applicationId=application, jobRunId=first)
    assert account.run(application, first)["state"] == "CANCELLING"
    account.until(lambda: account.run(application, first)["state"] == "CANCELLED")
    account.until(lambda: account.run(application, second)["state"] == "RUNNING")


def test_more_workers_than_the_application_may_have_are_asked_for_for_ever(theatre: Theatre, site: Site) -> None:
    account = Account(theatre, site, theatre.wire())
    application = account.application(maximumCapacity={"cpu": "12 vCPU", "memory": "48 GB", "disk": "60 GB"})
    run = account.start(application, "--conf spark.dynamicAllocation.maxExecutors=2")
    key = f"runs/applications/{application}/jobs/{run}/SPARK_DRIVER/stderr.gz"
    account.until(lambda: key in account.stored())
    text = gzip.decompress(account.s3.get_object(Bucket="logs", Key=key)["Body"].read()).decode()
    assert "ApplicationMaxCapacityExceededException" in text
    assert "12 vCPU, 48 GB of memory" in text
    assert account.run(application, run)["state"] == "RUNNING"


def test_what_cannot_run_is_refused_at_the_call(account: Account, site: Site) -> None:
    application = account.application()
    message = refused(
        lambda: account.start(application, "--conf spark.driver.memory=60g --conf spark.driver.cores=8"),
        "ValidationException",
    )
    assert "no supported worker configuration" in message
    refused(lambda: account.start(application, executionTimeoutMinutes=1), "ValidationException")
    refused(lambda: account.start("00fnone"), "ResourceNotFoundException")
    other = json.dumps(job_trust(site)).replace("emr-serverless.amazonaws.com", "lambda.amazonaws.com")
    account.iam.update_assume_role_policy(RoleName="job", PolicyDocument=other)
    assert "sts:AssumeRole" in refused(lambda: account.start(application), "AccessDeniedException")


def test_an_image_that_the_service_may_not_read_or_that_is_not_there_is_refused(account: Account) -> None:
    create = account.emr.create_application
    settings = {"name": "x", "type": "SPARK", "releaseLabel": "emr-7.13.0"}
    missing = {"imageConfiguration": {"imageUri": f"{IMAGE}:none"}}
    assert "does not exist" in refused(lambda: create(**settings, **missing), "ValidationException")
    elsewhere = {"imageConfiguration": {"imageUri": f"{IMAGE}:{account.tag}".replace("us-east-1", "eu-west-1")}}
    assert "must be in ECR in us-east-1" in refused(lambda: create(**settings, **elsewhere), "ValidationException")
    account.ecr.delete_repository_policy(repositoryName="orchard")
    readable = {"imageConfiguration": {"imageUri": f"{IMAGE}:{account.tag}"}}
    assert "is not authorized to perform: ecr:BatchGetImage" in refused(
        lambda: create(**settings, **readable), "ValidationException"
    )


def test_up_to_7_13_a_started_application_keeps_the_image_that_its_tag_meant_then(
    account: Account, theatre: Theatre
) -> None:
    application = account.application()
    first = account.start(application)
    account.until(lambda: account.run(application, first)["state"] == "SUCCESS")
    before = account.run(application, first)["imageConfiguration"]["resolvedImageDigest"]
    account.stage.serverless.digests[application] = (
        "sha256:" + "f" * 64
    )  # as if the tag had meant another image at the start
    second = account.start(application)
    assert account.run(application, second)["imageConfiguration"]["resolvedImageDigest"] != before


def test_listings_come_in_pages_and_by_state(account: Account) -> None:
    made = {account.application() for _ in range(3)}
    pages = account.emr.get_paginator("list_applications").paginate(PaginationConfig={"PageSize": 2})
    assert {found["id"] for page in pages for found in page["applications"]} == made
    account.emr.delete_application(applicationId=min(made))
    there = account.emr.list_applications(states=["CREATED"])["applications"]
    assert {found["id"] for found in there} == made - {min(made)}
    assert account.emr.list_job_runs(applicationId=max(made))["jobRuns"] == []


def test_what_orchard_does_not_use_is_refused_loudly(account: Account) -> None:
    application = account.application()
    assert "does not know this" in refused(
        lambda: account.emr.get_dashboard_for_job_run(applicationId=application, jobRunId="00r1"), "NotRehearsed"
    )
    assert "initialCapacity" in refused(lambda: account.application(initialCapacity={}), "NotRehearsed")
    message = refused(lambda: account.start(application, "--jars s3://logs/x.jar"), "NotRehearsed")
    assert message == "sparkSubmitParameters: --jars: the rehearsal does not know this; Orchard does not use it"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("throttle", "ThrottlingException"), ("5xx", "InternalServerException"), ("denied", "AccessDeniedException")],
)
def test_faults_come_on_demand_and_as_often_as_asked(account: Account, kind: str, code: str) -> None:
    account.stage.faults.plan("emr-serverless", "ListApplications", kind, 1)
    refused(account.emr.list_applications, code)
    account.emr.list_applications()
    account.stage.faults.plan("iam", "ListRoles", kind, 1)
    refused(account.iam.list_roles, code)
    account.stage.faults.plan("ecr", "DescribeRepositories", kind, 1)
    refused(account.ecr.describe_repositories, code)


def test_a_connection_can_be_lost(account: Account) -> None:
    account.stage.faults.plan("emr-serverless", "ListApplications", "lost", 1)
    with pytest.raises(ConnectionClosedError):
        account.emr.list_applications()


def test_s3_is_passed_on_whole(account: Account) -> None:
    content = bytes(range(256)) * 50_000
    account.s3.put_object(Bucket="logs", Key="big", Body=content)
    assert account.s3.get_object(Bucket="logs", Key="big")["Body"].read() == content
    assert account.s3.head_object(Bucket="logs", Key="big")["ContentLength"] == len(content)


def test_with_attempts_each_has_its_own_folder_of_logs(theatre: Theatre, site: Site) -> None:
    account = Account(theatre, site, theatre.wire("import sys; print('tried'); sys.exit(3)"))
    application = account.application()
    run = account.start(application, retryPolicy={"maxAttempts": 2})
    account.until(lambda: account.run(application, run)["state"] == "FAILED")
    prefix = f"runs/applications/{application}/jobs/{run}/attempts"
    assert {key for key in account.stored() if key.endswith("stdout.gz")} == {
        f"{prefix}/{n}/SPARK_DRIVER/stdout.gz" for n in (1, 2)
    }


def test_a_full_log_is_moved_away(theatre: Theatre, site: Site) -> None:
    account = Account(theatre, site, theatre.wire("print('x' * 249)", full=100))
    application = account.application()
    run = account.start(application)
    account.until(lambda: account.run(application, run)["state"] == "SUCCESS")
    prefix = f"runs/applications/{application}/jobs/{run}/SPARK_DRIVER"
    sizes = {
        key.removeprefix(f"{prefix}/"): len(
            gzip.decompress(account.s3.get_object(Bucket="logs", Key=key)["Body"].read())
        )
        for key in account.stored()
        if "stdout" in key
    }
    assert sizes == {"archived/stdout_1.gz": 100, "archived/stdout_2.gz": 100, "stdout.gz": 50}


def test_logs_whose_bucket_is_gone_are_lost_and_nothing_else(stage: Rehearsal) -> None:
    stage.world.write_log("s3://gone/logs/stdout.gz", b"x")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        stage.world.write("s3://gone/photos/1.jpg", b"x")
