"""The job specification: what is read from it, and what is refused where."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from orchard.classifier import options
from orchard.options import JobOptions
from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import COMMANDS
from orchard_deploy.spec import SCHEMA_FILE, SPEC_FILE, Spec, load_spec

from tests.deploy.conftest import ROOT

TWO = ["mobilenet_v2", "efficientnet_lite0"]
CONTENT = json.loads((ROOT / SPEC_FILE).read_text(encoding="utf-8"))


def changed(tmp_path: Path, **values: Any) -> Path:
    path = tmp_path / SPEC_FILE
    path.write_text(json.dumps({**CONTENT, **values}), encoding="utf-8")
    return path


def test_load_spec_of_the_project(spec: Spec) -> None:
    assert (spec.executors, spec.driver.cpu, spec.executor.memory, spec.executor.disk) == (2, 4, 16, 20)
    assert spec.base_image == "public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest"
    assert spec.job(input="in", output="out") == JobOptions(input="in", output="out", variance=0.9)


def test_spec_has_the_fields_of_the_schema() -> None:
    properties = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["properties"].keys() - {"$schema", "image"}
    snake = {re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name) for name in properties}
    assert snake | {"repository", "base", "backbones"} == {field.name for field in fields(Spec)}


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"executors": 2.0}, "executors: '2.0' is not of type 'integer'"),
        ({"name": "my/fruit"}, "name: 'my/fruit' does not match"),
        ({"name": "n" * 46}, "name: 'n+' does not match"),
        ({"executors": 0}, "executors: 0 is less than the minimum of 1"),
        ({"executor": {"cpu": 3, "memory": 16, "disk": 20}}, r"executor.cpu: 3 is not one of \[1, 2, 4, 8, 16\]"),
        ({"executor": {"cpu": 4, "memory": 31, "disk": 20}}, "executor.memory: 31 is greater than the maximum of 30"),
        ({"driver": {"cpu": 8, "memory": 17, "disk": 20}}, "driver.memory: 17 is not a multiple of 4"),
        ({"driver": {"memory": 17, "disk": 20}}, "driver: 'cpu' is a required property"),
        ({"entryPoint": "s3://fruits/main.py"}, "entryPoint: 's3://fruits/main.py' does not match"),
        ({"sparkProperties": {"hive.x": "1"}}, "sparkProperties: 'hive.x' does not match"),
        ({"excutors": 2}, "the top level: Additional properties are not allowed"),
        ({"command": "report"}, "command: 'report' is not one of"),
        ({"image": {}}, "image: 'repository' is a required property"),
        ({"image": {"repository": "x"}}, "image.repository: 'x' is too short"),
        ({"image": {"repository": "orchard", "backbones": []}}, "image.backbones: "),
        ({"image": {"repository": "orchard", "backbones": ["vgg"]}}, r"image.backbones\[0\]: .*efficientnet_lite0"),
    ],
)
def test_load_spec_names_the_key_that_the_schema_refuses(tmp_path: Path, values: dict[str, Any], place: str) -> None:
    with pytest.raises(SpecError, match=place):
        load_spec(changed(tmp_path, **values))


def without_input(tmp_path: Path, command: str) -> Path:
    path = changed(tmp_path, command=command, arguments=[])
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({name: value for name, value in content.items() if name != "input"}), encoding="utf-8")
    return path


def test_load_spec_without_input_is_for_export_alone(tmp_path: Path) -> None:
    assert load_spec(without_input(tmp_path, "export")).input is None
    for command in COMMANDS.keys() - {"export"}:
        with pytest.raises(SpecError, match="the top level: 'input' is a required property"):
            load_spec(without_input(tmp_path, command))


def test_schema_has_the_commands_of_job_commands(tmp_path: Path) -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert schema["properties"]["command"]["enum"] == list(COMMANDS) == list(options.COMMANDS)
    assert load_spec(ROOT / SPEC_FILE).command == "run"
    assert load_spec(changed(tmp_path, command="train")).command == "train"


def test_load_spec_of_no_file_and_of_no_json(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"No such file.*--spec"):
        load_spec(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(SpecError, match="not JSON"):
        load_spec(tmp_path / "broken.json")


def test_job_takes_further_arguments_first(spec: Spec) -> None:
    job = spec.job("--variance", "0.5", "--varieties", "5", "--input", "x", input="/in", output="/out")
    assert job == JobOptions(input="/in", output="/out", variance=0.5, varieties=5)


@pytest.mark.parametrize("arguments", [("--variance", "2"), ("--no-such-flag",), ("--varieties", "many")])
def test_job_refuses_what_the_command_refuses(spec: Spec, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SpecError, match="arguments of the job"):
        spec.job(*arguments, input="/in", output="/out")


def test_job_knows_the_backbones_of_the_image(tmp_path: Path) -> None:
    spec = load_spec(changed(tmp_path, image={"repository": "orchard", "backbones": TWO}))
    assert spec.backbones == TWO
    job = spec.job("--backbone", "efficientnet_lite0", input="in", output="out")
    assert isinstance(job, JobOptions)
    assert job.backbone == "efficientnet_lite0"
    assert spec.job("--backbone", "/opt/tuned", input="in", output="out")
    with pytest.raises(SpecError, match=r"image\.backbones"):
        spec.job("--backbone", "resnet50", input="in", output="out")


@pytest.mark.parametrize("command", ["predict", "export"])
def test_job_of_a_classifier_knows_the_backbones(tmp_path: Path, command: str) -> None:
    spec = load_spec(changed(tmp_path, command=command, arguments=["s3://fruit/classifier"]))
    assert spec.job(input="in" if command == "predict" else None, output="out")
    with pytest.raises(SpecError, match=r"image\.backbones"):
        spec.job("--backbone", "resnet50", input="in" if command == "predict" else None, output="out")
