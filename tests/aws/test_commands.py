"""The commands as they are typed: what is printed where, and the exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.__main__ import main
from deploy.aws import s3
from deploy.rehearsal.stage import Rehearsal
from deploy.site import OWNER_TAG
from tests.aws.conftest import LONG_JOB, NOTHING, TYPED, Theatre, behind, context_of, there, tree_tag
from tests.aws.memory.stage import MemoryStage

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tree: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in the tree: exit code, standard output, standard error."""

    def run(name: str, *words: str, job: tuple[str, ...] = ()) -> tuple[int, str, str]:
        behind = ("--", *job) if job else ()
        code = main([name, "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words, *behind])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def photo(tree: Path) -> None:
    context = context_of(tree)
    s3.write(context.aws, context.site.input.bucket, f"{context.site.input.prefix}/Apple/1.jpg", b"x")


def edit(tree: Path, **changes: Any) -> None:
    path = tree / "emr-serverless.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_whole_story(command: Command, stage: MemoryStage, tree: Path) -> None:
    code, out, err = command("plan")
    assert (code, err) == (0, "")
    assert re.search(r"cap +1 driver \+ 2 executors, one run at a time: 12 vCPU, 48 GB of memory, 60 GB of disk", out)
    assert "worst case  0.91 USD: every worker for 60 minutes" in out
    assert "not AWS" in out
    assert "to do       make ECR repository orchard" in out
    code, dry, _ = command("up", "--dry-run")
    assert stage.serverless.applications == {}
    assert dry.splitlines()[0] == "make ECR repository orchard"
    code, out, err = command("up")
    assert (code, out) == (0, "")
    assert dry.splitlines() == [line.removeprefix("orchard-deploy: ") for line in err.splitlines()[:-1]]
    photo(tree)
    code, out, err = command("submit", "--wait", "--budget", "1", job=("--varieties", "5"))
    assert code == 0
    assert out.splitlines()[0] == "50 photos done"
    run = out.splitlines()[-1]
    assert re.fullmatch("00r[0-9a-f]+", run)
    assert f"run {run}: SUCCESS" in err
    assert "USD (billed)" in err
    code, out, err = command("status")
    assert (code, err) == (0, "")
    assert f"run         {run}: SUCCESS, image {tree_tag(tree)}" in out
    assert "to do" not in out
    code, out, err = command("logs", "--stream", "stdout")
    assert (code, out, err) == (0, "50 photos done\n", "")
    code, out, err = command("cost", "--json")
    assert json.loads(out)["photos"] == 1
    assert json.loads(out)["billed"] is True
    code, dry, _ = command("down", "--dry-run", "--with-data")
    assert "delete role orchard-job-us-east-1" in dry
    code, out, err = command("down")
    assert "left: bucket orchard-{account}-us-east-1: holds data" in err
    code, out, err = command("down", "--with-data")
    assert err.splitlines()[-1] == "orchard-deploy: nothing is left"


def test_the_plan_as_json_holds_the_very_inputs(command: Command, stage: MemoryStage, tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    code, out, err = command("plan", "--json", "--photos", "90000", "--cli-input", str(folder))
    facts = json.loads(out)
    assert code == 0
    assert facts["cost"]["estimate"]["photos"] == 90000
    files = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    assert files == facts["inputs"]
    assert "--cli-input-json" in err
    assert facts["actions"][0]["operation"] == "create_repository"


def test_the_estimate_is_for_the_photos_that_the_run_takes(command: Command, stage: MemoryStage, tree: Path) -> None:
    command("up")
    place = (context := context_of(tree)).site.input
    for variety in ("Apple", "Banana", "Cherry"):
        for number in range(3):
            s3.write(context.aws, place.bucket, f"{place.prefix}/{variety}/{number}.jpg", b"x")
    assert "for 9 photos" in command("plan")[1]
    _, _, err = command("submit", "--dry-run", job=("--varieties", "2", "--per-variety", "2"))
    assert "for 4 photos" in err


def test_an_offline_plan_needs_no_aws_at_all(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    code, out, err = command("plan", "--offline", "--region", "us-east-1")
    assert (code, err) == (0, "")
    assert "USD" in out
    code, _, err = command("plan", "--offline", "--region", "us-east-1", "--account", "12")
    assert code == 2
    assert "an account's number has 12 digits" in err
    code, _, err = command("plan", "--offline", "--region", "eu-west-3")
    assert code == 2
    assert "no price of EMR serverless in eu-west-3" in err


def test_a_budget_below_the_worst_case_spends_nothing(command: Command, stage: MemoryStage, tree: Path) -> None:
    command("up")
    code, out, err = command("submit", "--budget", "0.50")
    assert (code, out) == (1, "")
    assert "--budget 0.50: the worst case is 0.91 USD" in err
    assert stage.serverless.floor.jobs == {}


@pytest.mark.parametrize(
    ("ready", "message"),
    [
        (0, "ECR does not have it: `orchard-deploy up` makes the repository"),
        (1, r"input s3://orchard-\{account\}-us-east-1/photos: no photos in it"),
    ],
)
def test_what_a_run_needs_is_asked_for_before_it_is_started(
    command: Command, stage: MemoryStage, ready: int, message: str
) -> None:
    for _ in range(ready):
        command("up")
    code, out, err = command("submit")
    assert (code, out) == (1, "")
    assert re.search(message, err)
    assert stage.serverless.floor.jobs == {}


@pytest.mark.parametrize("key", ["input", "output"])
def test_a_role_of_another_specification_is_found_out_before_a_run_is_paid_for(
    command: Command, stage: MemoryStage, tree: Path, key: str
) -> None:
    command("up")
    command("up")
    edit(tree, **{key: f"s3://{{bucket}}/{key}-2"})
    photo(tree)
    code, out, err = command("submit")
    assert (code, out) == (1, "")
    needs = "it does not let a run do what the specification needs now: `orchard-deploy up` sets it"
    assert err.splitlines()[-1] == f"orchard-deploy: error: role orchard-job-us-east-1: {needs}"
    assert stage.serverless.floor.jobs == {}
    command("up")
    assert command("submit")[0] == 0
    (job,) = stage.serverless.floor.jobs.values()
    assert (
        f"s3://orchard-123456789012-us-east-1/{key}-2" in job.request["jobDriver"]["sparkSubmit"]["entryPointArguments"]
    )


def test_new_tags_are_nothing_that_a_run_would_wait_for(command: Command, stage: MemoryStage, tree: Path) -> None:
    command("up")
    command("up")
    path = tree / "emr-serverless.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tags": {"project": "orchard", "team": "robots"}}))
    photo(tree)
    assert command("submit")[0] == 0
    (application,) = stage.serverless.applications.values()
    assert application.tags["team"] == "robots"


def test_a_role_that_someone_else_may_take_is_found_out_and_one_of_someone_elses_is_theirs(
    command: Command, stage: MemoryStage, tree: Path
) -> None:
    command("up")
    photo(tree)
    iam = behind(stage, "iam")
    role = iam.get_role(RoleName="orchard-job-us-east-1")["Role"]
    anyone = {"Effect": "Allow", "Principal": {"Service": "emr-serverless.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(
        RoleName=role["RoleName"], PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [anyone]})
    )
    assert "does not let a run do what the specification needs now" in command("submit")[2]
    iam.untag_role(RoleName=role["RoleName"], TagKeys=[OWNER_TAG])
    assert command("submit")[0] == 0


