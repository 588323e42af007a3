"""The image that ran, held against what its tag meant: by whichever command hears of it first, on both services."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.__main__ import main
from deploy.aws import s3
from deploy.aws.session import Aws
from deploy.bill import bill_facts
from deploy.choose import choose_run
from deploy.context import Context
from deploy.cost import PRICES_FILE, load_prices
from deploy.ensure import up
from deploy.errors import RefusedError
from deploy.following import follow_logs
from deploy.logs import Choice
from deploy.record import Submission
from deploy.rehearsal.jobs import Stage
from deploy.rehearsal.service import Service
from deploy.status import status_facts, status_lines
from deploy.submit import Wanted, submit
from deploy.verify import look, verified, wrong_image
from deploy.watch import Watch
from tests.aws.conftest import LONG_JOB, REGION, Theatre, context_of
from tests.aws.memory.stage import MemoryStage

OTHER = "sha256:" + "f" * 64
RUN = Submission(
    token="t", request="r", target="serverless", place="00f1", tag="x", digest="sha256:1", submitted=1.0, run="00r1"
)


def submitted(tree: Path, target: str = "serverless", **options: Any) -> tuple[Context, Submission]:
    context = context_of(tree, target=target, **options)
    up(context)
    up(context)
    s3.write(context.aws, context.site.input.bucket, f"{context.site.input.prefix}/Apple/1.jpg", b"x")
    return context, submit(context, Wanted(photos=1))


def call(tree: Path, *words: str) -> int:
    return main([words[0], "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words[1:]])


def tamper(stage: MemoryStage, submission: Submission, target: str = "serverless") -> None:
    """Another image runs than the one that was submitted."""
    service: Service = stage.serverless if target == "serverless" else stage.containers
    with service.lock:
        job = service.floor.jobs[submission.run or ""]
        request = json.loads(json.dumps(job.request).replace(submission.digest, OTHER))
        service.floor.put(replace(job, request=request, digest=OTHER))


def cost(context: Context, submission: Submission) -> None:
    with contextlib.suppress(RefusedError):  # nothing is billed yet
        bill_facts(
            context, submission, load_prices(PRICES_FILE, region=REGION, architecture="X86_64"), photos=None, wait=False
        )


# What each command does with a run; a bill there is on EMR Serverless alone.
ASKS: dict[str, Callable[[Context, Submission], object]] = {
    "status": lambda context, submission: status_facts(context),
    "wait": lambda context, submission: Watch(context, submission, patience=0).until_over(30),
    "cancel": lambda context, submission: Watch(context, submission, patience=0).cancel(),
    "choose": lambda context, submission: verified(context, choose_run(context, submission.run)),
    "submit again": lambda context, submission: submit(context, Wanted(photos=1)),
    "cost": cost,
}


@pytest.mark.parametrize("name", ASKS)
def test_the_first_to_ask_writes_down_what_ran(tree: Path, stage: MemoryStage, name: str) -> None:
    said: list[str] = []
    context, submission = submitted(tree, said=said)
    assert context.record.read().runs[0].ran is None
    ASKS[name](context, submission)
    assert context.record.read().runs[0].ran == submission.digest
    assert not [line for line in said if "it ran image" in line]


@pytest.mark.parametrize("name", [name for name in ASKS if name != "cost"])
def test_on_eks_the_run_names_its_image_by_digest_and_that_is_written_down(
    tree: Path, stage: MemoryStage, name: str
) -> None:
    context, submission = submitted(tree, "eks")
    (job,) = stage.containers.floor.jobs.values()
    assert job.digest == submission.digest
    ASKS[name](context, submission)
    assert context.record.read().runs[0].ran == submission.digest


@pytest.mark.parametrize("target", ["serverless", "eks"])
@pytest.mark.parametrize("name", ["status", "wait", "choose"])
def test_another_image_is_said_by_the_first_to_hear(tree: Path, stage: MemoryStage, name: str, target: str) -> None:
    said: list[str] = []
    context, submission = submitted(tree, target, said=said)
    tamper(stage, submission, target)
    ASKS[name](context, submission)
    told = [line for line in said if f"it ran image {OTHER}, not {submission.digest}" in line]
    assert len(told) == 1
    assert context.record.read().runs[0].ran == OTHER


@pytest.mark.parametrize("target", ["serverless", "eks"])
def test_another_image_is_said_by_every_command_after(
    tree: Path, stage: MemoryStage, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    context, submission = submitted(tree, target)
    tamper(stage, submission, target)
    Watch(context, submission, patience=0).until_over(30)
    capsys.readouterr()
    assert call(tree, "logs", "--stream", "stdout", "--target", target) == 0
    captured = capsys.readouterr()
    assert f"it ran image {OTHER}, not {submission.digest}" in captured.err
    assert captured.out == "50 photos done\n"
    assert call(tree, "status", "--target", target) == 0
    assert f"image {submission.tag}, but it ran {OTHER}, not {submission.digest}\n" in capsys.readouterr().out


def test_logs_that_are_followed_verify_as_soon_as_the_service_knows(tree: Path, stage: MemoryStage) -> None:
    class Late(Aws):
        asked = 0

        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().call(service, operation, parameters)
            self.asked += operation == "get_job_run"
            if operation == "get_job_run" and self.asked < 3:
                del answer["jobRun"]["imageConfiguration"]
            return answer

    context, submission = submitted(tree, aws=Late(region=REGION))
    assert verified(context, submission).ran is None
    follow_logs(context, submission, Choice(), follow=True, show=lambda source, line: None)
    assert context.record.read().runs[0].ran == submission.digest


def test_an_image_that_is_named_by_its_digest_needs_no_resolving(tree: Path, stage: MemoryStage) -> None:
    class Silent(Aws):
        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().call(service, operation, parameters)
            if operation == "get_job_run":
                del answer["jobRun"]["imageConfiguration"]["resolvedImageDigest"]
            return answer

    context, submission = submitted(tree, aws=Silent(region=REGION))
    assert verified(context, submission).ran == submission.digest


def test_status_tells_what_is_verified(theatre: Theatre, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = theatre.open(LONG_JOB)
    _, submission = submitted(tree)
    assert call(tree, "status") == 0
    assert f"image {submission.tag}, verified\n" in capsys.readouterr().out
    assert call(tree, "status", "--json") == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["digest"] == run["ran"] == submission.digest
    calls = len(stage.faults.log)
    assert call(tree, "status") == 0
    assert "GetJobRun" not in [name for _, name in stage.faults.log[calls:]]


def test_what_another_command_recorded_meanwhile_is_kept(tree: Path, stage: MemoryStage) -> None:
    context, submission = submitted(tree)
    context.record.change(lambda known: known.with_run(replace(submission, state=Stage.SUCCESS.value)))
    look(context, submission)
    (kept,) = context.record.read().runs
    assert (kept.state, kept.ran) == ("SUCCESS", submission.digest)


def test_a_run_of_another_machine_is_told_of_and_not_recorded_here(tree: Path, stage: MemoryStage) -> None:
    context, submission = submitted(tree)
    context.record.delete()
    (run,) = status_facts(context)["runs"]
    assert (run["digest"], run["ran"]) == ("", submission.digest)
    assert "verified" not in "\n".join(status_lines(status_facts(context)))
    assert context.record.read().runs == ()


def test_a_run_that_the_service_has_forgotten_is_left_unverified(tree: Path, stage: MemoryStage) -> None:
    context, submission = submitted(tree)
    stage.serverless.floor.jobs.clear()
    assert verified(context, submission) == submission


def test_only_two_digests_that_differ_are_a_wrong_image() -> None:
    assert wrong_image(RUN) is None
    assert wrong_image(replace(RUN, ran="sha256:1")) is None
    assert wrong_image(replace(RUN, digest="", ran="sha256:2")) is None  # another machine submitted it
    assert "it ran image sha256:2, not sha256:1 (x)" in (wrong_image(replace(RUN, ran="sha256:2")) or "")
