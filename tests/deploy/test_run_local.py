"""The plan of a run on this machine: confined, and the cloud's but for master, sizes and paths."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.errors import SpecError
from deploy.run_local import Locally, parse_memory, plan_run
from deploy.spark import spark_properties
from deploy.spec import Spec

ASKED = Locally(image="orchard:x", input="/photos", output="/out", slots=4, cpus=2, memory=6 << 30, user=(1000, 1001))


def properties(command: tuple[str, ...]) -> dict[str, str]:
    settings = [word for before, word in itertools.pairwise(command) if before == "--conf"]
    return dict(setting.split("=", 1) for setting in settings)


def test_the_container_is_confined_to_its_two_folders(spec: Spec) -> None:
    arguments = plan_run(spec, ASKED).arguments()
    assert arguments["network_mode"] == "none"
    assert arguments["read_only"] is True
    assert arguments["cap_drop"] == ["ALL"]
    assert arguments["security_opt"] == ["no-new-privileges"]
    assert arguments["volumes"] == {"/photos": {"bind": "/input", "mode": "ro"}, "/out": {"bind": "/output", "mode": "rw"}}
    assert arguments["mem_limit"] == arguments["memswap_limit"] == 6 << 30


def test_what_runs_is_the_specifications_entry_point_with_its_arguments(spec: Spec) -> None:
    command = plan_run(spec, ASKED).command
    place = command.index(spec.entry_point)
    assert command[place + 1 :] == tuple(spec.job(input="/input", output="/output").to_args())
    assert command[:2] == ("--master", "local[4]")


def test_every_property_of_the_cloud_is_there_but_those_of_sizes_cap_and_interpreter(spec: Spec) -> None:
    spec = replace(spec, spark_properties={"spark.sql.shuffle.partitions": "7"})
    here, there = properties(plan_run(spec, ASKED).command), spark_properties(spec)
    left_out = {name for name in there if here.get(name) != there[name]}
    assert here["spark.sql.shuffle.partitions"] == "7"
    for name in left_out:
        assert name.startswith(
            (
                "spark.cores.",
                "spark.default.parallelism",
                "spark.driver.",
                "spark.executor.",
                "spark.emr-serverless.",
                "spark.dynamicAllocation.",
                "spark.executorEnv.",
            )
        )
    assert here.keys() - there.keys() == set()


def test_the_docker_run_line_says_the_same(spec: Spec) -> None:
    passwd, line = plan_run(spec, replace(ASKED, input="/my photos")).command_line().rsplit("\n", 1)
    assert shlex.split(passwd)[:3] == ["printf", "%s", "root:x:0:0::/tmp:/bin/sh\nhadoop:x:1000:1001::/tmp:/bin/sh\n"]
    words = shlex.split(line)
    assert "/tmp/passwd:/etc/passwd:ro" in words
    assert words[:2] == ["docker", "run"]
    for pair in (["--network", "none"], ["--cap-drop", "ALL"], ["--user", "1000:1001"], ["--volume", "/my photos:/input:ro"]):
        assert words[words.index(pair[0]) + 1] == pair[1]
    assert "--read-only" in words
    assert words[words.index("orchard:x") + 1 :] == list(plan_run(spec, ASKED).command)


def test_an_s3_address_is_handed_on_and_brings_network_and_credentials(spec: Spec, tmp_path: Path) -> None:
    asked = replace(ASKED, input="s3://bucket/photos", network="bridge", aws_folder=tmp_path, aws_profile="lab")
    run = plan_run(spec, asked)
    assert run.command[run.command.index("--input") + 1] == "s3://bucket/photos"
    assert [(mount.source, mount.target, mount.read_only) for mount in run.mounts] == [
        (Path("/out"), "/output", False),
        (tmp_path, "/aws", True),
    ]
    assert run.environment["AWS_PROFILE"] == "lab"
    assert run.environment["AWS_CONFIG_FILE"] == "/aws/config"


def test_further_arguments_reach_the_job(spec: Spec) -> None:
    command = plan_run(spec, replace(ASKED, extra=("--varieties", "5"))).command
    assert ("--varieties", "5") in itertools.pairwise(command)


@pytest.mark.parametrize(
    ("text", "size"), [("6g", 6 << 30), ("512m", 512 << 20), ("1.5GiB", 3 << 29), ("1000", 1000), ("2 Gb".replace(" ", ""), 2 << 30)]
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1g", "6 gallons", "6t"])
def test_no_amount_of_memory(text: str) -> None:
    with pytest.raises(SpecError, match="not an amount of memory"):
        parse_memory(text)
