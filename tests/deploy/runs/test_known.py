"""known_runs and choose_run; look, verified and wrong_image: the image that ran, compared with what its tag meant."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from orchard_deploy.aws import Aws
from orchard_deploy.context import Context
from orchard_deploy.cost.bill import bill_facts
from orchard_deploy.cost.money import PRICES_FILE, load_prices
from orchard_deploy.errors import RefusedError
from orchard_deploy.runs.known import choose_run, known_runs, look, verified, wrong_image
from orchard_deploy.runs.logs import Choice
from orchard_deploy.runs.planning import Wanted
from orchard_deploy.runs.record import Submission
from orchard_deploy.runs.status import status_facts, status_lines
from orchard_deploy.runs.submit import submit
from orchard_deploy.runs.tail import follow_logs
from orchard_deploy.runs.watch import Watch
from orchard_deploy.stack.down import down

from tests.deploy.rehearsal.account import REGION
from tests.deploy.runs.conftest import LONG_JOB, Command, Ready

OTHER = "sha256:" + "f" * 64
RUN = Submission(
    token="t", request="r", target="serverless", place="00f1", tag="x", digest="sha256:1", submitted=1.0, run="00r1"
)
TARGETS = pytest.mark.parametrize("target", ["serverless", "eks"])


def tamper(ready: Ready, submission: Submission) -> None:
    """Another image runs than the one that was submitted."""
    job = ready.jobs(submission.target)[submission.run or ""]
    driver = job.request["jobDriver"]
    submit = driver.get("sparkSubmitJobDriver", {})
    words = str(submit.get("sparkSubmitParameters", "")).replace(submission.digest, OTHER)
    request = {**job.request, "jobDriver": {"sparkSubmitJobDriver": {**submit, "sparkSubmitParameters": words}}}
    ready.change(submission, digest=OTHER, request=request if submit else job.request)


def cost(context: Context, submission: Submission) -> None:
    prices = load_prices(PRICES_FILE, region=REGION, architecture="X86_64")
    with contextlib.suppress(RefusedError):  # nothing is billed yet
        bill_facts(context, submission, prices, photos=None)


# What each command does with a run; a bill there is on EMR Serverless alone.
ASKS: dict[str, Callable[[Context, Submission], object]] = {
    "status": lambda context, submission: status_facts(context),
    "wait": lambda context, submission: Watch(context, submission).until_over(3600),
    "cancel": lambda context, submission: Watch(context, submission).cancel(),
    "choose": lambda context, submission: choose_run(context, submission.run),
    "submit again": lambda context, submission: submit(context, Wanted(photos=1)),
    "cost": cost,
}


@TARGETS
@pytest.mark.parametrize("name", ASKS)
def test_look_records_what_ran_whoever_asks_first(ready: Ready, name: str, target: str) -> None:
    if (name, target) == ("cost", "eks"):
        return
    submission, context = ready.submit(target), ready.context(target)
    assert context.record.read()[0].ran is None
    ASKS[name](context, submission)
    assert context.record.read()[0].ran == submission.digest
    assert not [line for line in ready.said if "it ran image" in line]


@TARGETS
@pytest.mark.parametrize("name", ["status", "wait", "choose"])
def test_look_reports_another_image_once(ready: Ready, name: str, target: str) -> None:
    submission, context = ready.submit(target), ready.context(target)
    tamper(ready, submission)
    ASKS[name](context, submission)
    told = [line for line in ready.said if f"it ran image {OTHER}, not {submission.digest}" in line]
    assert len(told) == 1
    assert context.record.read()[0].ran == OTHER


@TARGETS
def test_every_later_command_reports_another_image(ready: Ready, type_command: Command, target: str) -> None:
    submission = ready.submit(target)
    tamper(ready, submission)
    Watch(ready.context(target), submission).until_over(3600)
    ready.cloud.pass_time(60)
    code, out, err = type_command("logs", "--stream", "stdout", "--target", target)
    assert (code, out) == (0, "50 photos done\n")
    assert f"it ran image {OTHER}, not {submission.digest}" in err
    out = type_command("status", "--target", target)[1]
    assert f"image {submission.tag}, but it ran {OTHER}, not {submission.digest}\n" in out


def test_look_verifies_as_soon_as_the_service_knows(ready: Ready) -> None:
    class Late(Aws):
        asked = 0

        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().call(service, operation, parameters)
            self.asked += operation == "get_job_run"
            if operation == "get_job_run" and self.asked < 3:
                del answer["jobRun"]["imageConfiguration"]
            return answer

    submission, context = ready.submit(), ready.context(aws=Late(region=REGION))
    assert verified(context, submission).ran is None
    follow_logs(context, submission, Choice(), follow=True, show=lambda source, line: None)
    assert context.record.read()[0].ran == submission.digest


def test_look_takes_the_digest_of_the_name_where_nothing_is_resolved(ready: Ready) -> None:
    class Silent(Aws):
        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().call(service, operation, parameters)
            if operation == "get_job_run":
                del answer["jobRun"]["imageConfiguration"]["resolvedImageDigest"]
            return answer

    submission = ready.submit()
    assert verified(ready.context(aws=Silent(region=REGION)), submission).ran == submission.digest


def test_look_keeps_what_another_command_recorded_meanwhile(ready: Ready) -> None:
    submission, context = ready.submit(), ready.context()
    context.record.keep(replace(submission, state="SUCCESS"))
    look(context, submission)
    (kept,) = context.record.read()
    assert (kept.state, kept.ran) == ("SUCCESS", submission.digest)


def test_status_asks_for_no_image_that_is_verified(ready: Ready) -> None:
    ready.submit()
    assert "verified" in "\n".join(status_lines(status_facts(ready.context())))
    calls = len(ready.cloud.account.faults.log)
    status_facts(ready.context())
    assert "GetJobRun" not in [name for _, name in ready.cloud.account.faults.log[calls:]]


def test_known_runs_of_another_machine_are_shown_and_not_recorded(ready: Ready) -> None:
    submission, context = ready.submit(), ready.context()
    context.record.delete()
    ((entry, run),) = known_runs(context)
    assert (entry.run, entry.token, run is not None) == (submission.run, "", True)
    facts = status_facts(context)
    assert (facts["runs"][0]["digest"], facts["runs"][0]["ran"]) == ("", submission.digest)
    assert "verified" not in "\n".join(status_lines(facts))
    assert context.record.read() == ()


def test_verified_of_a_run_that_the_service_has_forgotten(ready: Ready) -> None:
    submission = ready.submit()
    ready.jobs().clear()
    assert verified(ready.context(), submission) == submission


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, False),
        ({"ran": "sha256:1"}, False),
        ({"digest": "", "ran": "sha256:2"}, False),  # another machine submitted it
        ({"ran": "sha256:2"}, True),
    ],
)
def test_wrong_image(changes: dict[str, Any], wrong: bool) -> None:
    assert (wrong_image(replace(RUN, **changes)) is not None) == wrong


def test_known_runs_of_the_two_services_are_kept_apart(ready: Ready) -> None:
    first, second = ready.submit(), ready.submit("eks")
    assert [entry.run for entry, _ in known_runs(ready.context())] == [first.run]
    assert [entry.run for entry, _ in known_runs(ready.context("eks"))] == [second.run]


def test_choose_run_leaves_out_runs_of_others_in_the_virtual_cluster(ready: Ready) -> None:
    ready.play(LONG_JOB)
    own, containers = ready.submit("eks"), ready.cloud.account.containers
    job = containers.jobs[own.run or ""]
    containers.put(replace(job, id="0000foreign", created=job.created + 100, tags={"team": "x"}))
    assert choose_run(ready.context("eks"), None).run == own.run
    with pytest.raises(RefusedError, match="no such run on eks"):
        choose_run(ready.context("eks"), "0000foreign")


def test_known_runs_with_a_submission_to_an_application_that_is_gone(ready: Ready) -> None:
    context = ready.context()
    context.record.keep(replace(RUN, run=None, place="00fgone"))
    assert [entry.token for entry, _ in known_runs(context)] == ["t"]
    assert down(context, force=False, with_data=True) == []
