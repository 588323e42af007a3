"""The services, called by boto3 as any program would call AWS: in this process, and the same over HTTP."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from orchard_deploy.rehearsal.images import Images

from tests.deploy.conftest import enter
from tests.deploy.rehearsal.account import CLUSTER, GOOD_JOB, LONG_JOB, Account, in_memory, over_http

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard"
IMAGE = f"{REPOSITORY}@{Images(frozenset(['one'])).digests('orchard')['one']}"
ROLE = "arn:aws:iam::123456789012:role/job"


class User:
    """Clients, and an account with an image, a role and a bucket."""

    def __init__(self, account: Account) -> None:
        self.tag, self.account = "one", account
        account.images.tags |= {self.tag}
        services = ("ecr", "iam", "s3", "emr-serverless", "emr-containers")
        self.ecr, self.iam, self.s3, self.emr, self.eks = (
            boto3.client(name, config=Config(retries={"total_max_attempts": 1})) for name in services
        )
        self.ecr.create_repository(repositoryName="orchard", imageTagMutability="IMMUTABLE")
        self.s3.create_bucket(Bucket="runlogs")

    def application(self, **settings: Any) -> str:
        image = {"imageUri": IMAGE}
        usual = {"name": "orchard", "type": "SPARK", "releaseLabel": "emr-7.13.0", "imageConfiguration": image}
        made = self.emr.create_application(**{**usual, **settings})
        self.until(lambda: self.state(made["applicationId"]) == "CREATED")
        return str(made["applicationId"])

    def state(self, application: str) -> str:
        return str(self.emr.get_application(applicationId=application)["application"]["state"])

    def start(self, application: str, parameters: str = "--conf spark.executor.instances=2", **more: Any) -> str:
        submit = {"entryPoint": "local:///main.py", "entryPointArguments": ["a"], "sparkSubmitParameters": parameters}
        logs = {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://runlogs/runs/"}}}
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
        return {found["Key"] for found in self.s3.list_objects_v2(Bucket="runlogs").get("Contents", ())}

    def until(self, true: Callable[[], bool], seconds: float = 3600) -> None:
        """Wait, in the account's own time."""
        pace = self.account.pace
        deadline = pace.clock() + seconds
        while not true():
            assert pace.clock() < deadline, "it did not come in time"
            pace.sleep(seconds / 1000)


@pytest.fixture
def user(aws_in_memory: Account) -> User:
    return User(aws_in_memory)


@pytest.fixture
def open_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., User]]:
    """Opens an account of its own kind."""
    with ExitStack() as stack:

        def make(job: str = GOOD_JOB, **options: Any) -> User:
            account = stack.enter_context(in_memory(job, **options))
            enter(account, monkeypatch)
            return User(account)

        yield make


def refused(call: Callable[[], Any], code: str) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])


def test_a_run_really_runs_leaves_its_logs_where_aws_does_and_is_billed_late(user: User) -> None:
    application = user.application()
    run = user.start(application)
    seen: list[str] = []
    user.until(lambda: seen.append(user.run(application, run)["state"]) or seen[-1] == "SUCCESS")  # type: ignore[func-returns-value]
    user.until(lambda: "billedResourceUtilization" in user.run(application, run))
    # Three executors: dynamic allocation is on unless a run says otherwise. 16 vCPU for a minute at least.
    assert user.run(application, run)["billedResourceUtilization"]["vCPUHour"] == pytest.approx(16 / 60, abs=0.001)
    prefix = f"runs/applications/{application}/jobs/{run}/SPARK_DRIVER"
    assert user.stored() == {f"{prefix}/stdout.gz", f"{prefix}/stderr.gz"}
    text = gzip.decompress(user.s3.get_object(Bucket="runlogs", Key=f"{prefix}/stdout.gz")["Body"].read())
    assert text == b"50 photos done\n"
    assert user.run(application, run)["imageConfiguration"]["resolvedImageDigest"].startswith("sha256:")


