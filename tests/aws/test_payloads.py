"""The inputs of the calls: what AWS's own models accept, and the cap in every place where it has to stand."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shlex
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.validate import ParamValidator

from deploy import payloads
from deploy.errors import SpecError
from deploy.rehearsal.protocol import problems
from deploy.rehearsal.sizing import properties_of, sizing
from deploy.site import Account, Site
from deploy.spec import SPEC_FILE, Spec, Worker, load_spec
from deploy.targets import EKS, SERVERLESS, TARGETS
from deploy.workers import capacity

DIGEST = "sha256:" + "a" * 64
MODELS = botocore.session.get_session()


def check(service: str, operation: str, parameters: dict[str, Any]) -> None:
    """Nothing that botocore or the service's model finds wrong."""
    shape = MODELS.get_service_model(service).operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(parameters, shape)
    assert not report.has_errors(), report.generate_report()
    if service.startswith("emr"):  # the others' patterns are not Python's
        assert not list(problems(shape, parameters))


def start(site: Site) -> dict[str, Any]:
    return payloads.start_job_run(site, application="00f1", token="t" * 32, tag="emr-7.13.0-x")


def start_eks(site: Site) -> dict[str, Any]:
    image = payloads.image_uri(site, "emr-7.13.0-x", DIGEST)
    return payloads.start_eks_job_run(site, cluster="vc1", token="t" * 32, tag="emr-7.13.0-x", image=image)


def properties(submit: dict[str, Any]) -> dict[str, str]:
    words = shlex.split(submit["sparkSubmitParameters"])
    return dict(value.split("=", 1) for name, value in itertools.pairwise(words) if name == "--conf")


def test_every_input_holds_against_the_services_own_models(site: Site) -> None:
    image = payloads.image_uri(site, "emr-7.13.0-x", DIGEST)
    check("ecr", "CreateRepository", payloads.create_repository(site))
    check("ecr", "SetRepositoryPolicy", payloads.set_repository_policy(site))
    check("s3", "CreateBucket", payloads.create_bucket(site))
    check("s3", "PutBucketTagging", payloads.put_bucket_tagging(site))
    check("s3", "PutPublicAccessBlock", payloads.put_public_access_block(site))
    check("iam", "CreateRole", payloads.create_role(site))
    check("iam", "PutRolePolicy", payloads.put_role_policy(site))
    check("iam", "UpdateAssumeRolePolicy", payloads.update_role_trust(site))
    check("emr-serverless", "CreateApplication", payloads.create_application(site, image, token="t1"))
    check(
        "emr-serverless", "UpdateApplication", payloads.update_application(site, image, application="00f1", token="t1")
    )
    check("emr-serverless", "StartJobRun", start(site))
    check("emr-containers", "StartJobRun", start_eks(site))


TAG_VALUES = [("emr-serverless", "TagValue"), ("emr-containers", "StringEmpty256"), ("iam", "tagValueType")]
TAG_KEYS = [("emr-serverless", "TagKey"), ("emr-containers", "String128"), ("iam", "tagKeyType")]


