"""job_arguments: what the job's main file is given for each command; and submit of those without photos."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import COMMANDS
from orchard_deploy.runs.payloads import job_arguments
from orchard_deploy.site import Site

from tests.deploy.runs.conftest import BUCKET, Command, Ready
from tests.deploy.runs.test_payloads import check, start, start_eks

HERE = "s3://orchard-123456789012-us-east-1"
ARGUMENTS = {
    "run": ("--variance", "0.5"),
    "train": ("--labels", "first-word", "--test", "s3://{bucket}/unseen"),
    "evaluate": ("s3://{bucket}/classifier", "--unfamiliar", "s3://{bucket}/others"),
    "predict": ("s3://{bucket}/classifier", "--overwrite"),
    "export": ("s3://{bucket}/classifier", "--quantize", "float16"),
}
WORDS = {
    "run": f"--input {HERE}/in --output {HERE}/out --variance 0.5",
    "train": f"train --features {HERE}/in --output {HERE}/out --labels first-word --test {HERE}/unseen",
    "evaluate": f"evaluate {HERE}/classifier --features {HERE}/in --output {HERE}/out --unfamiliar {HERE}/others",
    "predict": f"predict {HERE}/classifier --input {HERE}/in --output {HERE}/out --overwrite",
    "export": f"export {HERE}/classifier --output {HERE}/out --quantize float16",
}


def site_of(site: Site, command: str, *arguments: str, **changes: Any) -> Site:
    """The site with a specification of another command."""
    places = {"input": "s3://{bucket}/in", "output": "s3://{bucket}/out"}
    given = {"arguments": arguments or ARGUMENTS[command]}
    return Site(replace(site.spec, command=command, **{**places, **given, **changes}), site.account)


@pytest.mark.parametrize("command", COMMANDS)
def test_start_job_run_gives_the_entry_point_the_command(site: Site, command: str) -> None:
    of_it = site_of(site, command)
    check("emr-serverless", "StartJobRun", start(of_it))
    check("emr-containers", "StartJobRun", start_eks(of_it))
    here, there = (start(of_it)["jobDriver"]["sparkSubmit"], start_eks(of_it)["jobDriver"]["sparkSubmitJobDriver"])
    assert here["entryPointArguments"] == there["entryPointArguments"] == WORDS[command].split()


def test_job_arguments_of_export_need_no_input(site: Site) -> None:
    of_it = site_of(site, "export", input=None)
    assert job_arguments(of_it, ()) == WORDS["export"].split()


def test_job_arguments_keep_braces_that_are_no_placeholder(site: Site) -> None:
    arguments = job_arguments(site_of(site, "run", "--weights", "/opt/{x}"), ())
    assert ("--weights", "/opt/{x}") in itertools.pairwise(arguments)


@pytest.mark.parametrize(
    ("command", "extra", "message"),
    [
        ("train", ("--runtime", "litert"), "arguments of the job: unrecognized arguments: --runtime"),
        ("train", ("--holdout", "0.2"), "arguments of the job: .*--holdout"),
        ("train", ("--master", "yarn"), "--master yarn: the service sets it"),
        ("train", ("--labels", "classes.csv"), "--labels: classes.csv: AWS reads and writes s3://"),
        ("train", ("--labels", "s3://mine/classes.csv"), "--labels: s3://mine/classes.csv: the job's role may not"),
        ("train", ("--test", f"{HERE}/unseen-2"), f"--test: {HERE}/unseen-2: the job's role may not read it"),
        ("evaluate", ("local",), "CLASSIFIER: local: AWS reads and writes s3://"),
        ("evaluate", (f"{HERE}/other",), f"CLASSIFIER: {HERE}/other: the job's role may not read it"),
        ("evaluate", (f"{HERE}/classifier", "again"), "arguments of the job: unrecognized arguments: again"),
        ("predict", (f"{HERE}/classifier", "photo.jpg"), "arguments of the job: give photos, or"),
        ("export", ("--quantize", "int4"), "arguments of the job: .*--quantize"),
        ("export", ("--photos", "photos"), "--photos: photos: AWS reads"),
    ],
)
def test_job_arguments_refuses_what_cannot_work(site: Site, command: str, extra: tuple[str, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        job_arguments(site_of(site, command), extra)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("train", ("--test", f"{HERE}/unseen/one")),
        ("train", ("--test", f"{HERE}/in")),
        ("evaluate", ("--unfamiliar", f"{HERE}/out/x")),
    ],
)
def test_job_arguments_takes_what_the_role_may_read(site: Site, command: str, extra: tuple[str, ...]) -> None:
    assert extra[1] in job_arguments(site_of(site, command), extra)


def edit(tree: Path, command: str) -> None:
    path = tree / "emr-serverless.json"
    content = {**json.loads(path.read_text()), "command": command, "arguments": ARGUMENTS[command]}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("job", ["train", "evaluate", "export"])
def test_submit_of_a_command_without_photos(ready: Ready, tree: Path, type_command: Command, job: str) -> None:
    edit(tree, job)
    assert type_command("up")[0] == 0
    assert type_command("submit", "--wait", "--budget", "1")[0] == 0
    (started,) = ready.jobs().values()
    assert started.request["jobDriver"]["sparkSubmit"]["entryPointArguments"][0] == job
    facts = json.loads(type_command("cost", "--json")[1])
    assert (facts["photos"], facts["per_1000_photos"]) == (None, None)
    assert type_command("submit", "--budget", "0.5")[0] == 1


def test_submit_of_predict_counts_its_photos(ready: Ready, tree: Path, type_command: Command) -> None:
    edit(tree, "predict")
    assert "ReadArns" in type_command("submit")[2]  # the classifier's location is new to the role
    assert type_command("up")[0] == 0
    code, _, err = type_command("submit")
    assert (code, "for 1 photos" in err) == (0, True)
    ready.cloud.behind("s3").delete_object(Bucket=BUCKET, Key="photos/Apple/1.jpg")
    code, _, err = type_command("submit", job=("--overwrite",))
    assert (code, "no photos in it" in err) == (1, True)