def test_an_application_starts_by_itself_for_a_run(user: User) -> None:
    application = user.application()
    run = user.start(application)
    user.until(lambda: user.run(application, run)["state"] == "SUCCESS")
    assert user.state(application) == "STARTED"
    user.emr.stop_application(applicationId=application)
    user.until(lambda: user.state(application) == "STOPPED")


def test_the_same_token_starts_one_run_and_another_input_with_it_is_refused(user: User) -> None:
    application = user.application()
    first, second = (user.start(application, clientToken="t1") for _ in range(2))
    assert first == second
    refused(lambda: user.start(application, clientToken="t1", name="other"), "ConflictException")
    assert user.start(application, clientToken="t2") != first


def test_one_run_at_a_time_the_next_one_is_queued(open_account: Callable[..., User]) -> None:
    user = open_account(LONG_JOB.replace("60", "600"))
    application = user.application(schedulerConfiguration={"maxConcurrentRuns": 1, "queueTimeoutMinutes": 60})
    first, second = user.start(application), user.start(application)
    user.until(lambda: user.run(application, first)["state"] == "RUNNING")
    assert user.run(application, second)["state"] == "QUEUED"
    refused(lambda: user.emr.stop_application(applicationId=application), "ValidationException")
    user.emr.cancel_job_run(applicationId=application, jobRunId=first)
    assert user.run(application, first)["state"] == "CANCELLING"
    user.until(lambda: user.run(application, first)["state"] == "CANCELLED")
    user.until(lambda: user.run(application, second)["state"] == "RUNNING", 120)


def test_more_workers_than_the_application_may_have_are_asked_for_for_ever(open_account: Callable[..., User]) -> None:
    user = open_account()
    application = user.application(maximumCapacity={"cpu": "12 vCPU", "memory": "48 GB", "disk": "60 GB"})
    run = user.start(application, "--conf spark.dynamicAllocation.maxExecutors=2")
    key = f"runs/applications/{application}/jobs/{run}/SPARK_DRIVER/stderr.gz"
    user.until(lambda: key in user.stored())
    text = gzip.decompress(user.s3.get_object(Bucket="runlogs", Key=key)["Body"].read()).decode()
    assert "ApplicationMaxCapacityExceededException" in text
    assert user.run(application, run)["state"] == "RUNNING"


def test_what_cannot_run_is_refused_at_the_call(user: User) -> None:
    application = user.application()
    message = refused(
        lambda: user.start(application, "--conf spark.driver.memory=60g --conf spark.driver.cores=8"),
        "ValidationException",
    )
    assert "no supported worker configuration" in message
    refused(lambda: user.start("00fnone"), "ResourceNotFoundException")


def test_listings_are_by_state(user: User) -> None:
    made = {user.application() for _ in range(3)}
    assert {found["id"] for found in user.emr.list_applications()["applications"]} == made
    assert user.emr.list_job_runs(applicationId=max(made))["jobRuns"] == []


def test_what_orchard_does_not_use_is_refused_loudly(user: User) -> None:
    application = user.application()
    assert "does not know this" in refused(
        lambda: user.emr.get_dashboard_for_job_run(applicationId=application, jobRunId="00r1"), "ValidationException"
    )
    assert "initialCapacity" in refused(lambda: user.application(initialCapacity={}), "ValidationException")
    message = refused(lambda: user.start(application, "--jars s3://runlogs/x.jar"), "ValidationException")
    assert message == "sparkSubmitParameters: --jars: the rehearsal does not know this; Orchard does not use it"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("throttle", "ThrottlingException"), ("5xx", "InternalServerException"), ("denied", "AccessDeniedException")],
)
def test_faults_come_on_demand_and_as_often_as_asked(user: User, kind: str, code: str) -> None:
    user.account.faults.plan("emr-serverless", "ListApplications", kind, 1)
    refused(user.emr.list_applications, code)
    user.emr.list_applications()
    user.account.faults.plan("iam", "ListRoles", kind, 1)
    refused(user.iam.list_roles, code)
    user.account.faults.plan("ecr", "DescribeRepositories", kind, 1)
    refused(user.ecr.describe_repositories, code)


