"""The commands plan, up and down as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.stack.state import TEMPLATE

from tests.deploy.cloud import BUCKET, EVERYTHING, NOTHING, Cloud
from tests.deploy.conftest import ROOT, tree_tag
from tests.deploy.runs.test_commands import edit

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(tree: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs a command in the tree: exit code, standard output and standard error."""

    def typed(name: str, *words: str) -> tuple[int, str, str]:
        code = main([name, "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return typed


def test_plan_on_eks_names_the_image_of_eks(typed: Typed, cloud: Cloud, tree: Path) -> None:
    for _ in range(2):
        typed("up")
    asked = json.loads(typed("plan", "--target", "eks", "--json")[1])["start_job_run"]
    digest = cloud.account.images.digests("orchard")[tree_tag(tree, "eks")]
    assert asked["tags"]["orchard:digest"] == digest
    assert f"image=123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard@{digest}" in json.dumps(asked["jobDriver"])


def test_plan_after_an_up_that_was_interrupted_before_it_made_anything(typed: Typed, cloud: Cloud) -> None:
    named = {"StackName": "orchard", "ChangeSetName": "x", "ChangeSetType": "CREATE"}
    cloud.behind("cloudformation").create_change_set(**named, TemplateBody='{"Resources": {}}')
    code, _, err = typed("plan")
    assert (code, "nothing of it exists yet: `orchard-deploy up` makes it" in err) == (1, True)
    assert typed("up")[0] == 0


def test_plan_up_down_in_turn(typed: Typed, cloud: Cloud) -> None:
    code, out, _ = typed("plan")
    assert code == 0
    assert "stack       orchard: there is none" in out
    assert "worst case  0.91 USD" in out
    assert "change      Add     Repository    AWS::ECR::Repository" in out
    assert cloud.there() == NOTHING
    assert out.count("replacement no") == 4
    assert typed("up", "--dry-run")[1].count("replacement no") == 4
    assert cloud.there() == NOTHING
    code, out, err = typed("up")
    assert (code, out) == (0, "")
    assert "CREATE_COMPLETE" in err
    assert "change      Add     Application" in typed("plan")[1]
    assert typed("up")[0] == 0
    cloud.put("photos/Apple/1.jpg")
    code, out, _ = typed("plan")
    assert "for 1 photos" in out
    assert "nothing: everything is as it should be" in out
    assert typed("up", "--dry-run")[1] == "nothing: everything is as it should be\n"
    assert typed("up")[2].splitlines()[-1].endswith("everything is as it should be")
    assert "leave bucket" in typed("down", "--dry-run")[1]
    assert cloud.there() == EVERYTHING
    assert "--with-data" in typed("down")[2]
    assert cloud.there() == {**NOTHING, "buckets": [BUCKET]}
    assert typed("down", "--with-data")[2].splitlines()[-1] == "orchard-deploy: left: nothing"
    assert cloud.there() == NOTHING


def test_plan_and_up_ask_for_the_missing_image(typed: Typed, cloud: Cloud) -> None:
    cloud.take_images()
    assert ":emr-7.13.0-" in (line := typed("up")[2].splitlines()[-1])
    assert "is pushed: `orchard-deploy build`, `push`" in line
    assert "once the image is pushed" in typed("plan")[1]
    assert "once the image is pushed" not in typed("plan", "--target", "eks")[1]
    assert "`push`" not in typed("up", "--target", "eks")[2].splitlines()[-1]


def test_plan_json(typed: Typed, cloud: Cloud) -> None:
    typed("up")
    facts = json.loads(typed("plan", "--json")[1])
    assert facts["parameters"]["MaximumCpu"] == "12vCPU"
    assert facts["stack"] == {"name": "orchard", "status": "CREATE_COMPLETE"}
    assert facts["cost"]["worst_case"] > 0
    assert facts["start_job_run"]["executionRoleArn"].endswith(":role/orchard-job-us-east-1")
    assert {"action", "name", "type", "replaced"} == set(
        json.loads(typed("plan", "--json", "--offline")[1])["changes"][0]
    )


def test_plan_and_up_of_a_missing_bucket_end_with_one_line(tree: Path, typed: Typed, cloud: Cloud) -> None:
    content = json.loads((tree / "emr-serverless.json").read_text(encoding="utf-8"))
    (tree / "emr-serverless.json").write_text(json.dumps({**content, "input": "s3://fruits/x"}), encoding="utf-8")
    for words in (("plan",), ("plan", "--json"), ("up",)):
        code, out, err = typed(*words)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "input: bucket fruits: there is none" in err


@pytest.mark.parametrize("target", ["serverless", "eks"])
def test_plan_offline_needs_neither_account_nor_region_nor_home(tree: Path, tmp_path: Path, target: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-m", "orchard_deploy", "plan", "--offline", "--target", target, "--output", "stack"]
    done = subprocess.run(
        [*command, "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)],
        cwd=tmp_path,
        env={**environ, "HOME": str(tmp_path / "nobody"), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "region us-east-1 assumed" in done.stderr
    assert "region      us-east-1" in done.stdout
    names = {found.name for found in (tmp_path / "stack").iterdir()}
    quota = {"resource-quota.json"} if target == "eks" else set()
    assert names == {"template.yaml", "parameters.json", "start-job-run.json", *quota}
    assert (tmp_path / "stack" / "template.yaml").read_text(encoding="utf-8") == TEMPLATE


def test_plan_output_makes_a_stack_that_the_commands_take_as_theirs(typed: Typed, cloud: Cloud, tmp_path: Path) -> None:
    assert typed("plan", "--offline", "--account", "123456789012", "--output", str(tmp_path))[0] == 0
    given = json.loads((tmp_path / "parameters.json").read_text(encoding="utf-8"))
    named = {"StackName": "orchard", "ChangeSetName": "by-hand"}
    cloudformation = cloud.behind("cloudformation")
    cloudformation.create_change_set(
        **named,
        ChangeSetType="CREATE",
        TemplateBody=(tmp_path / "template.yaml").read_text(encoding="utf-8"),
        Parameters=given,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": "orchard:application", "Value": "orchard"}, {"Key": "project", "Value": "orchard"}],
    )
    cloudformation.execute_change_set(**named)
    cloud.pass_time(60)
    assert "Add     Application" in typed("plan")[1]
    assert typed("up")[0] == 0
    assert cloud.there() == EVERYTHING
    request = json.loads(typed("plan", "--json")[1])["start_job_run"]
    assert cloud.behind("emr-serverless").start_job_run(**request, clientToken="t")["jobRunId"]


def test_plan_offline_refuses_what_no_run_can_work_with(tree: Path, typed: Typed) -> None:
    edit(tree, arguments=["--nonsense"])
    code, out, err = typed("plan", "--offline")
    assert (code, out, "--nonsense" in err) == (2, "", True)


def test_down_with_nothing_there(typed: Typed, cloud: Cloud) -> None:
    assert typed("down", "--dry-run")[:2] == (0, "nothing to do\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--account", "12"), "an account's number has 12 digits"), (("--output", "/dev/null/x"), "--output /dev/null/x")],
)
def test_plan_flags_that_cannot_work(typed: Typed, cloud: Cloud, words: tuple[str, ...], said: str) -> None:
    code, _, err = typed("plan", "--offline", *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_the_documents_name_the_commands_that_there_are() -> None:
    text = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    assert "aws cloudformation deploy" in text
    assert "orchard-deploy iam" not in text
