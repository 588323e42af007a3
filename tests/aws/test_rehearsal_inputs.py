"""What the rehearsal knows of each call's input.

It acts on that or gives it back, and refuses everything else by name, at any depth.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import ListShape, Shape, StructureShape

from deploy import payloads
from deploy.ensure import up
from deploy.iam import job_trust
from deploy.rehearsal.containers import Containers
from deploy.rehearsal.known import INPUTS, known_inputs, strangers
from deploy.rehearsal.protocol import Protocol
from deploy.rehearsal.serverless import Serverless
from deploy.rehearsal.stage import Rehearsal
from deploy.site import Site
from tests.aws.conftest import CLUSTER, Theatre, behind, context_of, tree_tag

S3 = {"logUri": "s3://logs/"}
KEY = {"encryptionKeyArn": "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"}
TOKEN = "t" * 32


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


@pytest.mark.parametrize("service", INPUTS)
def test_what_is_known_is_what_the_model_has_and_what_there_are_answers_for(stage: Rehearsal, service: str) -> None:
    answering: dict[str, Serverless | Containers] = {
        "emr-serverless": stage.serverless,
        "emr-containers": stage.containers,
    }
    assert INPUTS[service].keys() == answering[service].calls().keys()
    for operation, known in known_inputs(service).items():
        shape = Protocol(service).model.operation_model(operation).input_shape
        assert shape is not None
        assert known.keys() <= set(members(shape)), operation


def put(place: Any, path: list[str], value: Any) -> None:
    """Set a member far down, through lists, making what is missing on the way."""
    for name in path[:-1]:
        place = place.setdefault(name, {}) if isinstance(place, dict) else place[0].setdefault(name, {})
    (place if isinstance(place, dict) else place[0])[path[-1]] = value


def wrong(service: str, operation: str) -> list[str]:
    """Members of an operation that the rehearsal does not know, those below another such apart."""
    known, shape = known_inputs(service)[operation], Protocol(service).model.operation_model(operation).input_shape
    assert shape is not None
    unknown = [path for path in members(shape) if path not in known]
    return [path for path in unknown if path.rpartition(".")[0] not in unknown]


def inputs(site: Site) -> dict[tuple[str, str], dict[str, Any]]:
    """What Orchard sends."""
    return {
        ("emr-serverless", "CreateApplication"): payloads.create_application(site, "i", token="t"),
        ("emr-serverless", "UpdateApplication"): payloads.update_application(site, "i", application="a", token="t"),
        ("emr-serverless", "TagResource"): payloads.tag_application(site, "a"),
        ("emr-serverless", "StartJobRun"): with_blank(
            payloads.start_job_run(site, application="a", token=TOKEN, tag="x")
        ),
        ("emr-containers", "StartJobRun"): with_blank(
            payloads.start_eks_job_run(site, cluster="c", token=TOKEN, tag="x", image="i")
        ),
    }


def with_blank(request: dict[str, Any]) -> dict[str, Any]:
    """The same with a property that goes into the application's configuration, for its blank."""
    part = {"classification": "spark-defaults", "properties": {"spark.x": "a b"}}
    request["configurationOverrides"]["applicationConfiguration"] = [part]
    return request


def test_whatever_orchard_sends_is_known_and_each_other_member_is_refused_by_name(site: Site) -> None:
    seen = 0
    for (service, operation), request in inputs(site).items():
        known, shape = known_inputs(service)[operation], Protocol(service).model.operation_model(operation).input_shape
        assert shape is not None
        assert list(strangers(shape, request, known)) == []
        for path in wrong(service, operation):
            more = copy.deepcopy(request)
            put(more, path.split("."), {})
            assert list(strangers(shape, more, known)) == [path]
            seen += 1
    assert seen > 30


class Clients:
    """Both services, asked by boto3, with a repository, a bucket, and a role."""

    def __init__(self, theatre: Theatre, site: Site, stage: Rehearsal) -> None:
        context = context_of(theatre.tree)
        up(context)
        up(context)
        behind(stage, "iam").create_role(
            RoleName="eks", AssumeRolePolicyDocument=str(job_trust(site)).replace("'", '"')
        )
        once = Config(retries={"total_max_attempts": 1})
        self.serverless, self.eks = (boto3.client(name, config=once) for name in ("emr-serverless", "emr-containers"))
        (self.application,) = [found.id for found in stage.serverless.applications.values()]
        self.tag, self.site = tree_tag(theatre.tree), site

    def start(self, service: str, **changes: Any) -> dict[str, Any]:
        if service == "emr-serverless":
            request = payloads.start_job_run(self.site, application=self.application, token=TOKEN, tag=self.tag)
            made = self.serverless.start_job_run(**{**with_blank(request), **changes})
            found: dict[str, Any] = self.serverless.get_job_run(
                applicationId=self.application, jobRunId=made["jobRunId"]
            )["jobRun"]
            return found
        image = payloads.image_uri(self.site, self.tag, None)
        request = payloads.start_eks_job_run(self.site, cluster=CLUSTER, token=TOKEN, tag=self.tag, image=image)
        made = self.eks.start_job_run(**{**with_blank(request), **changes})
        described: dict[str, Any] = self.eks.describe_job_run(virtualClusterId=CLUSTER, id=made["id"])["jobRun"]
        return described


