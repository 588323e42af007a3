"""The command `rehearse`: a whole story by one line, without Docker and without an account."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.record import Submission, record_file
from deploy.site import Site
from tests.aws.conftest import TYPED
from tests.aws.test_errors import said_by


def places(tree: Path) -> list[str]:
    return ["--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)]


def orchard(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TYPED, *words], capture_output=True, text=True, timeout=240, check=False)


def rehearse(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`rehearse WORDS -- orchard-deploy WORDS`."""
    before, _, behind = " ".join(words).partition(" -- ")
    inner = ["--", *TYPED, *behind.split(), *places(tree)]
    return orchard("rehearse", "--without-docker", "--speed", "100", *places(tree), *before.split(), *inner)


@pytest.mark.usefixtures("weights")
def test_rehearse_runs_the_real_job_and_calling_it_again_finds_nothing_to_do(tree: Path, drawn: Path) -> None:
    """From S3 to S3; a run is simply called again, as a scheduler's retry would."""
    submit = shlex.join([*TYPED, "submit", "--wait", "--up", "--budget", "1", *places(tree)])
    again = ["sh", "-c", f"{submit} && {submit}"]
    done = orchard(
        "rehearse", "--without-docker", "--speed", "100", *places(tree), "--photos", str(drawn), "--", *again
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^photos +24 = 24 featurized \+ 0 rejected", done.stdout, re.MULTILINE)
    assert "s3://orchard-{account}-us-east-1/features/report.html" in done.stdout
    assert "s3://orchard-{account}-us-east-1/features is up to date" in done.stdout
    assert "123456789012" not in done.stdout + done.stderr
    assert "USD (billed)" in done.stderr
    assert done.stderr.count("SUCCESS") == 2


def test_faults_can_be_tried_out(tree: Path) -> None:
    done = rehearse(tree, "--fault sts:GetCallerIdentity:expired:6 -- status")
    assert done.returncode == 1
    assert "the credentials have expired" in done.stderr
    assert done.stderr.count("\n") == 1


def test_it_serves_until_it_is_interrupted_and_says_how_to_reach_it(tree: Path) -> None:
    words = [*TYPED, "rehearse", "--without-docker", *places(tree)]
    process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "unset AWS_PROFILE AWS_DEFAULT_PROFILE\n"
    exported = dict(process.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(9))
    status = subprocess.run(
        [*TYPED, "status", *places(tree)],
        env={**os.environ, **exported},
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
    status, down = (shlex.join([*TYPED, *words, *places(tree)]) for words in (["status"], ["down", "--with-data"]))
    done = orchard("rehearse", "--without-docker", *places(tree), "--", "sh", "-c", f"{status} && {down}")
    assert "00rreal" not in done.stdout
    assert "repository  orchard: there is none" in done.stdout
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
