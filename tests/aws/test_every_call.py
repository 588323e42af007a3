"""Each call of each command going wrong.

One line on the way out, and where AWS says that a call may be made again, not even that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from orchard_deploy import s3
from orchard_deploy.__main__ import main
from orchard_deploy.errors import AwsError
from orchard_deploy.image.push import push_to_ecr

from tests.aws.conftest import ROOT, context_of
from tests.aws.mortal import MortalEngine, Steps
from tests.deploy.rehearsal.account import Account as Stage

Run = Callable[..., tuple[int, str]]
NOTHING, MADE, RAN = "nothing", "everything is made", "a run has ended"
# What is said of each kind of failure; that of one call, and that of each from one on.
LINES = {"denied": "not allowed|you may not", "expired": "the credentials have expired: log in again"}


def fail(stage: Stage, number: int, kind: str) -> None:
    """Let the `number`-th call from now on fail."""
    {"denied": stage.faults.plan_call, "expired": stage.faults.plan_from}[kind](number, kind)


@pytest.fixture
def run(tree: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the tree: exit code and standard error."""

    def run(name: str, *words: str) -> tuple[int, str]:
        code = main([name, "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words])
        return code, capsys.readouterr().err

    return run


def make_ready(run: Run, tree: Path, there: str) -> None:
    """Bring about what there is to be."""
    assert run("down", "--force", "--with-data")[0] == 0
    if there != NOTHING:
        assert [run("up")[0] for _ in range(2)] == [0, 0]
    if there == RAN:
        context = context_of(tree)
        s3.write(context.aws, context.site.input.bucket, f"{context.site.input.prefix}/Apple/1.jpg", b"x")
        assert run("submit", "--wait")[0] == 0


@pytest.mark.parametrize("kind", LINES)
def test_a_call_that_fails_ends_a_push_in_one_line(stage: Stage, tree: Path, run: Run, kind: str) -> None:
    make_ready(run, tree, MADE)
    aws = context_of(tree).aws
    engine = MortalEngine(stage, aws, Steps())
    before = len(stage.faults.log)
    push_to_ecr(aws, engine, "orchard", "new", lambda line: None)
    calls = len(stage.faults.log) - before
    assert calls >= 4
    for number in range(1, calls + 1):
        fail(stage, number, kind)
        with pytest.raises(AwsError, match=LINES[kind]) as raised:
            push_to_ecr(aws, engine, "orchard", f"new{number}", lambda line: None)
        assert "\n" not in str(raised.value)
        stage.faults.clear()
        assert push_to_ecr(aws, engine, "orchard", f"new{number}", lambda line: None).startswith("sha256:")


@pytest.mark.parametrize("kind", ["throttle", pytest.param("5xx", marks=pytest.mark.slow)])
def test_what_may_be_called_again_is_not_even_seen(
    wire: Stage, tree: Path, run: Run, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP, since it is boto3 that calls again; only its pauses are left out."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))
    make_ready(run, tree, RAN)
    assert run("down", "--force", "--with-data")[0] == 0
    wire.faults.plan_everywhere(kind)
    make_ready(run, tree, RAN)
    for command in (("plan",), ("status",), ("logs",), ("cost", "--photos", "1"), ("down", "--force", "--with-data")):
        code, err = run(*command)
        assert code == 0, err
        assert "error" not in err
    assert len({call for call in wire.faults.log if wire.faults.log.count(call) > 1}) > 20


def deploy(*words: str, stdout: int, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchard_deploy", *words]
    settings = {
        "PYTHONUNBUFFERED": "",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        **environ,
    }
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


def test_an_endpoint_that_is_none_is_one_line() -> None:
    done = deploy("plan", stdout=subprocess.DEVNULL, AWS_ENDPOINT_URL="nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "orchard-deploy: error: AWS settings: Invalid endpoint: nonsense: check AWS_ENDPOINT_URL"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words", [("tag",), ("tag", "--json"), ("plan", "--offline", "--json"), ("plan", "--help")], ids=" ".join
)
def test_whoever_reads_no_further_gets_no_error(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = deploy(*words, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk_behind_the_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = deploy("tag", "--json", stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "orchard-deploy: error: the output: No space left on device: make room, then call again\n"