@pytest.fixture
def stage(wire: Rehearsal) -> Rehearsal:
    """All of these are about HTTP."""
    return wire


@pytest.fixture
def clients(theatre: Theatre, site: Site, stage: Rehearsal) -> Clients:
    return Clients(theatre, site, stage)


@pytest.mark.parametrize(
    ("service", "changes", "named"),
    [
        (
            "emr-serverless",
            {"retryPolicy": {"maxAttempts": 1, "maxFailedAttemptsPerHour": 2}},
            "retryPolicy.maxFailedAttemptsPerHour",
        ),
        ("emr-serverless", {"mode": "STREAMING"}, "mode STREAMING"),
        ("emr-serverless", {"jobDriver": {"hive": {"query": "x"}}}, "jobDriver.hive"),
        (
            "emr-serverless",
            {"configurationOverrides": {"monitoringConfiguration": {"s3MonitoringConfiguration": {**S3, **KEY}}}},
            "configurationOverrides.monitoringConfiguration.s3MonitoringConfiguration.encryptionKeyArn",
        ),
        (
            "emr-serverless",
            {
                "configurationOverrides": {
                    "applicationConfiguration": [{"classification": "spark-log4j2", "properties": {"a": "b"}}]
                }
            },
            "configurationOverrides.applicationConfiguration.classification spark-log4j2",
        ),
        (
            "emr-containers",
            {
                "configurationOverrides": {
                    "monitoringConfiguration": {"persistentAppUI": "ENABLED", "s3MonitoringConfiguration": S3}
                }
            },
            "configurationOverrides.monitoringConfiguration.persistentAppUI",
        ),
        ("emr-containers", {"jobDriver": {"sparkSqlJobDriver": {"entryPoint": "x"}}}, "jobDriver.sparkSqlJobDriver"),
        (
            "emr-containers",
            {
                "configurationOverrides": {
                    "applicationConfiguration": [{"classification": "emr-job-submitter", "properties": {"a": "b"}}]
                }
            },
            "configurationOverrides.applicationConfiguration.classification emr-job-submitter",
        ),
    ],
)
def test_over_http_the_error_names_what_is_not_known(
    clients: Clients, service: str, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ClientError) as caught:
        clients.start(service, **changes)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (
        "NotRehearsed",
        f"StartJobRun: {named}: the rehearsal does not know this; Orchard does not use it",
    )


def test_what_a_question_leaves_out_is_not_asked_for_either(clients: Clients) -> None:
    with pytest.raises(ClientError, match="NotRehearsed"):
        clients.serverless.list_job_runs(applicationId=clients.application, createdAtAfter=1)
    with pytest.raises(ClientError, match="NotRehearsed"):
        clients.serverless.get_job_run(applicationId=clients.application, jobRunId="00r1", attempt=1)
    with pytest.raises(ClientError, match="NotRehearsed"):
        clients.eks.list_job_runs(virtualClusterId=CLUSTER, name="x")


@pytest.mark.parametrize("service", INPUTS)
def test_all_that_is_known_of_a_run_is_acted_upon_or_given_back(clients: Clients, site: Site, service: str) -> None:
    found = clients.start(service)
    sent = inputs(site)[service, "StartJobRun"]
    renamed = {"executionRoleArn": "executionRole"} if service == "emr-serverless" else {}
    # Given back as it came; the token alone is not, on EMR Serverless: it makes one run of two calls.
    same = sent.keys() - {"clientToken", "applicationId", "virtualClusterId", "jobDriver", "tags"}
    assert {name: found[renamed.get(name, name)] for name in same} == {**{name: sent[name] for name in same}}
    assert clients.start(service)["arn"] == found["arn"]


def test_all_that_is_known_of_an_application_is_given_back(clients: Clients, site: Site) -> None:
    found = clients.serverless.get_application(applicationId=clients.application)["application"]
    sent = payloads.application_settings(site, found["imageConfiguration"]["imageUri"])
    sent["maximumCapacity"] = {"cpu": "12 vCPU", "memory": "48 GB", "disk": "60 GB"}
    assert {name: found[name] for name in sent} == sent
    assert (found["name"], found["tags"]) == (site.spec.name, site.tags)


def test_a_change_that_is_sent_twice_is_made_once(clients: Clients, site: Site, stage: Rehearsal) -> None:
    image = clients.serverless.get_application(applicationId=clients.application)["application"]["imageConfiguration"][
        "imageUri"
    ]
    change = payloads.update_application(site, image, application=clients.application, token=TOKEN)
    first, second = (clients.serverless.update_application(**change)["application"]["updatedAt"] for _ in range(2))
    assert first == second
    with pytest.raises(ClientError, match="ConflictException"):
        clients.serverless.update_application(**{**change, "releaseLabel": "emr-7.12.0"})
