"""stay: what becomes of a run when its time is over, someone presses Ctrl-C, or nothing more can be done."""

from __future__ import annotations

import errno

import pytest
from orchard_deploy.emr import Run
from orchard_deploy.errors import CredentialsError, DeniedError, WaitError
from orchard_deploy.runs.logs import Source
from orchard_deploy.runs.stay import stay
from orchard_deploy.terminal import LeavingError

from tests.deploy.runs.conftest import LONG_JOB, Ready

TARGETS = pytest.mark.parametrize("target", ["serverless", "eks"])


def never(question: str) -> None:
    raise AssertionError(question)


@pytest.fixture
def submission(ready: Ready) -> Run:
    """A run that works for a day."""
    ready.play(LONG_JOB)
    return ready.submit()


@TARGETS
def test_stay_to_a_good_end(ready: Ready, target: str) -> None:
    ended = stay(ready.watch(ready.submit(target)), seconds=3600, detach=False, ask=never)
    assert ended.state in ("SUCCESS", "COMPLETED")


@TARGETS
def test_stay_cancels_when_the_time_is_over(ready: Ready, target: str) -> None:
    ready.play(LONG_JOB)
    submission = ready.submit(target)
    with pytest.raises(WaitError, match="not after 10 minutes; it was cancelled, and is CANCELLED now"):
        stay(ready.watch(submission), seconds=600, detach=False, ask=never)
    assert ready.state(submission) == "CANCELLED"


def test_stay_detached_leaves_the_run_when_the_time_is_over(ready: Ready, submission: Run) -> None:
    with pytest.raises(WaitError, match="it goes on: `orchard-deploy status`"):
        stay(ready.watch(submission), seconds=600, detach=True, ask=never)
    assert ready.state(submission) == "RUNNING"


def test_stay_says_so_of_a_run_that_cannot_be_cancelled(ready: Ready, submission: Run) -> None:
    ready.cloud.account.faults.plan("emr-serverless", "CancelJobRun", "denied", 1)
    with pytest.raises(DeniedError):
        stay(ready.watch(submission), seconds=600, detach=False, ask=never)
    assert f"run {submission.id} may go on, and cost" in ready.said[-1]


def test_stay_says_so_where_credentials_expire(ready: Ready, submission: Run) -> None:
    ready.cloud.account.faults.plan("emr-serverless", "GetJobRun", "expired", 1)
    with pytest.raises(CredentialsError):
        stay(ready.watch(submission), seconds=600, detach=False, ask=never)
    assert f"run {submission.id} may go on" in ready.said[-1]


@pytest.mark.parametrize(("detach", "state"), [(False, "CANCELLED"), (True, "RUNNING")])
def test_stay_ends_a_run_whose_lines_cannot_be_written(ready: Ready, submission: Run, detach: bool, state: str) -> None:
    def full(source: Source, line: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        stay(ready.watch(submission, show=full), seconds=600, detach=detach, ask=never)
    assert ready.state(submission) == state
    assert detach == any(f"run {submission.id} goes on" in line for line in ready.said)


class Interrupted:
    """Shows a line by an interruption, once."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error: type[BaseException] | None = error

    def __call__(self, source: Source, line: str) -> None:
        error, self._error = self._error, None
        if error:
            raise error


@pytest.mark.parametrize(("answer", "ends"), [(True, True), (False, False), (None, True), (KeyboardInterrupt, True)])
def test_stay_asks_at_ctrl_c(
    ready: Ready, submission: Run, answer: bool | type[KeyboardInterrupt] | None, ends: bool
) -> None:
    questions = []

    def ask(question: str) -> bool | None:
        questions.append(question)
        if isinstance(answer, type):
            raise answer
        return answer

    with pytest.raises(KeyboardInterrupt):
        stay(ready.watch(submission, show=Interrupted(KeyboardInterrupt)), seconds=600, detach=False, ask=ask)
    assert questions == [f"Cancel run {submission.id}? It goes on, and costs, if you do not. [y/N] "]
    assert (ready.state(submission) == "CANCELLED") == ends
    assert ends or "goes on" in ready.said[-1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, LeavingError])
@pytest.mark.parametrize("detach", [False, True])
def test_stay_asks_nothing_detached_or_at_a_signal(
    ready: Ready, submission: Run, error: type[BaseException], detach: bool
) -> None:
    with pytest.raises(error):
        stay(ready.watch(submission, show=Interrupted(error)), seconds=600, detach=detach, ask=lambda question: None)
    assert ready.state(submission) == ("RUNNING" if detach else "CANCELLED")


def test_stay_ends_the_run_at_a_signal_while_it_asks(ready: Ready, submission: Run) -> None:
    def ask(question: str) -> None:
        raise LeavingError

    with pytest.raises(LeavingError):
        stay(ready.watch(submission, show=Interrupted(KeyboardInterrupt)), seconds=600, detach=False, ask=ask)
    assert ready.state(submission) == "CANCELLED"
