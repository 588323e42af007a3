"""Staying with a run: its states, its lines, its end; and what becomes of it when nobody stays."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.bill import bill_facts
from deploy.context import Context
from deploy.cost import PRICES_FILE, load_prices
from deploy.ensure import up
from deploy.errors import CredentialsError, DeniedError, RunError, UnavailableError, WaitError
from deploy.logs import Source
from deploy.patience import patience
from deploy.payloads import QUEUE_MINUTES
from deploy.record import Submission
from deploy.rehearsal.jobs import Stage
from deploy.spec import SPEC_FILE, load_spec
from deploy.submit import Wanted, submit
from deploy.targets import EKS, SERVERLESS
from deploy.waiting import Pace, wait_for
from deploy.watch import Watch, watch
from tests.aws.conftest import FAST, LONG_JOB, QUICK, ROOT, Theatre, context_of
from tests.aws.memory.stage import MemoryStage

PRICES = load_prices(PRICES_FILE, region="us-east-1", architecture="X86_64")


class Watched:
    """A submitted run, what is shown of it and what is said about it."""

    def __init__(self, tree: Path, **wanted: Any) -> None:
        self.said: list[str] = []
        self.shown: list[str] = []
        self.context = context_of(tree, said=self.said)
        up(self.context)
        up(self.context)
        self.submission = submit(self.context, Wanted(photos=50, **wanted))
        self.watch = Watch(self.context, self.submission, show=self.show, patience=0.3)

    def show(self, source: Source, line: str) -> None:
        self.shown.append(f"{source}: {line}")

    def states(self) -> list[str]:
        return [line.split()[2] for line in self.said if line.startswith(f"run {self.submission.run}: ")]

    def stay(
        self, seconds: float = 30, *, detach: bool = False, ask: Callable[[str], bool | None] = lambda question: None
    ) -> Submission:
        return watch(self.watch, seconds=seconds, detach=detach, ask=ask)

    def final(self, stage: MemoryStage) -> str:
        return stage.serverless.floor.jobs[self.submission.run or ""].stage.value


def test_each_state_and_each_line_is_told_once_and_the_end_is_recorded(theatre: Theatre, tree: Path) -> None:
    theatre.open("print('one', flush=True); import time; time.sleep(0.3); print('two')")
    watched = Watched(tree)
    ended = watched.stay()
    states = watched.states()
    assert states[-1] == "SUCCESS"
    assert len(states) == len(set(states))
    assert watched.shown == ["driver stdout: one", "driver stdout: two"]
    assert watched.context.record.read().runs == (ended,)
    assert (ended.state, ended.ran) == ("SUCCESS", watched.submission.digest)


def test_the_runs_lines_are_shown_without_the_account(theatre: Theatre, tree: Path) -> None:
    theatre.open("print('wrote s3://photos-123456789012/a'); print('and b-123456789012', end='')")
    watched = Watched(tree)
    watched.stay()
    assert watched.shown == ["driver stdout: wrote s3://photos-{account}/a", "driver stdout: and b-{account}"]


def test_sparks_own_log_is_shown_on_request_and_its_end_where_the_run_fails(theatre: Theatre, tree: Path) -> None:
    theatre.open(
        "import sys; [print('INFO', n, file=sys.stderr) for n in range(30)]; sys.exit(int(sys.argv[-1] == '5'))"
    )
    quiet, loud = Watched(tree), Watched(tree, extra=("--partitions", "7"))
    loud.watch.verbose = True
    quiet.stay()
    loud.stay()
    assert quiet.shown == []
    assert loud.shown == [f"driver stderr: INFO {n}" for n in range(30)]
    failing = Watched(tree, extra=("--varieties", "5"))
    with pytest.raises(RunError):
        failing.stay()
    assert failing.shown == [f"driver stderr: INFO {n}" for n in range(10, 30)]


def test_a_failed_run_is_an_error_that_says_why_with_its_last_lines(theatre: Theatre, tree: Path) -> None:
    theatre.open("import sys; print('Traceback: boom', file=sys.stderr); sys.exit(137)")
    watched = Watched(tree)
    with pytest.raises(
        RunError, match=r"FAILED: Job failed.*ExitCode: 137; a worker ran out of memory.*orchard-deploy logs --run"
    ) as caught:
        watched.stay()
    assert caught.value.exit_code == 1
    assert "driver stderr: Traceback: boom" in watched.shown
    assert watched.context.record.read().runs[0].state == "FAILED"


def test_being_cancelled_is_not_the_end(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB, timings=replace(QUICK, cancelling=0.6))
    watched = Watched(tree)
    run = watched.watch.cancel()
    assert run.state == "CANCELLED"
    assert watched.states()[-2:] == ["CANCELLING", "CANCELLED"]
    assert watched.final(stage) == "CANCELLED"


def test_when_the_time_is_over_the_run_is_cancelled(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    watched = Watched(tree)
    with pytest.raises(WaitError, match=r"not after 0 minutes; it was cancelled, and is CANCELLED now"):
        watched.stay(0.5)
    assert watched.final(stage) == "CANCELLED"
    assert watched.context.record.read().runs[0].state == "CANCELLED"


def test_a_run_that_waits_in_its_services_queue_is_left_there(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open("import sys, time; time.sleep(0 if '--varieties' in sys.argv else 60)")
    watched = Watched(tree)
    floor, now = stage.serverless.floor, [0.0]
    second = submit(watched.context, Wanted(photos=50, extra=("--varieties", "5")))

    def sleep(seconds: float) -> None:
        stage.clock.sleep(0.05)
        if floor.jobs[second.run or ""].stage is Stage.QUEUED:
            now[0] += seconds
        if now[0] > QUEUE_MINUTES * 60 - 1200 and watched.final(stage) != "CANCELLED":
            watched.watch.cancel()

    context = replace(watched.context, pace=Pace(first=600, longest=600, clock=lambda: now[0], sleep=sleep))
    seconds = patience(context.site.spec, SERVERLESS)
    ended = watch(Watch(context, second, patience=0), seconds=seconds, detach=False, ask=lambda question: None)
    assert ended.state == "SUCCESS"
    assert now[0] > 300 * 60


def test_the_patience_is_beyond_whatever_the_service_ends_and_as_asked_where_it_is_asked() -> None:
    spec = replace(load_spec(ROOT / SPEC_FILE), timeout_minutes=7, max_attempts=3)
    assert patience(spec, SERVERLESS) > (QUEUE_MINUTES + 7 * 3) * 60
    assert 7 * 3 * 60 < patience(spec, EKS) <= (7 * 3 + 30) * 60
    assert patience(spec, SERVERLESS, 2.5) == patience(spec, EKS, 2.5) == 150


def test_a_run_that_cannot_be_cancelled_is_not_forgotten(
    theatre: Theatre, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    stage = theatre.open(LONG_JOB)
    watched = Watched(tree)
    stage.faults.plan("emr-serverless", "CancelJobRun", "denied", 1)
    with pytest.raises(DeniedError):
        watched.stay(0.5)
    assert f"run {watched.submission.run} may go on, and cost: see `orchard-deploy status`" in watched.said[-1]


def test_a_detached_run_outlives_the_time(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    watched = Watched(tree)
    with pytest.raises(WaitError, match=r"it goes on: `orchard-deploy status`"):
        watched.stay(0.5, detach=True)
    assert not stage.serverless.floor.jobs[watched.submission.run or ""].stage.final


@pytest.mark.parametrize(("answer", "ends"), [(True, True), (False, False), (None, True)])
def test_ctrl_c_asks_and_where_nobody_can_answer_the_run_is_ended(
    theatre: Theatre, tree: Path, answer: bool | None, ends: bool
) -> None:
    stage = theatre.open(LONG_JOB)
    watched, questions = Watched(tree), []

    def interrupt(source: Source, line: str) -> None:
        raise KeyboardInterrupt

    def ask(question: str) -> bool | None:
        questions.append(question)
        watched.watch.show = watched.show
        return answer

    watched.watch.show = interrupt
    with pytest.raises(KeyboardInterrupt):
        watched.stay(ask=ask)
    assert questions == [f"Cancel run {watched.submission.run}? It goes on, and costs, if you do not. [y/N] "]
    assert stage.serverless.floor.jobs[watched.submission.run or ""].stage.final == ends
    assert ends or "goes on" in watched.said[-1]


def test_a_run_that_ended_just_before_it_was_cancelled_is_left_as_it_is(stage: MemoryStage, tree: Path) -> None:
    watched = Watched(tree)
    watched.stay()
    assert watched.watch.cancel().state == "SUCCESS"


def test_an_outage_while_waiting_ends_nothing_and_is_told_once(
    stage: MemoryStage, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    watched = Watched(tree)
    stage.faults.plan("emr-serverless", "GetJobRun", "5xx", 3)
    assert watched.stay().state == "SUCCESS"
    outages = [line for line in watched.said if "a fault on AWS's side" in line]
    assert len(outages) == 1
    assert "still waiting for the end of run" in outages[0]


def test_credentials_that_run_out_are_said_with_what_becomes_of_the_run(stage: MemoryStage, tree: Path) -> None:
    watched = Watched(tree)
    stage.faults.plan("emr-serverless", "GetJobRun", "expired", 1)
    with pytest.raises(CredentialsError, match="the credentials have expired"):
        watched.stay()
    assert (
        watched.said[-1]
        == f"run {watched.submission.run} may go on: see `orchard-deploy status` when AWS answers again"
    )


def test_logs_that_may_not_be_read_end_nothing(stage: MemoryStage, tree: Path) -> None:
    watched = Watched(tree)
    stage.faults.plan("s3", "GET", "denied", 1)
    assert watched.stay().state == "SUCCESS"
    assert [line for line in watched.said if "the run goes on, its lines are not shown" in line]


def test_an_image_that_is_not_the_one_that_was_asked_for_is_an_error(stage: MemoryStage, tree: Path) -> None:
    watched = Watched(tree)
    other = "sha256:" + "f" * 64
    job = stage.serverless.floor.jobs[watched.submission.run or ""]
    stage.serverless.floor.jobs[job.id] = replace(job, digest=other)
    with pytest.raises(RunError, match=rf"it ran image {other}, not {watched.submission.digest}.*orchard-deploy up"):
        watched.stay()
    assert watched.context.record.read().runs[0].ran == other


def test_the_bill_is_waited_for(theatre: Theatre, tree: Path) -> None:
    theatre.open(timings=replace(QUICK, billing=0.7))
    watched = Watched(tree)
    ended = watched.stay()
    facts = bill_facts(watched.context, ended, PRICES, photos=None, wait=True)
    assert facts["billed"]
    # 12 vCPU and 48 GB for the minute that is billed at least
    assert facts["amount"] == pytest.approx(12 / 60 * 0.052624 + 48 / 60 * 0.0057785, rel=1e-3)
    assert facts["photos"] == 50
    assert facts["per_1000_photos"] == pytest.approx(facts["amount"] * 20)


def test_a_bill_that_does_not_come_is_replaced_by_the_utilization_and_said_to_be_so(
    theatre: Theatre, tree: Path
) -> None:
    theatre.open(timings=replace(QUICK, billing=1000))
    watched = Watched(tree)
    ended = watched.stay()
    impatient = replace(watched.context, pace=Pace(first=60, longest=60, clock=Clock(), sleep=lambda seconds: None))
    facts = bill_facts(impatient, ended, PRICES, photos=50, wait=True)
    assert not facts["billed"]


def test_a_run_that_never_had_workers_costs_nothing_and_nobody_waits_for_its_bill(theatre: Theatre, tree: Path) -> None:
    theatre.open(timings=replace(QUICK, provisioning=1000))
    watched = Watched(tree)
    watched.watch.cancel()
    hasty = replace(watched.context, pace=Pace(sleep=lambda seconds: pytest.fail("waited")))
    facts = bill_facts(hasty, watched.submission, PRICES, photos=None, wait=True)
    assert (facts["state"], facts["billed"], facts["amount"], facts["per_1000_photos"]) == ("CANCELLED", True, 0, None)


class Clock:
    """A clock that is a minute further each time it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


def test_waiting_gives_up_at_its_deadline_and_not_before() -> None:
    now, asked = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(first=2, longest=10, clock=lambda: now[0], sleep=sleep)
    with pytest.raises(WaitError, match="the tide: not after 1 minutes"):
        wait_for(lambda: asked.append(now[0]), lambda answer: False, what="the tide", seconds=60, pace=pace)
    assert asked[-1] == 60
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses[:3] == [2, 3, 4.5]
    assert max(pauses) == 10


def test_waiting_survives_what_may_pass_and_nothing_else() -> None:
    answers: list[Exception | int] = [UnavailableError("no answer"), UnavailableError("no answer"), 7]

    def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_for(ask, lambda answer: answer == 7, what="x", seconds=10, pace=FAST) == 7
    answers[:] = [RunError("broken")]
    with pytest.raises(RunError):
        wait_for(ask, lambda answer: True, what="x", seconds=10, pace=FAST)


def test_the_context_masks_the_account(tree: Path, stage: MemoryStage) -> None:
    said: list[str] = []
    context: Context = context_of(tree, said=said)
    context.say("bucket orchard-123456789012-us-east-1")
    assert said == ["bucket orchard-{account}-us-east-1"]