def test_a_dry_run_of_submit_prints_the_call(command: Command, stage: MemoryStage, tree: Path) -> None:
    command("up")
    photo(tree)
    code, out, err = command("submit", "--dry-run", job=("--varieties", "5"))
    assert code == 0
    assert json.loads(out)["jobDriver"]["sparkSubmit"]["entryPointArguments"][-2:] == ["--varieties", "5"]
    assert "to do       make application orchard" in err
    assert stage.serverless.applications == {}


def to_do(err: str) -> list[str]:
    """The steps that a dry run names, but for those that the command itself says nothing of."""
    steps = [
        line.removeprefix("orchard-deploy: to do       ")
        for line in err.splitlines()
        if line.startswith("orchard-deploy: to do ")
    ]
    return [step for step in steps if not step.startswith(("push ", "start a run ", "upload "))]


def said(err: str) -> list[str]:
    return [line.removeprefix("orchard-deploy: ") for line in err.splitlines()]


def last(err: str) -> str:
    return err.splitlines()[-1]


def test_a_dry_run_of_submit_ends_where_submit_does(command: Command, stage: MemoryStage, tree: Path) -> None:
    def both(*words: str) -> tuple[str, str]:
        dry, real = command("submit", "--dry-run", *words), command("submit", *words)
        assert (dry[0], dry[1], last(dry[2])) == (real[0], real[1], last(real[2])) == (1, "", last(dry[2]))
        assert to_do(dry[2]) == [line for line in said(real[2]) if line in to_do(dry[2])]
        return dry[2], last(dry[2])

    before = there(stage)
    assert command("submit", "--dry-run")[0] == 1
    assert there(stage) == before == NOTHING
    assert "ECR does not have it" in both()[1]
    err, end = both("--up")  # makes everything, and finds the new bucket empty
    assert "no photos in it" in end
    assert to_do(err)[0] == "make ECR repository orchard"
    assert "no photos in it" in both()[1]
    assert "no photos in it" in both("--up")[1]
    photo(tree)
    edit(tree, output="s3://{bucket}/elsewhere")
    assert "`orchard-deploy up` sets it" in both()[1]


