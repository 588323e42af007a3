"""check_run: what is refused; submit: started once, whatever is killed in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from orchard_deploy.aws import Aws
from orchard_deploy.context import Context
from orchard_deploy.emr import DIGEST_TAG, IMAGE_TAG, Run
from orchard_deploy.errors import RefusedError
from orchard_deploy.runs.status import choose_run, status_facts, status_lines
from orchard_deploy.runs.submit import check_run, submit
from orchard_deploy.runs.watch import judge
from orchard_deploy.site import Site
from orchard_deploy.stack.lifecycle import down
from orchard_deploy.targets import EKS, SERVERLESS, Target
from orchard_deploy.terminal import LeavingError

from tests.deploy.cloud import Interrupted, KilledError, killed_at
from tests.deploy.conftest import tree_tag
from tests.deploy.rehearsal.account import REGION
from tests.deploy.runs.conftest import LONG_JOB, Ready
from tests.deploy.stack.conftest import DIGEST

OUTPUTS = {"RepositoryUri": "r", "RoleArn": "arn:role", "Application": "00f1", "Image": f"r@{DIGEST}"}


def check(site: Site, target: Target = SERVERLESS, **changes: Any) -> None:
    given: dict[str, Any] = {"photos": 1, "outputs": OUTPUTS, "tag": "t", "digest": DIGEST, **changes}
    check_run(site, target, **given)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"digest": None}, "ECR does not have it"),
        ({"photos": 0}, "no photos in it"),
        ({"outputs": {"RepositoryUri": "r", "RoleArn": "arn:role"}}, "`orchard-deploy up`"),
        ({"outputs": {**OUTPUTS, "Image": "r@sha256:other"}}, "`orchard-deploy up`"),
    ],
)
def test_check_run_refuses(site: Site, changes: dict[str, Any], part: str) -> None:
    check(site)
    with pytest.raises(RefusedError) as caught:
        check(site, **changes)
    assert part in str(caught.value)


@pytest.mark.parametrize("ended", [KeyboardInterrupt, LeavingError])
def test_submit_that_is_interrupted_while_it_starts_a_run_says_so(ready: Ready, ended: type[BaseException]) -> None:
    def happens(number: int, over: bool, operation: str) -> None:
        if over and operation == "start_job_run":
            raise ended

    with pytest.raises(ended):
        submit(replace(ready.context(), aws=Interrupted(ready.cloud, happens)), photos=1)
    assert "a run may have been started" in ready.said[-1]
    assert len(ready.jobs()) == 1


def test_check_run_on_eks_needs_no_application(site: Site) -> None:
    check(site, EKS, outputs={"RepositoryUri": "r"})


def test_submit_starts_a_run(ready: Ready) -> None:
    run = ready.submit(extra=("--varieties", "5"))
    (job,) = ready.jobs().values()
    assert (run.id, run.tags[DIGEST_TAG]) == (job.id, job.digest)
    assert run.created == pytest.approx(job.created)
    assert job.request["jobDriver"]["sparkSubmit"]["entryPointArguments"][-2:] == ["--varieties", "5"]
    assert job.request["tags"][IMAGE_TAG] == tree_tag(ready.cloud.tree)


def test_submit_on_eks(ready: Ready) -> None:
    run = ready.submit("eks")
    (job,) = ready.jobs("eks").values()
    assert (run.id, run.target, run.digest, run.tags[DIGEST_TAG]) == (job.id, EKS, job.digest, job.digest)
    assert job.request["executionRoleArn"] == "arn:aws:iam::123456789012:role/orchard-eks-job"
    assert job.request["releaseLabel"] == "emr-7.13.0-latest"
    assert ready.jobs() == {}


@pytest.mark.parametrize("target", ["serverless", "eks"])
def test_submit_a_second_time_starts_nothing_while_the_first_is_active(ready: Ready, target: str) -> None:
    ready.play(LONG_JOB)
    first = ready.submit(target)
    again = ready.submit(target, photos=2)
    assert (again.id, again.tags) == (first.id, first.tags)
    assert len(ready.jobs(target)) == 1
    assert ready.submit(target, extra=("--varieties", "5")).id != first.id


@pytest.mark.parametrize("state", ["SUCCESS", "FAILED", "CANCELLED"])
def test_submit_after_the_end_of_the_same_run_starts_another(ready: Ready, state: str) -> None:
    runs = []
    for _ in range(3):
        runs.append(ready.submit())
        ready.change(runs[-1], state=state)
    assert len({run.id for run in runs}) == 3


def test_submit_twice_at_once_starts_one_run(ready: Ready) -> None:
    """As on two machines: the second does not see the first one's run, and calls with its token."""

    class Blind(Aws):
        def pages(self, service: str, operation: str, parameters: Mapping[str, Any], key: str) -> Iterator[Any]:
            found = super().pages(service, operation, parameters, key)
            return iter(()) if operation == "list_job_runs" else found

    ready.play(LONG_JOB)
    first = ready.submit()
    assert submit(ready.context(aws=Blind(region=REGION)), photos=1).id == first.id
    assert len(ready.jobs()) == 1


