"""What the rehearsal knows of each call's input: it acts on that or gives it back, and refuses all else by name."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import ListShape, Shape, StructureShape
from moto.core.exceptions import ServiceException
from moto.core.utils import get_service_model
from orchard_deploy.rehearsal.emr import KNOWN, check_input
from orchard_deploy.rehearsal.services import workers

from tests.deploy.rehearsal.account import CLUSTER, Account
from tests.deploy.rehearsal.test_service import IMAGE, ROLE, User

SPARK = {"entryPoint": "local:///m.py", "entryPointArguments": ["a"], "sparkSubmitParameters": "--conf spark.a=b"}
OVERRIDES: dict[str, Any] = {
    "applicationConfiguration": [{"classification": "spark-defaults", "properties": {"spark.x": "a b"}}],
    "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://runlogs/"}},
}
APPLICATION = {
    "name": "orchard",
    "type": "SPARK",
    "releaseLabel": "emr-7.13.0",
    "architecture": "X86_64",
    "imageConfiguration": {"imageUri": IMAGE},
    "maximumCapacity": {"cpu": "12 vCPU", "memory": "48 GB", "disk": "60 GB"},
    "autoStartConfiguration": {"enabled": True},
    "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 5},
    "schedulerConfiguration": {"maxConcurrentRuns": 1, "queueTimeoutMinutes": 60},
    "tags": {"a": "b"},
}
RUN = {"name": "a", "executionRoleArn": ROLE, "configurationOverrides": OVERRIDES, "tags": {"a": "b"}}
RUNS: dict[str, dict[str, Any]] = {
    "emr-serverless": {
        **RUN,
        "executionTimeoutMinutes": 30,
        "retryPolicy": {"maxAttempts": 2},
        "mode": "BATCH",
        "jobDriver": {"sparkSubmit": SPARK},
    },
    "emr-containers": {
        **RUN,
        "virtualClusterId": CLUSTER,
        "releaseLabel": "emr-7.13.0-latest",
        "retryPolicyConfiguration": {"maxAttempts": 2},
        "jobDriver": {"sparkSubmitJobDriver": SPARK},
    },
}


def members(shape: Shape, where: str = "") -> Iterator[str]:
    """Every member that botocore's model has below a shape, as far as none contains itself."""
    if isinstance(shape, ListShape):
        yield from members(shape.member, where)
    elif isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            path = f"{where}.{name}".lstrip(".")
            yield path
            if path.count(".") < 5:
                yield from members(member, path)


def paths(known: Any, where: str = "") -> Iterator[str]:
    """The paths of what the rehearsal knows."""
    for name, item in known.items() if isinstance(known, dict) else ():
        yield f"{where}{name}"
        yield from paths(item, f"{where}{name}.")


def put(target: Any, path: list[str], value: Any) -> None:
    """Set a member far down, through lists, making what is missing on the way."""
    for name in path[:-1]:
        target = target.setdefault(name, {}) if isinstance(target, dict) else target[0].setdefault(name, {})
    (target if isinstance(target, dict) else target[0])[path[-1]] = value


def test_what_is_known_is_what_the_models_have() -> None:
    models = [get_service_model(service) for service in RUNS]
    shapes = [model.operation_model(name).input_shape for model in models for name in model.operation_names]
    assert set(paths(KNOWN)) <= {path for shape in shapes if shape for path in members(shape)}


@pytest.mark.parametrize(
    ("service", "operation", "request_"),
    [
        ("emr-serverless", "CreateApplication", {**APPLICATION, "clientToken": "t"}),
        ("emr-serverless", "StartJobRun", {**RUNS["emr-serverless"], "applicationId": "00f1", "clientToken": "t"}),
        ("emr-containers", "StartJobRun", {**RUNS["emr-containers"], "clientToken": "t"}),
    ],
)
def test_each_other_member_is_refused_by_name(service: str, operation: str, request_: dict[str, Any]) -> None:
    model = get_service_model(service).operation_model(operation)
    check_input(operation, request_)
    known = set(paths(KNOWN))
    unknown = [path for path in members(model.input_shape) if path not in known]
    named = 0
    for path in [path for path in unknown if path.rpartition(".")[0] not in unknown]:
        more = copy.deepcopy(request_)
        put(more, path.split("."), {})
        with pytest.raises(ServiceException) as refused:
            check_input(operation, more)
        named += refused.value.message.startswith(f"{operation}: {path}: the rehearsal does not know this")
    assert named >= 5