def takes(tree: Path, values: dict[str, Any]) -> bool:
    """Whether the schema takes a specification with these values."""
    path, content = tree / SPEC_FILE, json.loads((tree / SPEC_FILE).read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")
    with contextlib.suppress(SpecError):
        return bool(load_spec(path))
    return False


@pytest.mark.parametrize(
    ("place", "shapes"),
    [
        (lambda text: {"name": text}, [("emr-serverless", "ApplicationName"), *TAG_VALUES]),
        (lambda text: {"tags": {text: "v"}}, TAG_KEYS),
        (lambda text: {"tags": {"k": text}}, TAG_VALUES),
    ],
    ids=["name", "key of a tag", "value of a tag"],
)
def test_what_the_schema_takes_every_service_takes(
    tree: Path, place: Callable[[str], dict[str, Any]], shapes: list[tuple[str, str]]
) -> None:
    taken = "".join(character for character in f"{string.printable}é" if takes(tree, place(f"a{character}b")))
    assert len(taken) > 60
    for service, shape in shapes:
        pattern = MODELS.get_service_model(service).shape_for(shape).metadata["pattern"]
        plain = pattern.replace(r"\p{L}", "a-zA-Z").replace(r"\p{N}", "0-9").replace(r"\p{Z}", " ")
        assert re.fullmatch(plain, taken), (service, shape)
        assert not takes(tree, place(""))
        assert not takes(tree, place(" "))


def test_the_longest_name_and_the_most_tags_are_taken_by_both_services(tree: Path) -> None:
    tags = {f"k{number}": "v" for number in range(48)}
    assert takes(tree, {"name": "n" * 51, "tags": tags})
    site = Site(load_spec(tree / SPEC_FILE), Account(id="123456789012", region="us-east-1"))
    check("emr-containers", "StartJobRun", start_eks(site))
    assert (len(start_eks(site)["name"]), len(start_eks(site)["tags"])) == (64, 50)
    assert not takes(tree, {"name": "n" * 52})
    assert not takes(tree, {"name": "n", "tags": {**tags, "more": "v"}})


@pytest.mark.parametrize("executors", [1, 2, 3])
def test_one_number_stands_in_every_place_that_the_cap_needs(site: Site, executors: int) -> None:
    site = Site(replace(site.spec, executors=executors), site.account)
    found = properties(start(site)["jobDriver"]["sparkSubmit"])
    assert found["spark.dynamicAllocation.enabled"] == "false"
    for name in (
        "executor.instances",
        "dynamicAllocation.initialExecutors",
        "dynamicAllocation.minExecutors",
        "dynamicAllocation.maxExecutors",
    ):
        assert found[f"spark.{name}"] == str(executors)
    application = payloads.create_application(site, payloads.image_uri(site, "t", DIGEST), token="t1")
    most = capacity(site.spec)
    assert application["maximumCapacity"] == {
        "cpu": f"{most.cpu}vCPU",
        "memory": f"{most.memory}GB",
        "disk": f"{most.disk}GB",
    }
    assert application["schedulerConfiguration"]["maxConcurrentRuns"] == 1
    assert most.cpu == 4 + executors * 4


def test_the_workers_that_the_service_reads_off_the_properties_are_those_of_the_specification(site: Site) -> None:
    spec = replace(site.spec, driver=Worker(cpu=2, memory=5, disk=30), executor=Worker(cpu=4, memory=27, disk=20))
    asked = start(Site(spec, site.account))
    found = sizing(
        properties_of(
            asked["jobDriver"]["sparkSubmit"], asked["configurationOverrides"].get("applicationConfiguration", ())
        )
    )
    assert (found.driver, found.executor, found.executors) == (spec.driver, spec.executor, spec.executors)
    assert found.total == capacity(spec)


def test_the_cap_is_the_same_on_eks(site: Site) -> None:
    here, there = (start(site)["jobDriver"]["sparkSubmit"], start_eks(site)["jobDriver"]["sparkSubmitJobDriver"])
    cap = {
        name: value
        for name, value in properties(here).items()
        if "xecutors" in name or "instances" in name or "Allocation" in name
    }
    assert cap.items() <= properties(there).items()
    assert here["entryPointArguments"] == there["entryPointArguments"]
    assert properties(there)["spark.kubernetes.container.image"].endswith(f"/orchard@{DIGEST}")
    assert not [name for name in properties(there) if "emr-serverless" in name]


def test_the_namespace_quota_for_eks_holds_the_cap_and_one_pod_to_submit(site: Site) -> None:
    assert payloads.resource_quota(site)["spec"]["hard"] == {
        "pods": "4",
        "requests.cpu": "13",
        "requests.memory": "50Gi",
    }


def test_the_image_is_named_by_its_digest_and_by_its_tag_only_while_nobody_has_pushed_it(site: Site) -> None:
    assert payloads.image_uri(site, "t1", DIGEST) == f"123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard@{DIGEST}"
    assert payloads.image_uri(site, "t1", None).endswith("/orchard:t1")


def test_values_with_blanks_go_where_nobody_splits_them(site: Site) -> None:
    options = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -Da='b c'"}
    asked = start(Site(replace(site.spec, spark_properties=options), site.account))
    (defaults,) = asked["configurationOverrides"]["applicationConfiguration"]
    assert defaults == {"classification": "spark-defaults", "properties": options}
    assert "extraJavaOptions" not in asked["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]


def test_the_python_of_the_image_is_named_for_driver_and_executors(site: Site) -> None:
    found = properties(start(site)["jobDriver"]["sparkSubmit"])
    names = [name for name in found if "PYTHON" in name]
    assert sorted(names) == [
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON",
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON",
        "spark.executorEnv.PYSPARK_PYTHON",
    ]
    assert {found[name] for name in names} == {"/opt/orchard/venv/bin/python"}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"spark.dynamicAllocation.maxExecutors": "9"}, "spark.dynamicAllocation.maxExecutors=9 contradicts 2"),
        ({"spark.dynamicAllocation.enabled": "true"}, "contradicts false"),
        ({"spark.executor.instances": "3"}, "contradicts 2"),
        ({"spark.executor.memory": "60g"}, "contradicts 8g"),
        ({"spark.dynamicAllocation.enable": "false"}, "no such property: it is spark.dynamicAllocation.enabled"),
        ({"spark.emr-serverless.executorEnv.PYSPARK_PYTHON": "/x"}, r"executors take spark\.executorEnv\.NAME"),
        ({"spark.emr-serverless.driver.cores": "4"}, "set the driver's cpu"),
        ({"spark.shuffle.service.enabled": "true"}, "no external shuffle service"),
        ({"spark.executor.pyspark.memory": "2g"}, "comes on top of the executor's memory, beyond the cap"),
        ({"spark.memory.offHeap.size": "2g"}, "comes on top of the executor's memory, beyond the cap"),
        ({"spark.emr-serverless.executor.disk.type": "shuffle_optimized"}, "other disks have another price"),
        ({"spark.kubernetes.driver.container.image": "mine:latest"}, "take the source tree's image, by its digest"),
    ],
)
def test_properties_that_contradict_the_cap_or_do_nothing_are_refused(
    site: Site, properties: dict[str, str], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        start(Site(replace(site.spec, spark_properties=properties), site.account))


@pytest.mark.parametrize("begin", [start, start_eks])
@pytest.mark.parametrize("arguments", [("--master", "local[16]"), ("--master=local[4]",)])
def test_a_master_among_the_arguments_of_the_job_is_refused(
    site: Site, begin: Callable[[Site], dict[str, Any]], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(
        SpecError, match=r"arguments of the job: --master .*: the service sets it: remove it from `arguments`"
    ):
        begin(Site(replace(site.spec, arguments=arguments), site.account))
    with pytest.raises(SpecError, match="the service sets it"):
        payloads.job_arguments(site, arguments)


def test_the_first_region_is_not_named_to_s3_and_others_are(spec: Spec) -> None:
    first, other = (Site(spec, Account(id="123456789012", region=region)) for region in ("us-east-1", "eu-west-3"))
    assert "CreateBucketConfiguration" not in payloads.create_bucket(first)
    assert payloads.create_bucket(other)["CreateBucketConfiguration"] == {"LocationConstraint": "eu-west-3"}


def test_a_folder_of_this_machine_is_no_place_for_aws(site: Site) -> None:
    with pytest.raises(SpecError, match=r"input: /photos: AWS reads and writes s3:// addresses only"):
        start(Site(replace(site.spec, input="/photos"), site.account))


@pytest.mark.parametrize("name", ["serverless", "eks"])
def test_the_files_for_the_aws_command_line_hold_what_orchard_would_send(site: Site, name: str, tmp_path: Path) -> None:
    files = payloads.cli_inputs(site, TARGETS[name], tag="emr-7.13.0-x", digest=DIGEST, application="00f1")
    calls = {"serverless": start(site), "eks": start_eks(site)}[name]
    sent = json.loads(json.dumps(files[f"{TARGETS[name].service}-start-job-run"]))
    differing = {key for key in calls if calls[key] != sent.get(key)}
    assert differing <= {"clientToken", "name", "applicationId", "virtualClusterId"}
    assert all("clientToken" not in payload for payload in files.values())


@pytest.mark.parametrize("name", ["serverless", "eks"])
@pytest.mark.parametrize("application", ["00f1", None])
def test_the_files_for_the_aws_command_line_are_inputs_that_it_takes(
    site: Site, name: str, application: str | None
) -> None:
    files = payloads.cli_inputs(site, TARGETS[name], tag="emr-7.13.0-x", digest=DIGEST, application=application)
    commands = {
        "ecr": "ecr",
        "iam": "iam",
        "s3api": "s3",
        "emr-serverless": "emr-serverless",
        "emr-containers": "emr-containers",
    }
    for file, payload in json.loads(json.dumps(files)).items():
        command = next((command for command in commands if file.startswith(f"{command}-")), None)
        if command is None:
            assert file == "kubernetes-resource-quota"
            continue
        service, call = commands[command], file.removeprefix(f"{command}-")
        operations = MODELS.get_service_model(service)
        operation = next(each for each in operations.operation_names if botocore.xform_name(each, "-") == call)
        tokens = dict.fromkeys(
            operations.operation_model(operation).idempotent_members, "t"
        )  # the command line makes them
        later = (
            {"applicationId": "00f1"} if application is None and call in ("update-application", "start-job-run") else {}
        )
        check(service, operation, {**payload, **tokens, **(later if service == "emr-serverless" else {})})


@pytest.mark.parametrize("target", [SERVERLESS, EKS])
def test_every_state_that_a_service_has_is_known(target: Any) -> None:
    assert set(target.phases) == set(MODELS.get_service_model(target.service).shape_for("JobRunState").enum)
