"""The command `rehearse`: a whole story by one line, without Docker and without an account."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.record import Submission, record_file
from deploy.site import Site
from tests.aws.conftest import ROOT
from tests.aws.test_errors import said_by

ORCHARD = [sys.executable, "-m", "deploy"]


def rehearse(tree: Path, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    places = ["--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)]
    before, _, behind = " ".join(words).partition(" -- ")
    inner = [*ORCHARD, *behind.split(), *places] if behind else []
    command = [
        *ORCHARD,
        "rehearse",
        "--without-docker",
        "--speed",
        "100",
        *places,
        *before.split(),
        *(["--", *inner] if inner else []),
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.usefixtures("weights")
def test_the_real_job_runs_on_photos_of_ones_own_from_s3_to_s3(tree: Path, drawn: Path) -> None:
    done = rehearse(tree, f"--photos {drawn} -- submit --up --wait --budget 1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 listed = 24 featurized + 0 rejected" in done.stdout
    assert "s3://orchard-{account}-us-east-1/features/report.html" in done.stdout
    assert "123456789012" not in done.stdout + done.stderr
    assert "USD (billed)" in done.stderr
    assert "SUCCESS" in done.stderr


def test_faults_can_be_tried_out(tree: Path) -> None:
    done = rehearse(tree, "--fault sts:GetCallerIdentity:expired:6 -- status")
    assert done.returncode == 1
    assert "the credentials have expired" in done.stderr
    assert done.stderr.count("\n") == 1


def test_it_serves_until_it_is_interrupted_and_says_how_to_reach_it(tree: Path) -> None:
    places = ["--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*ORCHARD, "rehearse", "--without-docker", *places],
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "unset AWS_PROFILE AWS_DEFAULT_PROFILE\n"
    exported = dict(process.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(9))
    status = subprocess.run(
        [*ORCHARD, "status", *places],
        env={**environ, **exported},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "repository  orchard: there is none" in status.stdout
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "orchard-deploy: interrupted"


def test_a_rehearsal_neither_sees_nor_touches_the_record_of_a_real_account(tree: Path, site: Site) -> None:
    """Not even that of an account with the rehearsal's own number."""
    file = record_file(site, tree / "emr-serverless.json", {})
    run = Submission(
        token="t",
        request="r",
        target="serverless",
        place="00f1",
        tag="x",
        digest="sha256:1",
        submitted=1.0,
        run="00rreal",
    )
    file.change(lambda known: known.with_made("bucket", "photos").with_run(run))
    before = {path: path.read_bytes() for path in file.path.parent.iterdir()}
    done = rehearse(tree, "--port 0 -- status")
    assert "00rreal" not in done.stdout
    assert "repository  orchard: there is none" in done.stdout
    done = rehearse(tree, "--port 0 -- down --with-data")
    assert done.stderr.splitlines()[-1] == "orchard-deploy: nothing is left"
    assert {path: path.read_bytes() for path in file.path.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fault", "nonsense"], "--fault nonsense: "),
        (["--fault", "iam:GetRole:odd"], "'odd' is none of throttle, 5xx, expired, denied, lost"),
        (["--photos", "/none"], "--photos /none: no such folder"),
    ],
)
def test_what_cannot_be_rehearsed_is_one_line(
    tree: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code, err = said_by(tree, capsys, "rehearse", "--without-docker", *words)
    assert code == 2
    assert message in err


def test_a_command_that_there_is_not_is_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = ["--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)]
    assert main(["rehearse", "--without-docker", *spec, "--", "no-such-command"]) == 2
    assert "no-such-command: No such file or directory: name a command behind `--`" in capsys.readouterr().err