@pytest.mark.parametrize("words", [(), ("--up",)])
def test_a_dry_run_of_submit_names_what_submit_does(
    command: Command, stage: MemoryStage, tree: Path, words: tuple[str, ...]
) -> None:
    command("up")
    photo(tree)
    for changes in ({}, {"executors": 1}):
        edit(tree, **changes)
        dry, real = command("submit", "--dry-run", *words)[2], command("submit", *words)
        assert real[0] == 0
        assert to_do(dry) == [line for line in said(real[2]) if line.startswith(("make ", "change ", "stop ", "let "))]
        assert said(dry)[-1] == f"to do       start a run of orchard:{tree_tag(tree)}"
        while there(stage)["runs"]:
            stage.clock.sleep(0.05)


def test_a_dry_run_of_submit_up_names_a_change_of_the_role_and_submit_alone_is_not_what_makes_it(
    command: Command, stage: MemoryStage, tree: Path
) -> None:
    command("up")
    command("up")
    photo(tree)
    edit(tree, output="s3://{bucket}/elsewhere")
    dry, real = command("submit", "--dry-run", "--up"), command("submit", "--up")
    assert (dry[0], real[0]) == (0, 0)
    assert to_do(dry[2]) == ["let role orchard-job-us-east-1 read the input and keep the output"]
    assert to_do(dry[2])[0] in said(real[2])


def test_a_dry_run_of_submit_says_when_nothing_would_be_started(theatre: Theatre, command: Command, tree: Path) -> None:
    theatre.open(LONG_JOB)
    command("up")
    photo(tree)
    _, run, _ = command("submit")
    code, out, err = command("submit", "--dry-run")
    assert (code, out) == (0, "")
    assert last(err) == f"orchard-deploy: run {run.strip()} does the very same and is not over: not started again"


def test_an_uploaded_main_file_is_what_runs(command: Command, stage: MemoryStage, tree: Path, tmp_path: Path) -> None:
    command("up")
    photo(tree)
    main_file = tmp_path / "mine.py"
    main_file.write_text("print('mine')\n")
    code, out, err = command("submit", "--upload-main", str(main_file), "--json")
    assert code == 0
    (job,) = stage.serverless.floor.jobs.values()
    address = job.request["jobDriver"]["sparkSubmit"]["entryPoint"]
    assert re.fullmatch(r"s3://orchard-123456789012-us-east-1/code/[0-9a-f]{12}/mine\.py", address)
    assert stage.world.read(address) == b"print('mine')\n"
    assert json.loads(out)["run"] == job.id
    code, _, err = command("submit", "--upload-main", str(tmp_path / "none.py"))
    assert (code, "No such file" in err) == (2, True)


def test_a_dry_run_names_the_uploaded_main_file_and_uploads_nothing(
    command: Command, stage: MemoryStage, tree: Path, tmp_path: Path
) -> None:
    command("up")
    photo(tree)
    main_file = tmp_path / "mine.py"
    main_file.write_text("print('mine')\n")
    _, out, _ = command("submit", "--dry-run", "--upload-main", str(main_file))
    address = json.loads(out)["jobDriver"]["sparkSubmit"]["entryPoint"]
    assert re.fullmatch(r"s3://orchard-123456789012-us-east-1/code/[0-9a-f]{12}/mine\.py", address)
    assert [key for key, _ in s3.keys(context_of(tree).aws, context_of(tree).site.code)] == []


def test_submit_wait_without_logs_says_so(command: Command, stage: MemoryStage, tree: Path) -> None:
    content = json.loads((tree / "emr-serverless.json").read_text())
    (tree / "emr-serverless.json").write_text(
        json.dumps({name: value for name, value in content.items() if name != "logs"})
    )
    command("up")
    photo(tree)
    code, out, err = command("submit", "--wait")
    assert (code, len(out.splitlines())) == (0, 1)
    assert "the specification has no `logs`, so the driver's lines are not shown" in err


