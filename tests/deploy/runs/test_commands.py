"""submit, status, logs, cost and cancel as they are typed: what is printed where, and the exit code."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import tree_tag
from tests.deploy.runs.conftest import BUCKET, LONG_JOB, Command, Ready


def edit(tree: Path, **changes: Any) -> None:
    path = tree / "emr-serverless.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def test_submit_wait_then_status_logs_and_cost(ready: Ready, tree: Path, type_command: Command) -> None:
    code, out, err = type_command("submit", "--wait", "--budget", "1", job=("--varieties", "5"))
    assert (code, out.splitlines()[0]) == (0, "50 photos done")
    run = out.splitlines()[-1]
    assert list(ready.jobs()) == [run]
    assert f"run {run}: SUCCESS" in err
    assert "USD (billed)" in err
    code, out, err = type_command("status")
    assert (code, err) == (0, "")
    assert f"run         {run}: SUCCESS, image {tree_tag(tree)}, verified" in out
    assert "to do" not in out
    assert type_command("logs", "--stream", "stdout") == (0, "50 photos done\n", "")
    facts = json.loads(type_command("cost", "--json")[1])
    assert facts["photos"] == 1
    assert json.loads(type_command("status", "--json")[1])["runs"][0]["photos"] == 1


def test_submit_dry_run_estimates_for_the_photos_that_the_run_takes(ready: Ready, type_command: Command) -> None:
    for variety in ("Banana", "Cherry", "Date"):
        for number in range(3):
            ready.cloud.put(f"photos/{variety}/{number}.jpg")
    code, out, err = type_command("submit", "--dry-run", job=("--varieties", "3", "--per-variety", "2"))
    assert (code, "for 5 photos" in err) == (0, True)
    arguments = json.loads(out)["jobDriver"]["sparkSubmit"]["entryPointArguments"]
    assert arguments[-4:] == ["--varieties", "3", "--per-variety", "2"]
    assert ready.jobs() == {}


def test_submit_budget_below_the_worst_case_starts_nothing(ready: Ready, type_command: Command) -> None:
    code, out, err = type_command("submit", "--budget", "0.50")
    assert (code, out, ready.jobs()) == (1, "", {})
    assert "--budget 0.50: the worst case is 0.91 USD" in err


def test_submit_budget_on_eks_needs_wait(ready: Ready, type_command: Command) -> None:
    assert type_command("submit", "--target", "eks", "--budget", "5")[0] == 1
    assert type_command("submit", "--target", "eks", "--budget", "5", "--wait", "--detach")[0] == 1
    assert ready.jobs("eks") == {}
    code, out, err = type_command("submit", "--target", "eks", "--budget", "5", "--wait")
    assert (code, out.splitlines()[0]) == (0, "50 photos done")
    assert "the nodes are billed by EC2 or Fargate" in err


@pytest.mark.parametrize(
    ("flag", "value"), [("--budget", "nan"), ("--budget", "-1"), ("--wait-minutes", "0"), ("--photos", "-3")]
)
def test_submit_refuses_a_number_that_is_none(type_command: Command, flag: str, value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        type_command("submit", flag, value)
    assert caught.value.code == 2


@pytest.mark.parametrize("key", ["input", "output"])
def test_submit_refuses_a_role_of_another_specification(
    ready: Ready, tree: Path, type_command: Command, key: str
) -> None:
    edit(tree, **{key: f"s3://{{bucket}}/{key}-2"})
    ready.cloud.put("input-2/Apple/1.jpg")
    code, out, err = type_command("submit")
    assert (code, out, ready.jobs()) == (1, "", {})
    assert ("ReadArns" if key == "input" else "WriteArns") in err.splitlines()[-1]
    assert type_command("up")[0] == 0
    assert type_command("submit")[0] == 0


def test_submit_refuses_what_the_job_refuses(ready: Ready, type_command: Command) -> None:
    code, _, err = type_command("submit", job=("--variance", "7"))
    assert (code, "arguments of the job: --variance" in err, ready.jobs()) == (2, True, {})


def test_submit_wait_without_logs(ready: Ready, tree: Path, type_command: Command) -> None:
    edit(tree, logs=None)
    assert type_command("up")[0] == 0
    code, out, err = type_command("submit", "--wait")
    assert (code, len(out.splitlines())) == (0, 1)
    assert "the specification has no `logs`" in err
    assert type_command("logs")[0] == 1


def test_submit_again_while_it_is_under_way_starts_nothing(ready: Ready, type_command: Command) -> None:
    ready.play(LONG_JOB)
    _, first, _ = type_command("submit")
    code, second, err = type_command("submit")
    assert (code, second, len(ready.jobs())) == (0, first, 1)
    assert "not started again" in err
    code, out, err = type_command("submit", "--dry-run")
    assert (code, out, "not started again" in err) == (0, "", True)
    assert type_command("cancel", "--dry-run")[1] == f"cancel run {first}"
    assert type_command("cancel")[:2] == (0, f"run {first.strip()}: CANCELLED\n")
    assert type_command("submit")[1] != first


def test_logs_of_runs_that_are_not_there_and_followed_to_the_end(ready: Ready, type_command: Command) -> None:
    ready.play("import time; print('a'); time.sleep(60); print('b')")
    assert type_command("logs")[0] == 1
    run = type_command("submit")[1].strip()
    code, _, err = type_command("logs", "--executors")
    assert (code, f"run {run}: no such logs in s3://orchard-" in err) == (1, True)
    assert type_command("logs", "--follow")[:2] == (0, "a\nb\n")
    code, _, err = type_command("logs", "--run", "00rnone")
    assert (code, f"the last ones are {run}" in err) == (1, True)


def test_logs_executors_and_attempt(ready: Ready, type_command: Command) -> None:
    run = type_command("submit", "--wait")[1].splitlines()[-1]
    (application,) = {job.parent for job in ready.jobs().values()}
    prefix = f"s3://{BUCKET}/logs/applications/{application}/jobs/{run}"
    ready.cloud.account.write(f"{prefix}/SPARK_EXECUTOR/1/stderr.gz", gzip.compress(b"hello from 1 of 123456789012\n"))
    ready.cloud.account.write(f"{prefix}/attempts/2/SPARK_DRIVER/stdout.gz", gzip.compress(b"second try\n"))
    assert type_command("logs", "--executors")[2] == "hello from 1 of {account}\n"
    assert type_command("logs", "--stream", "stdout")[1] == "second try\n"
    assert type_command("logs", "--stream", "stdout", "--attempt", "1")[1] == "50 photos done\n"


def test_status_masks_what_aws_says(ready: Ready, type_command: Command) -> None:
    submission = ready.submit()
    ready.change(submission, state="FAILED", details="cannot pull 123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard")
    code, out, err = type_command("status", "--json")
    assert (code, "{account}.dkr.ecr" in out, "123456789012" in out + err) == (0, True, False)


def test_status_without_a_stack_or_runs(cloud: Any, type_command: Command) -> None:
    code, out, _ = type_command("status")
    assert (code, "`orchard-deploy up` makes it" in out, "run  " in out) == (0, True, False)
