"""plan_run: what is refused and what is planned; submit: started once, whatever is killed in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from orchard_deploy.aws import Aws
from orchard_deploy.context import Context
from orchard_deploy.errors import DeployError, ImageError, RefusedError, SpecError
from orchard_deploy.runs.known import known_runs
from orchard_deploy.runs.planning import PlannedRun, Wanted, plan_run
from orchard_deploy.runs.record import RecordFile, Submission
from orchard_deploy.runs.status import status_facts, status_lines
from orchard_deploy.runs.submit import submit
from orchard_deploy.site import Site
from orchard_deploy.stack.down import down
from orchard_deploy.targets import EKS, SERVERLESS, Target
from orchard_deploy.terminal import LeavingError

from tests.deploy.cloud import Interrupted, KilledError, killed_at
from tests.deploy.conftest import tree_tag
from tests.deploy.rehearsal.account import REGION
from tests.deploy.runs.conftest import LONG_JOB, Ready
from tests.deploy.stack.conftest import DIGEST

OUTPUTS = {"RepositoryUri": "r", "RoleArn": "arn:role", "Application": "00f1", "Image": f"r@{DIGEST}"}


def plan(site: Site, target: Target = SERVERLESS, **changes: Any) -> PlannedRun:
    given: dict[str, Any] = {"wanted": Wanted(photos=1), "outputs": OUTPUTS, "tag": "t", "digest": DIGEST, **changes}
    return plan_run(site, target, given.pop("wanted"), **given)


@pytest.mark.parametrize(
    ("changes", "kind", "part"),
    [
        ({"digest": None}, ImageError, "ECR does not have it"),
        ({"wanted": Wanted(photos=0)}, RefusedError, "no photos in it"),
        ({"outputs": {"RepositoryUri": "r", "RoleArn": "arn:role"}}, RefusedError, "`orchard-deploy up`"),
        ({"outputs": {**OUTPUTS, "Image": "r@sha256:other"}}, RefusedError, "`orchard-deploy up`"),
        ({"wanted": Wanted(extra=("--master", "yarn"))}, SpecError, "--master yarn"),
    ],
)
def test_plan_run_refuses(site: Site, changes: dict[str, Any], kind: type[DeployError], part: str) -> None:
    with pytest.raises(kind) as caught:
        plan(site, **changes)
    assert part in str(caught.value)


@pytest.mark.parametrize("ended", [KeyboardInterrupt, LeavingError])
def test_submit_that_is_interrupted_while_it_starts_a_run_says_so(ready: Ready, ended: type[BaseException]) -> None:
    def happens(number: int, over: bool, operation: str) -> None:
        if over and operation == "start_job_run":
            raise ended

    with pytest.raises(ended):
        submit(replace(ready.context(), aws=Interrupted(ready.cloud, happens)), Wanted(photos=1))
    assert "a run may have been started" in ready.said[-1]
    assert len(ready.jobs()) == 1


def test_plan_run_refuses_more_than_the_accounts_quota(site: Site) -> None:
    with pytest.raises(SpecError, match="quota is 16"):
        plan(Site(replace(site.spec, executors=9), site.account))


def test_plan_run_names_what_the_stack_made(site: Site) -> None:
    wanted = Wanted(photos=1, extra=("--varieties", "5"))
    planned = plan(site, wanted=wanted)
    assert planned.request["applicationId"] == planned.entry.place == "00f1"
    assert planned.request["executionRoleArn"] == "arn:role"
    assert planned.request["jobDriver"]["sparkSubmit"]["entryPoint"] == "local:///opt/orchard/main.py"
    assert (planned.entry.digest, planned.entry.photos) == (DIGEST, 1)
    assert plan(site).entry.request != planned.entry.request == plan(site, wanted=wanted).entry.request


def test_plan_run_on_eks_needs_no_application(site: Site) -> None:
    planned = plan(site, EKS, outputs={"RepositoryUri": "r"})
    assert DIGEST in planned.request["jobDriver"]["sparkSubmitJobDriver"]["sparkSubmitParameters"]


def test_submit_from_call_to_record(ready: Ready) -> None:
    submission = ready.submit(extra=("--varieties", "5"))
    (job,) = ready.jobs().values()
    assert (submission.run, submission.digest) == (job.id, job.digest)
    assert job.request["jobDriver"]["sparkSubmit"]["entryPointArguments"][-2:] == ["--varieties", "5"]
    assert job.request["tags"]["orchard:image"] == tree_tag(ready.cloud.tree)
    assert ready.context().record.read() == (submission,)


def test_submit_on_eks(ready: Ready) -> None:
    submission = ready.submit("eks")
    (job,) = ready.jobs("eks").values()
    assert (submission.run, submission.target, submission.digest) == (job.id, "eks", job.digest)
    assert job.request["executionRoleArn"] == "arn:aws:iam::123456789012:role/orchard-eks-job"
    assert job.request["releaseLabel"] == "emr-7.13.0-latest"
    assert ready.jobs() == {}


def test_submit_a_second_time_starts_nothing_while_the_first_is_active(ready: Ready) -> None:
    ready.play(LONG_JOB)
    assert ready.submit().run == ready.submit().run
    assert len(ready.jobs()) == 1
    assert ready.submit(extra=("--varieties", "5")).run in ready.jobs()


def test_submit_of_a_changed_image_waits_for_up(ready: Ready) -> None:
    ready.submit()
    (ready.cloud.tree / "app" / "part.py").write_text("# today's\n", encoding="utf-8")
    with pytest.raises(ImageError):
        ready.submit()
    ready.cloud.push()
    with pytest.raises(RefusedError, match="does not have image"):
        ready.submit()


@pytest.mark.parametrize("release", ["emr-7.13.0", "emr-7.14.0"])
def test_submit_to_a_started_application_never_runs_an_image_of_yesterday(ready: Ready, release: str) -> None:
    """A tag is resolved when the application starts, or from 7.14 on with each run; a digest always means the same."""
    context, ran = ready.context(release_label=release), []
    for day in ("yesterday", "today"):
        (ready.cloud.tree / "app" / "part.py").write_text(f"# {day}\n", encoding="utf-8")
        ready.cloud.account.images.tags = frozenset([context.tag])
        submission = ready.submit_of(context)
        watch = ready.watch(submission, context)
        assert watch.judge(watch.until_over(3600)).ran == submission.digest
        ran.append(submission.digest)
    assert len(set(ran)) == 2
    assert [entry.ran for entry in context.record.read()] == ran


def test_submit_waits_for_an_application_that_begins_to_stop(ready: Ready) -> None:
    class StopsFirst(Aws):
        stopped = False

        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            if operation == "start_job_run" and not self.stopped:
                self.stopped, named = True, {"applicationId": parameters["applicationId"]}
                super().call(service, "start_application", named)
                ready.cloud.pass_time(30)
                super().call(service, "stop_application", named)
            return super().call(service, operation, parameters)

    submission = submit(ready.context(aws=StopsFirst(region=REGION)), Wanted(photos=1))
    assert submission.run in ready.jobs()


def test_neither_record_nor_lines_hold_the_account_or_a_key(ready: Ready) -> None:
    context = ready.context()
    submit(context, Wanted(photos=1))
    shown = json.dumps(status_facts(context)["stack"]) + "\n".join(status_lines(status_facts(context)))
    for text in (*ready.said, context.record.path.read_text(), shown):
        assert "123456789012" not in text
    assert "{account}" in shown


def test_a_submission_that_never_reached_aws_is_given_up_after_an_hour(ready: Ready) -> None:
    ready.play(LONG_JOB)
    record, first = ready.context().record, ready.submit()
    ready.jobs().clear()
    record.delete()
    lost = replace(first, run=None, submitted=first.submitted - 600)
    record.keep(lost)
    assert ready.submit().token == first.token
    ready.jobs().clear()
    record.delete()
    record.keep(replace(lost, submitted=first.submitted - 7200))
    again = ready.submit()
    assert again.token != first.token
    assert again.run in ready.jobs()


class MortalRecord(RecordFile):
    """The record, in a process that is killed around its `at`-th change."""

    def __init__(self, living: RecordFile, at: int, *, after: bool) -> None:
        super().__init__(living.path)
        self._happens, self._count = killed_at(at, after=after), 0

    def keep(self, entry: Submission) -> Submission:
        self._count += 1
        self._happens(self._count, False, "keep")
        kept = super().keep(entry)
        self._happens(self._count, True, "keep")
        return kept


class Play:
    """`submit`, killed again and again: at the calls that change something, or at the record."""

    def __init__(self, ready: Ready, target: str, what: str) -> None:
        ready.play(LONG_JOB)
        self.ready, self.target, self.what = ready, target, what
        self.job: tuple[str, ...] = ()

    def submit(self, context: Context | None = None) -> Submission:
        return submit(context or self.context(), Wanted(photos=1, extra=self.job))

    def context(self) -> Context:
        return self.ready.context(self.target)

    def killed(self, at: int, *, after: bool) -> bool:
        """Whether there was such a step."""
        self.job = ("--varieties", str(at))  # another run each time
        context = self.context()
        if self.what == "record":
            context = replace(context, record=MortalRecord(context.record, at, after=after))
        else:
            aws = Interrupted(self.ready.cloud, killed_at(at, after=after), changing=True)
            context = self.ready.context(self.target, aws=aws)
        try:
            self.submit(context)
        except KilledError:
            return True
        return False

    def active(self) -> list[str]:
        states = self.context().target.active_states() + SERVERLESS.active_states()
        return [job.id for job in self.ready.jobs(self.target).values() if job.state in states]

    def end(self) -> None:
        for run in self.active():
            self.ready.change(self.entry(run), state="CANCELLED")

    def entry(self, run: str) -> Submission:
        return next(entry for entry, _ in known_runs(self.context()) if entry.run == run)


@pytest.fixture(
    params=[(target, what) for target in ("serverless", "eks") for what in ("calls", "record")], ids="-".join
)
def play(request: pytest.FixtureRequest, ready: Ready) -> Play:
    return Play(ready, *request.param)


AFTER = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@AFTER
def test_submit_killed_at_any_step_the_next_call_starts_nothing_twice(play: Play, after: bool) -> None:
    at = 1
    while play.killed(at, after=after):
        submission = play.submit()
        assert play.active() == [submission.run], f"killed at step {at}"
        assert submission.run in [entry.run for entry in play.context().record.read()]
        play.end()
        at += 1
    assert at == {"calls": 2, "record": 3}[play.what]


@AFTER
def test_submit_killed_at_any_step_status_shows_the_run_and_down_ends_it(play: Play, after: bool) -> None:
    at = 1
    while play.killed(at, after=after):
        runs = status_facts(play.context())["runs"]
        active = play.context().target.active_states()
        assert {run["id"] for run in runs if run["id"] and run["state"] in active} == set(play.active())
        assert down(play.ready.context(), force=True, with_data=True) == []
        assert play.active() == [], f"killed at step {at}"
        play.ready.make_stack()
        at += 1
    assert at == {"calls": 2, "record": 3}[play.what]
