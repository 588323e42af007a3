"""choose_run and status: which runs there are; the image that ran, compared with the one that was submitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from orchard_deploy.aws import Aws
from orchard_deploy.emr import DIGEST_TAG, IMAGE_TAG, PHOTOS_TAG, Run
from orchard_deploy.errors import RefusedError
from orchard_deploy.runs.logs import Choice
from orchard_deploy.runs.status import choose_run, status_facts, status_lines
from orchard_deploy.runs.watch import Watch, show_logs
from orchard_deploy.targets import SERVERLESS

from tests.deploy.rehearsal.account import REGION
from tests.deploy.runs.conftest import LONG_JOB, Command, Ready

OTHER = "sha256:" + "f" * 64
TAGS = {IMAGE_TAG: "x", DIGEST_TAG: "sha256:1", PHOTOS_TAG: "7"}
RUN = Run(id="00r1", target=SERVERLESS, place="00f1", name="n", state="SUBMITTED", tags=TAGS)
TARGETS = pytest.mark.parametrize("target", ["serverless", "eks"])


def tamper(ready: Ready, run: Run) -> None:
    """Another image runs than the one that was submitted."""
    job = ready.jobs(run.target.name)[run.id]
    driver = job.request["jobDriver"]
    submit = driver.get("sparkSubmitJobDriver", {})
    words = str(submit.get("sparkSubmitParameters", "")).replace(run.tags[DIGEST_TAG], OTHER)
    request = {**job.request, "jobDriver": {"sparkSubmitJobDriver": {**submit, "sparkSubmitParameters": words}}}
    ready.change(run, digest=OTHER, request=request if submit else job.request)


@TARGETS
def test_status_verifies_the_image(ready: Ready, target: str) -> None:
    run = ready.submit(target, photos=7)
    facts = status_facts(ready.context(target))
    (shown,) = facts["runs"]
    digest = run.tags[DIGEST_TAG]
    assert (shown["run"], shown["digest"], shown["ran"], shown["photos"]) == (run.id, digest, digest, 7)
    assert f"image {run.tags[IMAGE_TAG]}, verified" in "\n".join(status_lines(facts))


@TARGETS
def test_every_command_reports_another_image_once(ready: Ready, type_command: Command, target: str) -> None:
    run = ready.submit(target)
    tamper(ready, run)
    wrong = f"it ran image {OTHER}, not {run.tags[DIGEST_TAG]}"
    Watch(ready.context(target), run).until_over(3600)
    assert len([line for line in ready.said if wrong in line]) == 1
    ready.cloud.pass_time(60)
    code, out, err = type_command("logs", "--stream", "stdout", "--target", target)
    assert (code, out) == (0, "50 photos done\n")
    assert err.count(wrong) == 1
    out = type_command("status", "--target", target)[1]
    assert f"image {run.tags[IMAGE_TAG]}, but it ran {OTHER}, not {run.tags[DIGEST_TAG]}\n" in out


def test_an_image_is_verified_as_soon_as_the_service_knows(ready: Ready) -> None:
    class Late(Aws):
        asked = 0

        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().call(service, operation, parameters)
            self.asked += operation == "get_job_run"
            if operation == "get_job_run" and self.asked < 3:
                del answer["jobRun"]["imageConfiguration"]
            return answer

    tamper(ready, ready.submit())
    context = ready.context(aws=Late(region=REGION))
    run = choose_run(context, None)
    assert run.digest is None
    show_logs(context, run, Choice(), follow=True, show=lambda source, line: None)
    assert len([line for line in ready.said if f"it ran image {OTHER}" in line]) == 1


def test_the_digest_of_the_name_is_taken_where_nothing_is_resolved(ready: Ready) -> None:
    class Silent(Aws):
        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().call(service, operation, parameters)
            if operation == "get_job_run":
                del answer["jobRun"]["imageConfiguration"]["resolvedImageDigest"]
            return answer

    run = ready.submit()
    assert choose_run(ready.context(aws=Silent(region=REGION)), run.id).digest == run.tags[DIGEST_TAG]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, False),
        ({"digest": "sha256:1"}, False),
        ({"digest": "sha256:2", "tags": {}}, False),  # started without orchard-deploy
        ({"digest": "sha256:2"}, True),
    ],
)
def test_wrong_image(changes: dict[str, Any], wrong: bool) -> None:
    assert (replace(RUN, **changes).wrong_image is not None) == wrong


@pytest.mark.parametrize(("tags", "photos"), [(TAGS, 7), ({}, None), ({PHOTOS_TAG: "many"}, None)])
def test_photos_of_a_run(tags: dict[str, str], photos: int | None) -> None:
    assert replace(RUN, tags=tags).photos == photos


def test_runs_of_the_two_services_are_kept_apart(ready: Ready) -> None:
    first, second = ready.submit(), ready.submit("eks")
    assert [run["run"] for run in status_facts(ready.context())["runs"]] == [first.id]
    assert [run["run"] for run in status_facts(ready.context("eks"))["runs"]] == [second.id]


def test_runs_of_others_in_the_virtual_cluster_are_left_out(ready: Ready) -> None:
    ready.play(LONG_JOB)
    own, containers = ready.submit("eks"), ready.cloud.account.containers
    job = containers.jobs[own.id]
    request = {**job.request, "tags": {"team": "x"}}
    containers.jobs["0000foreign"] = replace(job, id="0000foreign", created=job.created + 100, request=request)
    assert choose_run(ready.context("eks"), None).id == own.id
    assert [run["run"] for run in status_facts(ready.context("eks"))["runs"]] == [own.id]
    with pytest.raises(RefusedError, match="no such run on eks"):
        choose_run(ready.context("eks"), "0000foreign")
