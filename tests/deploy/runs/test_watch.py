"""Watch: a run's states, lines, symptoms and end; longest_wait and the time-out that EKS does not have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from orchard_deploy.emr import DIGEST_TAG, Run
from orchard_deploy.errors import CredentialsError, RunError, WaitError
from orchard_deploy.runs.watch import QUEUE_MINUTES, Watch, judge, longest_wait
from orchard_deploy.spec import Spec
from orchard_deploy.targets import EKS, SERVERLESS

from tests.deploy.runs.conftest import LONG_JOB, Ready

TARGETS = pytest.mark.parametrize("target", ["serverless", "eks"])
DAY = 86400.0


def states(ready: Ready, submission: Run) -> list[str]:
    return [line.split()[2] for line in ready.said if line.startswith(f"run {submission.id}: ")]


@TARGETS
def test_until_over_reports_each_state_and_each_line_once(ready: Ready, target: str) -> None:
    ready.play("import time; print('one'); time.sleep(60); print('two')")
    submission = ready.submit(target)
    watch = ready.watch(submission)
    ended = judge(watch.until_over(DAY))
    seen = states(ready, submission)
    assert seen[-1] == ended.state == {"serverless": "SUCCESS", "eks": "COMPLETED"}[target]
    assert len(seen) == len(set(seen))
    assert ready.shown == ["driver stdout: one", "driver stdout: two"]
    assert ended.digest == submission.tags[DIGEST_TAG]


def test_until_over_shows_lines_without_the_account(ready: Ready) -> None:
    ready.play("print('wrote s3://photos-123456789012/a'); print('and b-123456789012', end='')")
    ready.watch(ready.submit()).until_over(DAY)
    assert ready.shown == ["driver stdout: wrote s3://photos-{account}/a", "driver stdout: and b-{account}"]


@pytest.mark.parametrize(("verbose", "fails", "first"), [(False, 0, 30), (True, 0, 0), (False, 1, 10)])
def test_until_over_shows_sparks_log_if_verbose_and_its_end_where_the_run_fails(
    ready: Ready, verbose: bool, fails: int, first: int
) -> None:
    ready.play(f"import sys; [print('INFO', n, file=sys.stderr) for n in range(30)]; sys.exit({fails})")
    ready.watch(ready.submit(), verbose=verbose).until_over(DAY)
    assert ready.shown == [f"driver stderr: INFO {n}" for n in range(first, 30)]


def test_until_over_shows_the_lines_of_each_attempt(ready: Ready) -> None:
    counter = ready.cloud.tree.parent / "tries"
    ready.play(
        f"import sys, pathlib; seen = pathlib.Path({str(counter)!r}); tries = seen.read_text() if seen.exists() else ''"
        "; seen.write_text(tries + 'x'); print('try', len(tries) + 1); sys.exit(not tries)"
    )
    context = ready.context(max_attempts=2)
    submission = ready.submit_of(context)
    assert ready.watch(submission, context).until_over(DAY).state == "SUCCESS"
    assert ready.shown == ["driver stdout: try 1", "driver stdout, attempt 2: try 2"]


def test_until_over_explains_a_symptom_at_its_first_line(ready: Ready) -> None:
    """A run that starves, since somebody lowered the application's capacity behind our back."""
    (application,) = ready.cloud.account.serverless.applications.values()
    application.settings["maximumCapacity"] = {"cpu": "8 vCPU", "memory": "32 GB", "disk": "40 GB"}
    submission = ready.submit()
    with pytest.raises(WaitError):
        ready.watch(submission).until_over(600)
    told = [line for line in ready.said if "another run holds the application's capacity" in line]
    assert len(told) == 1
    assert told[0].startswith("in driver stderr: ")


@TARGETS
def test_judge_of_a_failed_run(ready: Ready, target: str) -> None:
    ready.play("import sys; print('Traceback: boom', file=sys.stderr); sys.exit(137)")
    watch = ready.watch(ready.submit(target))
    with pytest.raises(RunError, match=r"FAILED: .*more memory.*orchard-deploy logs --run") as caught:
        judge(watch.until_over(DAY))
    assert caught.value.exit_code == 1
    assert "driver stderr: Traceback: boom" in ready.shown


def test_judge_of_another_image(ready: Ready) -> None:
    submission, other = ready.submit(), "sha256:" + "f" * 64
    ready.change(submission, digest=other)
    watch = ready.watch(submission)
    with pytest.raises(RunError, match=f"it ran image {other}, not {submission.tags[DIGEST_TAG]}"):
        judge(watch.until_over(DAY))