def test_a_connection_can_be_lost(user: User) -> None:
    user.account.faults.plan("emr-serverless", "ListApplications", "lost", 1)
    with pytest.raises(ConnectionClosedError):
        user.emr.list_applications()


def test_s3_is_passed_on_whole(user: User) -> None:
    content = bytes(range(256)) * 50_000
    user.s3.put_object(Bucket="runlogs", Key="big", Body=content)
    assert user.s3.get_object(Bucket="runlogs", Key="big")["Body"].read() == content
    assert user.s3.head_object(Bucket="runlogs", Key="big")["ContentLength"] == len(content)


def test_with_attempts_each_has_its_own_folder_of_logs(open_account: Callable[..., User]) -> None:
    user = open_account("import sys; print('tried'); sys.exit(3)")
    application = user.application()
    run = user.start(application, retryPolicy={"maxAttempts": 2})
    user.until(lambda: user.run(application, run)["state"] == "FAILED")
    prefix = f"runs/applications/{application}/jobs/{run}/attempts"
    assert {key for key in user.stored() if key.endswith("stdout.gz")} == {
        f"{prefix}/{n}/SPARK_DRIVER/stdout.gz" for n in (1, 2)
    }


def test_logs_whose_bucket_is_gone_are_lost_and_nothing_else(user: User) -> None:
    user.s3.delete_bucket(Bucket="runlogs")
    application = user.application()
    run = user.start(application)
    user.until(lambda: user.run(application, run)["state"] == "SUCCESS")


def test_a_run_out_of_time_is_cancelled(open_account: Callable[..., User]) -> None:
    user = open_account("import time; time.sleep(3600)")
    application = user.application()
    run = user.start(application, executionTimeoutMinutes=5)
    user.until(lambda: user.run(application, run)["state"] == "CANCELLED")
    found = user.run(application, run)
    assert 300 <= (found["endedAt"] - found["startedAt"]).total_seconds() < 330
    assert "execution timeout of 5 minutes" in found["stateDetails"]


def test_on_eks_the_same_run_has_other_states(open_account: Callable[..., User]) -> None:
    user = open_account("import time; time.sleep(30)")
    submit = {"entryPoint": "local:///main.py", "sparkSubmitParameters": "--conf spark.executor.instances=2"}
    logs = {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://runlogs/runs"}}}
    asked = {
        "virtualClusterId": CLUSTER,
        "name": "a",
        "executionRoleArn": ROLE,
        "releaseLabel": "emr-7.13.0-latest",
        "jobDriver": {"sparkSubmitJobDriver": submit},
        "configurationOverrides": logs,
    }
    run = user.eks.start_job_run(**asked)["id"]
    states: list[str] = []

    def ended() -> bool:
        states.append(user.eks.describe_job_run(virtualClusterId=CLUSTER, id=run)["jobRun"]["state"])
        return states[-1] == "COMPLETED"

    user.until(ended)
    assert list(dict.fromkeys(states)) == ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"]
    folder = f"runs/{CLUSTER}/jobs/{run}/containers/spark-{run}/spark-{run}-driver"
    assert user.stored() == {f"{folder}/stdout.gz", f"{folder}/stderr.gz"}
    refused(lambda: user.eks.cancel_job_run(virtualClusterId=CLUSTER, id=run), "ValidationException")
    assert [each["id"] for each in user.eks.list_job_runs(virtualClusterId=CLUSTER)["jobRuns"]] == [run]


def test_over_http_a_process_runs_and_ends_with_the_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    with over_http(LONG_JOB) as account:
        enter(account, monkeypatch)
        user = User(account)
        application = user.application()
        run = user.start(application)
        user.until(lambda: user.run(application, run)["state"] == "RUNNING", 20)
        process = account.serverless.jobs[run].running
    with pytest.raises(FileNotFoundError):
        process.output()
