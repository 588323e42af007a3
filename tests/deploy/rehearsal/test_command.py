"""The command `rehearse`: a whole story by one line, without Docker and without an account."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.rehearsal import stage

from tests.run.processes import wait_for

# `orchard-deploy` in a process of its own, at a test's pace.
TYPED = [
    sys.executable,
    "-c",
    "import sys; from orchard_deploy import context; from orchard_deploy.runs import watch; "
    "from orchard_deploy.__main__ import main; from orchard_deploy.context import Pace; "
    "context.PACE, watch.LAST_LINES = Pace(first=0.02, longest=0.1), 0.4; sys.exit(main())",
]


def places(tree: Path) -> list[str]:
    return ["--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)]


@pytest.fixture
def orchard(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """The command in this process, which has moto already; what it runs has processes of its own."""

    monkeypatch.setattr(stage, "_SPEED", 500)

    def run(*words: str) -> Done:
        code = main(list(words))
        return Done(code, *capfd.readouterr())

    return run


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_rehearse_runs_the_real_job_and_calling_it_again_finds_nothing_to_do(
    tree: Path, drawn: Path, orchard: Callable[..., Done]
) -> None:
    """From S3 to S3; a run is simply called again, as a scheduler's retry would."""
    up, submit = (shlex.join([*TYPED, *words, *places(tree)]) for words in (["up"], ["submit", "--wait"]))
    again = ["sh", "-c", f"{up} && {up} && {submit} && {submit}"]
    done = orchard("rehearse", "--without-docker", *places(tree), "--photos", str(drawn), "--", *again)
    assert done.code == 0, done.out + done.err
    assert re.search(r"^photos +24 = 24 featurized \+ 0 rejected", done.out, re.MULTILINE)
    assert "s3://orchard-{account}-us-east-1/features/report.html" in done.out
    assert "s3://orchard-{account}-us-east-1/features is up to date" in done.out
    assert "123456789012" not in done.out + done.err
    assert "USD (billed)" in done.err
    assert done.err.count("SUCCESS") == 2


def test_photos_arrive_with_the_bucket_of_the_stack_which_down_then_deletes(
    tree: Path, tmp_path: Path, orchard: Callable[..., Done]
) -> None:
    (tmp_path / "photos" / "Apple").mkdir(parents=True)
    (tmp_path / "photos" / "Apple" / "1.jpg").write_bytes(b"x")
    up, down = (shlex.join([*TYPED, *words, *places(tree)]) for words in (["up"], ["down"]))
    story = ["sh", "-c", f"{up}; {down}; {down} --with-data"]
    words = ["rehearse", "--without-docker", *places(tree), "--photos", str(tmp_path / "photos")]
    done = orchard(*words, "--", *story)
    assert done.code == 0, done.out + done.err
    left = [line for line in done.err.splitlines() if "orchard-deploy: left:" in line]
    assert ["--with-data" in line for line in left] == [True, False]
    assert left[-1] == "orchard-deploy: left: nothing"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_interrupted_and_says_how_to_reach_it(tree: Path, sent: signal.Signals) -> None:
    words = [*TYPED, "rehearse", "--without-docker", *places(tree)]
    process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "unset AWS_PROFILE AWS_DEFAULT_PROFILE\n"
    exported = dict(process.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(8))
    status = subprocess.run(
        [*TYPED, "status", *places(tree)],
        env={**os.environ, **exported},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "stack       orchard: there is none" in status.stdout
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "orchard-deploy: interrupted"


def test_what_cannot_be_rehearsed_is_one_line(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rehearse", "--without-docker", *places(tree), "--photos", "/none"]) == 2
    err = capsys.readouterr().err
    assert "--photos /none: no such folder" in err
    assert err.count("\n") == 1


def test_a_rehearsal_that_is_terminated_ends_its_command(tree: Path, tmp_path: Path) -> None:
    command = ["sh", "-c", f"echo $$ > {tmp_path}/id; exec sleep 600"]
    process = subprocess.Popen([*TYPED, "rehearse", "--without-docker", *places(tree), "--", *command], text=True)
    assert wait_for(lambda: (tmp_path / "id").exists() and (tmp_path / "id").read_text().strip(), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "id").read_text()), 0)


def test_without_an_engine_it_says_what_to_do_instead(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///none")
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    assert main(["rehearse", *places(tree), "--", "true"]) != 0
    assert capsys.readouterr().err.endswith("docker: no engine answers: start it, or rehearse --without-docker\n")


def test_a_command_that_there_is_not_is_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = ["--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)]
    assert main(["rehearse", "--without-docker", *spec, "--", "no-such-command"]) == 2
    assert "no-such-command: No such file or directory: name a command behind `--`" in capsys.readouterr().err