@TARGETS
def test_cancel_waits_for_the_end(ready: Ready, target: str) -> None:
    ready.play(LONG_JOB)
    submission = ready.submit(target)
    ready.cloud.pass_time(200)
    run = Watch(ready.context(target), submission).cancel()
    assert run.state == ready.state(submission) == "CANCELLED"
    assert states(ready, submission)[-2:] == [
        {"serverless": "CANCELLING", "eks": "CANCEL_PENDING"}[target],
        "CANCELLED",
    ]


def test_cancel_of_a_run_that_is_over(ready: Ready) -> None:
    submission = ready.submit()
    ready.watch(submission).until_over(DAY)
    assert Watch(ready.context(), submission).cancel().state == "SUCCESS"


def test_until_over_survives_an_outage_and_reports_it_once(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    submission = ready.submit()
    ready.cloud.account.faults.plan("emr-serverless", "GetJobRun", "5xx", 3)
    assert ready.watch(submission).until_over(DAY).state == "SUCCESS"
    assert len([line for line in ready.said if "still waiting for the end of run" in line]) == 1


def test_until_over_without_lines_where_logs_may_not_be_read(ready: Ready) -> None:
    submission = ready.submit()
    ready.cloud.account.faults.plan("s3", "ListObjectsV2", "denied", 1)
    assert ready.watch(submission).until_over(DAY).state == "SUCCESS"
    assert len([line for line in ready.said if "its lines are not shown" in line]) == 1


def test_until_over_with_credentials_that_expire(ready: Ready) -> None:
    submission = ready.submit()
    ready.cloud.account.faults.plan_from(3, "expired")
    with pytest.raises(CredentialsError, match="have expired: log in again"):
        ready.watch(submission).until_over(DAY)


def test_longest_wait_is_beyond_what_the_service_ends(spec: Spec) -> None:
    spec = replace(spec, timeout_minutes=7, max_attempts=3)
    assert longest_wait(spec, SERVERLESS) > (QUEUE_MINUTES + 7 * 3) * 60
    assert 7 * 3 * 60 < longest_wait(spec, EKS) <= (7 * 3 + 30) * 60


def test_until_over_leaves_a_run_in_its_services_queue(ready: Ready) -> None:
    ready.play("import sys, time; time.sleep(0 if '--varieties' in sys.argv else 330 * 60)")
    ready.change(ready.submit(), timeout=350)
    second, began = ready.submit(extra=("--varieties", "5")), ready.pace.clock()
    context = replace(ready.context(), pace=replace(ready.pace, first=300, longest=600))
    ended = ready.watch(second, context).until_over(longest_wait(context.site.spec, SERVERLESS))
    assert ended.state == "SUCCESS"
    assert ready.pace.clock() - began > 300 * 60


@pytest.mark.parametrize("attempts", [1, 2])
def test_until_over_on_eks_ends_at_the_runs_time_out(ready: Ready, attempts: int) -> None:
    ready.play(LONG_JOB)
    context = ready.context("eks", timeout_minutes=5, max_attempts=attempts)
    at_work: list[float] = []

    def note(line: str) -> None:
        if "RUNNING" in line:
            at_work.append(ready.pace.clock())

    watch = ready.watch(ready.submit_of(context), replace(context, tell=note))
    with pytest.raises(WaitError, match="at work for all of its timeoutMinutes"):
        watch.until_over(DAY)
    assert 300 * attempts <= ready.pace.clock() - at_work[0] <= 300 * attempts + 11


def test_until_over_on_eks_of_a_run_that_was_at_work_before(ready: Ready) -> None:
    ready.play(LONG_JOB, provisioning=0, scheduling=0)
    context = ready.context("eks", timeout_minutes=5)
    submission = ready.submit_of(context)
    ready.cloud.pass_time(240)
    came = ready.pace.clock()
    with pytest.raises(WaitError, match="at work for all of its timeoutMinutes"):
        ready.watch(submission, context).until_over(DAY)
    assert 45 < ready.pace.clock() - came < 75


def test_until_over_on_eks_limits_the_wait_too(ready: Ready) -> None:
    ready.play(LONG_JOB, provisioning=1000)
    with pytest.raises(WaitError, match="not after 2 minutes"):
        ready.watch(ready.submit("eks")).until_over(120)
