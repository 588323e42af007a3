"""The command line: exit codes, and each known error as one line on standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from orchard_deploy.__main__ import main

from tests.deploy.conftest import ROOT, write_tree
from tests.deploy.rehearsal.account import Account

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs a command for a tree: exit code and the one line of standard error."""

    def run(tree: Path, *words: str) -> tuple[int, str]:
        code = main([words[0], "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words[1:]])
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert err.startswith("orchard-deploy: error: ")
        return code, err

    return run


def test_no_network(tree: Path, rehearsal: Account, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    code, err = typed(tree, "plan")
    assert code == 1
    assert "AWS, sts get_caller_identity: no answer (Could not connect" in err
    assert "check network, proxy and region" in err


def test_no_region(tree: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    code, err = typed(tree, "status")
    assert code == 2
    assert "AWS region: none is set: write `region` into the specification" in err


def test_no_credentials(tree: Path, rehearsal: Account, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    code, err = typed(tree, "status")
    assert code == 1
    assert "AWS credentials: Unable to locate credentials" in err
    assert "aws sso login" in err


def test_the_specification_is_checked_before_any_call(tree: Path, aws_in_memory: Account, typed: Typed) -> None:
    content = json.loads((tree / "emr-serverless.json").read_text())
    (tree / "emr-serverless.json").write_text(json.dumps({**content, "executors": 7}))
    code, err = typed(tree, "up")
    assert code == 2
    assert "32 vCPU at once" in err
    assert aws_in_memory.faults.log == []


def test_a_known_account_is_masked_wherever_its_number_is(tmp_path: Path, aws_in_memory: Account, typed: Typed) -> None:
    tree = write_tree(tmp_path / "other", bucket="photos-1.0-{account}")
    aws_in_memory.faults.plan("s3", "HeadBucket", "denied", 1)
    code, err = typed(tree, "up")
    assert code == 1
    assert "bucket photos-1.0-{account}: it is someone else's" in err


@pytest.mark.parametrize("amount", ["nan", "inf", "-1"])
def test_budget_that_compares_with_nothing(tree: Path, amount: str) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["submit", "--spec", str(tree / "emr-serverless.json"), f"--budget={amount}"])
    assert raised.value.code == 2


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main([word])
    assert raised.value.code == 0
    assert "orchard-deploy" in capsys.readouterr().out


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