class Clients(User):
    """Both services, with an application."""

    def start(self, service: str, **changes: Any) -> dict[str, Any]:  # type: ignore[override]
        asked = {**RUNS[service], "clientToken": "t" * 32, **changes}
        if service == "emr-containers":
            made = self.eks.start_job_run(**asked)["id"]
            described: dict[str, Any] = self.eks.describe_job_run(virtualClusterId=CLUSTER, id=made)["jobRun"]
            return described
        name = self.emr.list_applications()["applications"][0]["id"]
        return self.run(name, self.emr.start_job_run(applicationId=name, **asked)["jobRunId"])


@pytest.fixture
def clients(aws_in_memory: Account) -> Clients:
    made = Clients(aws_in_memory)
    made.application(**APPLICATION)
    return made


@pytest.mark.parametrize(
    ("service", "changes", "named"),
    [
        ("emr-serverless", {"retryPolicy": {"maxFailedAttemptsPerHour": 2}}, "retryPolicy.maxFailedAttemptsPerHour"),
        ("emr-serverless", {"mode": "STREAMING"}, "mode STREAMING"),
        ("emr-serverless", {"jobDriver": {"hive": {"query": "x"}}}, "jobDriver.hive"),
        (
            "emr-containers",
            {"configurationOverrides": {"monitoringConfiguration": {"persistentAppUI": "ENABLED"}}},
            "configurationOverrides.monitoringConfiguration.persistentAppUI",
        ),
        (
            "emr-containers",
            {"configurationOverrides": {"applicationConfiguration": [{"classification": "emr-job-submitter"}]}},
            "configurationOverrides.applicationConfiguration.classification emr-job-submitter",
        ),
    ],
)
def test_the_error_names_what_is_not_known(clients: Clients, service: str, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ClientError) as caught:
        clients.start(service, **changes)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"].partition(": the rehearsal")[0]) == (
        "ValidationException",
        f"StartJobRun: {named}",
    )


@pytest.mark.parametrize("service", RUNS)
def test_all_that_is_known_of_a_run_is_given_back(clients: Clients, service: str) -> None:
    found, sent = clients.start(service), RUNS[service]
    renamed = {"executionRoleArn": "executionRole"} if service == "emr-serverless" else {}
    assert {name: found[renamed.get(name, name)] for name in sent} == sent
    assert clients.start(service)["createdAt"] == found["createdAt"]


def test_all_that_is_known_of_an_application_is_given_back(clients: Clients) -> None:
    name = clients.emr.list_applications()["applications"][0]["id"]
    found = clients.emr.get_application(applicationId=name)["application"]
    assert {key: found[key] for key in APPLICATION} == {**APPLICATION, "type": "Spark"}


def test_without_a_word_about_it_a_run_starts_with_three_executors_and_maxexecutors_does_not_change_that() -> None:
    """The measured behaviour of Spark; `test_cap` has the same with a real one."""
    assert len(workers({})) - 1 == 3
    assert len(workers({"spark.dynamicAllocation.maxExecutors": "2"})) - 1 == 3
    assert (
        len(workers({"spark.dynamicAllocation.maxExecutors": "2", "spark.dynamicAllocation.initialExecutors": "1"})) - 1
        == 3
    )
    assert len(workers({"spark.dynamicAllocation.enabled": "false", "spark.executor.instances": "2"})) - 1 == 2


@pytest.mark.parametrize(
    "properties", [{"spark.driver.memory": "60g", "spark.driver.cores": "8"}, {"spark.executor.cores": "3"}]
)
def test_a_worker_that_there_is_not_is_refused(properties: dict[str, str]) -> None:
    with pytest.raises(ServiceException, match="no supported worker configuration"):
        workers(properties)