def test_a_job_argument_that_the_job_refuses_costs_nothing(command: Command, stage: MemoryStage, tree: Path) -> None:
    command("up")
    photo(tree)
    code, _, err = command("submit", job=("--variance", "7"))
    assert code == 2
    assert "arguments of the job: --variance" in err
    assert stage.serverless.floor.jobs == {}


def test_the_same_again_while_it_is_under_way_starts_nothing(theatre: Theatre, command: Command, tree: Path) -> None:
    stage = theatre.open("import time; time.sleep(60)")
    command("up")
    photo(tree)
    _, first, _ = command("submit")
    code, second, err = command("submit")
    assert (code, second) == (0, first)
    assert "does the very same and is not over: not started again" in err
    assert len(stage.serverless.floor.jobs) == 1
    code, _, err = command("down", "--dry-run")
    assert (code, f"runs are active: {first.strip()}" in err) == (1, True)
    code, out, _ = command("down", "--dry-run", "--force")
    assert (code, out.splitlines()[0]) == (0, f"cancel run {first.strip()}")
    code, out, _ = command("cancel", "--dry-run")
    assert out == f"cancel run {first}"
    code, out, err = command("cancel")
    assert (code, out) == (0, f"run {first.strip()}: CANCELLED\n")


def test_logs_are_followed_to_the_end_and_named_where_there_are_none(
    theatre: Theatre, command: Command, tree: Path
) -> None:
    theatre.open("import time; print('a', flush=True); time.sleep(1); print('b')")
    command("up")
    photo(tree)
    code, _, err = command("logs")
    assert (code, "there are none: `orchard-deploy submit` starts one" in err) == (1, True)
    _, run, _ = command("submit")
    code, out, err = command("logs", "--executors")
    assert code == 1
    assert f"run {run.strip()}: no such logs in s3://orchard-" in err
    code, out, err = command("logs", "--follow")
    assert (code, out) == (0, "a\nb\n")
    code, _, err = command("logs", "--run", "00rnone")
    assert code == 1
    assert f"run 00rnone: orchard has no such run on serverless; the last ones are {run.strip()}" in err


def test_executors_and_attempts_are_shown_when_asked_for(command: Command, stage: MemoryStage, tree: Path) -> None:
    import gzip

    command("up")
    photo(tree)
    _, run, _ = command("submit", "--wait")
    run = run.splitlines()[-1]
    (application,) = stage.serverless.applications
    prefix = f"s3://orchard-123456789012-us-east-1/logs/applications/{application}/jobs/{run}"
    stage.world.write(f"{prefix}/SPARK_EXECUTOR/1/stderr.gz", gzip.compress(b"hello from 1 of 123456789012\n"))
    stage.world.write(f"{prefix}/attempts/2/SPARK_DRIVER/stdout.gz", gzip.compress(b"second try\n"))
    assert command("logs", "--executors")[2] == "hello from 1 of {account}\n"
    assert command("logs", "--stream", "stdout")[1] == "second try\n"
    assert command("logs", "--stream", "stdout", "--attempt", "1")[1] == "50 photos done\n"


def orchard(stage: Rehearsal, tree: Path, *words: str, **options: Any) -> subprocess.Popen[str]:
    command = [*TYPED, words[0], "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words[1:]]
    environ = {**os.environ, **stage.environ}
    return subprocess.Popen(
        command,
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        **options,
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_where_nobody_can_be_asked(
    theatre: Theatre, command: Command, tree: Path, sent: signal.Signals
) -> None:
    stage = theatre.wire(LONG_JOB)
    command("up")
    photo(tree)
    process = orchard(stage, tree, "submit", "--wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "CANCELLED" in err
    assert "Traceback" not in err
    assert [job.stage.value for job in stage.serverless.floor.jobs.values()] == ["CANCELLED"]


def test_killed_outright_the_run_goes_on_and_is_found(theatre: Theatre, command: Command, tree: Path) -> None:
    stage = theatre.wire(LONG_JOB)
    command("up")
    photo(tree)
    process = orchard(stage, tree, "submit", "--wait")
    deadline = time.monotonic() + 60
    while not stage.serverless.floor.jobs and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    (job,) = stage.serverless.floor.jobs.values()
    code, out, err = command("status")
    assert job.id in out
    code, _, err = command("down")
    assert (code, f"runs are active: {job.id}" in err) == (1, True)
    code, _, err = command("down", "--force", "--with-data")
    assert err.splitlines()[-1] == "orchard-deploy: nothing is left"
