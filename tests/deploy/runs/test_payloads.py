"""The inputs of the calls: what AWS's own models accept, and the cap in every place where it has to stand."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shlex
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from orchard_deploy.emr import DIGEST_TAG, PHOTOS_TAG
from orchard_deploy.errors import SpecError
from orchard_deploy.rehearsal.emr import properties_of
from orchard_deploy.rehearsal.services import workers
from orchard_deploy.runs import payloads
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import SPEC_FILE, Eks, capacity, load_spec
from orchard_deploy.targets import EKS, SERVERLESS, Target

from tests.deploy.stack.specifications import sites

DIGEST = "sha256:" + "a" * 64
OUTPUTS = {"Application": "00f1"}
MODELS = botocore.session.get_session()


def check(service: str, operation: str, parameters: dict[str, Any]) -> None:
    """Nothing that botocore or the service's model finds wrong."""
    shape = MODELS.get_service_model(service).operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(parameters, shape)
    assert not report.has_errors(), report.generate_report()
    if service.startswith("emr"):  # the others' patterns are not Python's
        assert not list(problems(shape, parameters))


def problems(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """Everything that botocore leaves out: patterns, enumerations, ranges."""
    if isinstance(shape, StructureShape):
        for name, item in value.items():
            yield from problems(shape.members[name], item, f"{where}{name}.")
    elif isinstance(shape, ListShape):
        for item in value:
            yield from problems(shape.member, item, where)
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from [*problems(shape.key, key, where), *problems(shape.value, item, f"{where}{key}.")]
    elif isinstance(value, str):
        allowed, pattern = getattr(shape, "enum", None) or [value], shape.metadata.get("pattern", ".*")
        if value not in allowed or not re.fullmatch(pattern, value, re.DOTALL):
            yield f"{where[:-1]}: {value!r} is none of {', '.join(allowed)}, or does not match {pattern}"
    size = value if isinstance(value, int) else len(value) if isinstance(value, (str, list, dict)) else 0
    low, high = shape.metadata.get("min", size), shape.metadata.get("max", size)
    if not low <= size <= high:
        yield f"{where[:-1]}: {size} is outside {low} to {high}"


def start(site: Site, target: Target = SERVERLESS, **options: Any) -> dict[str, Any]:
    """The complete input of StartJobRun."""
    if target is EKS:
        eks = Eks(virtual_cluster="vc1", execution_role="orchard-eks-job")
        site = Site(replace(site.spec, eks=site.spec.eks or eks), site.account)
    given = {"outputs": OUTPUTS, "tag": "emr-7.13.0-x", "digest": DIGEST, **options}
    return {**payloads.start_job_run(site, target, **given), "clientToken": "t" * 64}


def start_eks(site: Site, **options: Any) -> dict[str, Any]:
    return start(site, EKS, **options)


def properties(submit: dict[str, Any]) -> dict[str, str]:
    words = shlex.split(submit["sparkSubmitParameters"])
    return dict(value.split("=", 1) for name, value in itertools.pairwise(words) if name == "--conf")


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
def test_start_job_run_takes_every_name_and_tag_of_the_schema(
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


def test_start_job_run_with_the_longest_name_and_the_most_tags(tree: Path) -> None:
    tags = {f"k{number}": "v" for number in range(46)}
    assert takes(tree, {"name": "n" * 45, "tags": tags})
    site = Site(load_spec(tree / SPEC_FILE), Account(id="123456789012", region="us-east-1"))
    check("emr-containers", "StartJobRun", start_eks(site))
    assert (len(start_eks(site, photos=1)["name"]), len(start_eks(site, photos=1)["tags"])) == (58, 50)
    assert not takes(tree, {"name": "n" * 46})
    assert not takes(tree, {"name": "n", "tags": {**tags, "more": "v"}})


# What a specification may add: harmless, the cap's own, mistaken, and what would let it grow.
ADDED = st.dictionaries(
    st.sampled_from(
        [
            "spark.sql.shuffle.partitions",
            "spark.driver.extraJavaOptions",
            "spark.dynamicAllocation.enabled",
            "spark.dynamicAllocation.initialExecutors",
            "spark.dynamicAllocation.minExecutors",
            "spark.dynamicAllocation.maxExecutors",
            "spark.dynamicAllocation.enable",
            "spark.executor.instances",
            "spark.executor.cores",
            "spark.executor.memory",
            "spark.executor.memoryOverhead",
            "spark.executor.pyspark.memory",
            "spark.memory.offHeap.size",
            "spark.emr-serverless.executor.disk",
            "spark.emr-serverless.executor.disk.type",
            "spark.cores.max",
            "spark.shuffle.service.enabled",
            "spark.kubernetes.executor.container.image",
            "spark.a --conf spark.executor.instances",
            "spark.executor.instances=9",
        ]
    ),
    st.sampled_from(["true", "false", "1", "2", "3", "64", "8g", "-Da=b -Dc='d e'", '"', "'", "\\"]),
    max_size=3,
)


@pytest.mark.parametrize("target", [SERVERLESS, EKS], ids=lambda target: target.name)
@given(site=sites(), added=ADDED)
@settings(max_examples=150, deadline=None)
def test_start_job_run_of_any_specification_holds_the_cap(target: Target, site: Site, added: dict[str, str]) -> None:
    """By every way in which a run gets executors, or is given none: or the specification is refused."""
    site = Site(replace(site.spec, spark_properties=added), site.account)
    try:
        asked = start(site, target)
    except SpecError:
        return
    check(target.service, "StartJobRun", asked)
    spec, count = site.spec, site.spec.executors
    found = properties(asked["jobDriver"][target.driver_key])  # nothing overrides what stands in these
    # A fixed number, and the same one where anything switches dynamic allocation on: Spark starts with the greatest of
    # the three, whatever the maximum is, and fails where the least is above it.
    assert found["spark.dynamicAllocation.enabled"] == "false"
    start_with = [int(found[f"spark.{name}"]) for name in STARTS]
    assert max(start_with) == int(found["spark.dynamicAllocation.maxExecutors"]) == count
    assert int(found["spark.dynamicAllocation.minExecutors"]) <= count
    # A standalone cluster gives out cores.
    assert int(found["spark.cores.max"]) == count * spec.executor.cpu
    # Nothing beside heap and overhead takes memory, and the service rounds these to no larger worker.
    assert found.get("spark.shuffle.service.enabled", "false") == "false"
    assert not [name for name in found if name.startswith(("spark.memory.offHeap.", "spark.executor.pyspark."))]
    for role, worker in (("driver", spec.driver), ("executor", spec.executor)):
        heap, overhead = (int(found[f"spark.{role}.{name}"].rstrip("g")) for name in ("memory", "memoryOverhead"))
        assert heap + overhead == worker.memory
        assert int(found[f"spark.{role}.cores"]) == worker.cpu
    if target is SERVERLESS:
        taken = workers(properties_of(asked, target.driver_key))
        assert taken == [spec.driver, *[spec.executor] * count]
        most = capacity(spec)
        assert [sum(getattr(each, name) for each in taken) for name in ("cpu", "memory", "disk")] == [
            most.cpu,
            most.memory,
            most.disk,
        ]
        assert not [name for name in found if name.endswith("disk.type")]
        assert asked["executionTimeoutMinutes"] == spec.timeout_minutes
    else:
        hard = payloads.resource_quota(site)["spec"]["hard"]
        assert (hard["pods"], hard["requests.cpu"]) == (str(count + 2), str(capacity(spec).cpu + 1))
        assert found[str(target.image_property)].endswith(f"/{spec.repository}@{DIGEST}")
    assert asked[target.retry_key] == {"maxAttempts": spec.max_attempts}


STARTS = ("executor.instances", "dynamicAllocation.initialExecutors", "dynamicAllocation.minExecutors")


def test_start_job_run_gives_both_services_the_same_job(site: Site) -> None:
    here, there = start(site)["jobDriver"]["sparkSubmit"], start_eks(site)["jobDriver"]["sparkSubmitJobDriver"]
    assert here["entryPoint"] == there["entryPoint"]
    assert here["entryPointArguments"] == there["entryPointArguments"]
    assert not [name for name in properties(there) if "emr-serverless" in name]


def test_resource_quota_holds_the_cap_and_one_pod_to_submit(site: Site) -> None:
    assert payloads.resource_quota(site)["spec"]["hard"] == {
        "pods": "4",
        "requests.cpu": "13",
        "requests.memory": "50Gi",
    }


@pytest.mark.parametrize(("digest", "end"), [(DIGEST, f"/orchard@{DIGEST}"), (None, "/orchard:emr-7.13.0-x")])
def test_start_job_run_names_the_image_by_digest_or_tag(site: Site, digest: str | None, end: str) -> None:
    image = properties(start(site, EKS, digest=digest)["jobDriver"]["sparkSubmitJobDriver"])[EKS.image_property or ""]
    assert image == f"123456789012.dkr.ecr.us-east-1.amazonaws.com{end}"


def test_start_job_run_puts_values_with_blanks_where_nobody_splits_them(site: Site) -> None:
    options = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -Da='b c'"}
    asked = start(Site(replace(site.spec, spark_properties=options), site.account))
    (defaults,) = asked["configurationOverrides"]["applicationConfiguration"]
    assert defaults == {"classification": "spark-defaults", "properties": options}
    assert "extraJavaOptions" not in asked["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]


def test_spark_properties_name_the_images_python(site: Site) -> None:
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
def test_spark_properties_refuses_what_contradicts_the_cap_or_does_nothing(
    site: Site, properties: dict[str, str], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        start(Site(replace(site.spec, spark_properties=properties), site.account))


@pytest.mark.parametrize("begin", [start, start_eks])
@pytest.mark.parametrize("arguments", [("--master", "local[16]"), ("--master=local[4]",)])
def test_job_arguments_refuses_a_master(
    site: Site, begin: Callable[[Site], dict[str, Any]], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(
        SpecError, match=r"arguments of the job: --master .*: the service sets it: remove it from `arguments`"
    ):
        begin(Site(replace(site.spec, arguments=arguments), site.account))
    with pytest.raises(SpecError, match="the service sets it"):
        payloads.job_arguments(site, arguments)


def test_start_job_run_refuses_a_folder_of_this_machine(site: Site) -> None:
    with pytest.raises(SpecError, match=r"input: /photos: AWS reads and writes s3://"):
        start(Site(replace(site.spec, input="/photos"), site.account))


@pytest.mark.parametrize("target", [SERVERLESS, EKS])
def test_target_phases_has_every_state_of_the_service(target: Any) -> None:
    assert set(target.phases) == set(MODELS.get_service_model(target.service).shape_for("JobRunState").enum)


def test_start_job_run_names_what_the_stack_made(site: Site) -> None:
    asked = start(site, extra=("--varieties", "5"), photos=3)
    assert (asked["applicationId"], asked["executionRoleArn"]) == ("00f1", site.role_arn())
    assert asked["jobDriver"]["sparkSubmit"]["entryPoint"] == "local:///opt/orchard/main.py"
    assert (asked["tags"][DIGEST_TAG], asked["tags"][PHOTOS_TAG]) == (DIGEST, "3")


def test_start_job_run_where_there_is_no_stack_yet(site: Site) -> None:
    asked = start(site, outputs={}, digest=None)
    assert "applicationId" not in asked
    assert asked["executionRoleArn"] == site.role_arn()
    assert DIGEST_TAG not in asked["tags"]


def test_start_job_run_gives_runs_that_do_the_same_one_name(site: Site) -> None:
    extra = ("--varieties", "5")
    assert start(site, extra=extra)["name"] == start(site, extra=extra, photos=2)["name"]  # photos came meanwhile
    names = [start(site), start(site, extra=extra), start(site, digest="sha256:" + "0" * 64)]
    assert len({each["name"] for each in names}) == 3