def test_submit_of_a_changed_image_waits_for_up(ready: Ready) -> None:
    ready.submit()
    (ready.cloud.tree / "app" / "part.py").write_text("# today's\n", encoding="utf-8")
    with pytest.raises(RefusedError):
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
        ran.append(judge(ready.watch(submission, context).until_over(3600)).digest)
        assert ran[-1] == submission.tags[DIGEST_TAG]
    assert len(set(ran)) == 2


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

    submission = submit(ready.context(aws=StopsFirst(region=REGION)), photos=1)
    assert submission.id in ready.jobs()


def test_no_line_holds_the_account(ready: Ready) -> None:
    context = ready.context()
    submit(context, photos=1)
    shown = json.dumps(status_facts(context)["stack"]) + "\n".join(status_lines(status_facts(context)))
    for text in (*ready.said, shown):
        assert "123456789012" not in text
    assert "{account}" in shown


class Play:
    """`submit`, killed again and again at the calls that change something."""

    def __init__(self, ready: Ready, target: str) -> None:
        ready.play(LONG_JOB)
        self.ready, self.target = ready, target
        self.job: tuple[str, ...] = ()

    def submit(self, context: Context | None = None) -> Run:
        return submit(context or self.context(), photos=1, extra=self.job)

    def context(self) -> Context:
        return self.ready.context(self.target)

    def killed(self, at: int, *, after: bool) -> bool:
        """Whether there was such a step."""
        self.job = ("--varieties", str(at))  # another run each time
        aws = Interrupted(self.ready.cloud, killed_at(at, after=after), changing=True)
        try:
            self.submit(self.ready.context(self.target, aws=aws))
        except KilledError:
            return True
        return False

    def active(self) -> list[str]:
        states = self.context().target.active_states() + SERVERLESS.active_states()
        return [job.id for job in self.ready.jobs(self.target).values() if job.state in states]

    def end(self) -> None:
        for run in self.active():
            self.ready.change(choose_run(self.context(), run), state="CANCELLED")


@pytest.fixture(params=["serverless", "eks"])
def play(request: pytest.FixtureRequest, ready: Ready) -> Play:
    return Play(ready, request.param)


AFTER = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@AFTER
def test_submit_killed_at_any_step_the_next_call_starts_nothing_twice(play: Play, after: bool) -> None:
    at = 1
    while play.killed(at, after=after):
        run = play.submit()
        assert play.active() == [run.id], f"killed at step {at}"
        play.end()
        at += 1
    assert at == 2


@AFTER
def test_submit_killed_at_any_step_status_shows_the_run(play: Play, after: bool) -> None:
    at = 1
    while play.killed(at, after=after):
        runs = status_facts(play.context())["runs"]
        active = play.context().target.active_states()
        assert {run["run"] for run in runs if run["state"] in active} == set(play.active())
        play.end()
        assert down(play.ready.context(), with_data=True) == []
        assert play.active() == [], f"killed at step {at}"
        play.ready.make_stack()
        at += 1
    assert at == 2
