"""The specification's command: what AWS is given for each, what its run may read, and what is not asked of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.__main__ import main
from deploy.aws import s3
from deploy.errors import SpecError
from deploy.iam import deployer_policy, job_policy
from deploy.job_commands import COMMANDS
from deploy.payloads import job_arguments
from deploy.rehearsal.orders import Order
from deploy.rehearsal.runners import this_tree
from deploy.site import S3Place, Site
from tests.aws.conftest import context_of
from tests.aws.memory.stage import MemoryStage
from tests.aws.test_iam import BUCKET, allows
from tests.aws.test_payloads import check, start, start_eks

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
Command = Callable[..., tuple[int, str, str]]


def site_of(site: Site, command: str, *arguments: str, **changes: Any) -> Site:
    """The site with a specification of another command."""
    places = {"input": "s3://{bucket}/in", "output": "s3://{bucket}/out"}
    given = {"arguments": arguments or ARGUMENTS[command]}
    return Site(replace(site.spec, command=command, **{**places, **given, **changes}), site.account)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_entry_point_gets_the_command_with_its_arguments(site: Site, command: str) -> None:
    of_it = site_of(site, command)
    check("emr-serverless", "StartJobRun", start(of_it))
    check("emr-containers", "StartJobRun", start_eks(of_it))
    here, there = (start(of_it)["jobDriver"]["sparkSubmit"], start_eks(of_it)["jobDriver"]["sparkSubmitJobDriver"])
    assert here["entryPointArguments"] == there["entryPointArguments"] == WORDS[command].split()


def test_export_needs_no_input(site: Site) -> None:
    of_it = site_of(site, "export", input=None)
    assert job_arguments(of_it, ()) == WORDS["export"].split()
    assert job_policy(of_it)
    with pytest.raises(SpecError, match="input: train reads one"):
        job_arguments(site_of(site, "train", input=None), ())


def test_braces_that_are_no_placeholder_stay(site: Site) -> None:
    arguments = job_arguments(site_of(site, "run", "--weights", "/opt/{x}"), ())
    assert ("--weights", "/opt/{x}") in itertools.pairwise(arguments)


@pytest.mark.parametrize(
    ("command", "extra", "message"),
    [
        ("train", ("--runtime", "litert"), "arguments of the job: unrecognized arguments: --runtime"),
        ("train", ("--holdout", "0.2"), "arguments of the job: .*--holdout"),
        ("train", ("--master", "yarn"), "--master yarn: the service sets it"),
        ("train", ("--labels", "classes.csv"), "--labels: classes.csv: AWS reads and writes s3:// addresses only"),
        ("train", ("--labels", "s3://mine/classes.csv"), "--labels: s3://mine/classes.csv: the job's role may not"),
        ("train", ("--test", f"{HERE}/unseen-2"), f"--test: {HERE}/unseen-2: the job's role may not read it"),
        ("evaluate", ("local",), "CLASSIFIER: local: AWS reads and writes s3:// addresses only"),
        ("evaluate", (f"{HERE}/other",), f"CLASSIFIER: {HERE}/other: the job's role may not read it"),
        ("evaluate", (f"{HERE}/classifier", "again"), "arguments of the job: unrecognized arguments: again"),
        ("predict", (f"{HERE}/classifier", "photo.jpg"), "arguments of the job: give photos, or"),
        ("export", ("--quantize", "int4"), "arguments of the job: .*--quantize"),
        ("export", ("--photos", "photos"), "--photos: photos: AWS reads"),
    ],
)
def test_arguments_that_cannot_work_are_refused_in_one_line(
    site: Site, command: str, extra: tuple[str, ...], message: str
) -> None:
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
def test_what_the_role_may_read_anyway_may_be_named_behind_the_dashes(
    site: Site, command: str, extra: tuple[str, ...]
) -> None:
    assert extra[1] in job_arguments(site_of(site, command), extra)


@pytest.mark.parametrize(
    ("command", "read", "closed"),
    [
        ("run", ["in/a/1.jpg"], ["classifier/classifier.json", "unseen/report.json"]),
        ("train", ["in/report.json", "unseen/features/x"], ["classifier/classifier.json"]),
        ("evaluate", ["in/report.json", "classifier/classifier.json", "others/report.json"], ["unseen/report.json"]),
        ("predict", ["in/a/1.jpg", "classifier/classifier.json"], ["unseen/report.json"]),
        ("export", ["classifier/classifier.json"], ["in/a/1.jpg", "classifier-2/classifier.json"]),
    ],
)
def test_a_run_may_read_what_its_arguments_name_and_writes_to_its_output_alone(
    site: Site, command: str, read: list[str], closed: list[str]
) -> None:
    policy = job_policy(site_of(site, command))
    for key in read:
        assert allows(policy, "s3:GetObject", f"{BUCKET}/{key}")
        assert not allows(policy, "s3:PutObject", f"{BUCKET}/{key}")
    for key in closed:
        assert not allows(policy, "s3:GetObject", f"{BUCKET}/{key}")
    assert allows(policy, "s3:PutObject", f"{BUCKET}/out/x")


def test_a_classifier_in_the_output_is_read_by_the_right_to_keep_it(site: Site) -> None:
    policy = job_policy(site_of(site, "evaluate", "s3://{bucket}/out/classifier"))
    (read,) = [statement for statement in policy["Statement"] if statement["Sid"] == "Read"]
    assert read["Resource"] == [f"{BUCKET}/in", f"{BUCKET}/in/*", f"{BUCKET}/code", f"{BUCKET}/code/*"]


def test_a_bucket_that_an_argument_names_is_looked_for_as_any_other(site: Site) -> None:
    of_it = site_of(site, "evaluate", "s3://fruits/classifier", "--labels", "s3://fruits/classes.csv")
    assert of_it.named_buckets == {"fruits": "CLASSIFIER, --labels"}
    assert allows(deployer_policy(of_it), "s3:ListBucket", "arn:aws:s3:::fruits")


@pytest.mark.parametrize(
    ("place", "other", "held"),
    [("a", "a", True), ("a", "a/b", True), ("a", "ab", False), ("", "a", True), ("a/b", "a", False), ("a", "", False)],
)
def test_what_a_place_holds(place: str, other: str, held: bool) -> None:
    assert S3Place("bucket", place).holds(S3Place("bucket", other)) == held
    assert not S3Place("bucket", place).holds(S3Place("another", other))


@pytest.fixture
def command(tree: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command of the launchers for a specification of a job's command: exit code, output, errors."""

    def run(job: str, name: str, *words: str) -> tuple[int, str, str]:
        path = tree / "emr-serverless.json"
        content = {**json.loads(path.read_text()), "command": job, "arguments": ARGUMENTS[job]}
        path.write_text(json.dumps(content))
        code = main([name, "--spec", str(path), "--tree", str(tree), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("job", COMMANDS)
def test_an_estimate_is_made_by_photos_alone(command: Command, stage: MemoryStage, job: str) -> None:
    photos = COMMANDS[job].photos
    code, out, _ = command(job, "plan")
    assert code == 0
    assert "worst case  0.91 USD" in out
    assert ("photos (an example" in out) == photos
    assert (f"estimate    none: how long {job} takes" in out) != photos
    facts = json.loads(command(job, "plan", "--offline", "--region", "us-east-1", "--json")[1])
    assert (facts["cost"]["estimate"] is None) != photos
    code, _, err = command(job, "plan", "--photos", "9")
    assert code == (0 if photos else 2)
    assert ("--photos: " in err) != photos


@pytest.mark.parametrize("job", ["train", "evaluate", "export"])
def test_a_run_without_photos_is_submitted_and_billed(command: Command, stage: MemoryStage, job: str) -> None:
    for words in (["up"], ["up"]):
        assert command(job, *words)[0] == 0
    assert command(job, "submit", "--dry-run")[0] == 0
    assert command(job, "submit", "--up", "--dry-run")[0] == 0
    code, _, _ = command(job, "submit", "--wait", "--budget", "1")
    assert code == 0
    (started,) = stage.serverless.floor.jobs.values()
    assert started.request["jobDriver"]["sparkSubmit"]["entryPointArguments"][0] == job
    facts = json.loads(command(job, "cost", "--json")[1])
    assert (facts["photos"], facts["per_1000_photos"], facts["billed"]) == (None, None, True)
    assert command(job, "submit", "--budget", "0.5")[0] == 1


def test_submit_up_makes_the_bucket_of_a_training_and_needs_no_photos(command: Command, stage: MemoryStage) -> None:
    code, _, err = command("train", "submit", "--up", "--dry-run")
    assert (code, "no photos" in err) == (0, False)


def test_predict_is_counted_and_refused_as_a_run_is(command: Command, stage: MemoryStage, tree: Path) -> None:
    command("predict", "up")
    command("predict", "up")
    code, _, err = command("predict", "submit")
    assert (code, "no photos in it" in err) == (1, True)
    context = context_of(tree)
    for number in range(3):
        s3.write(context.aws, context.site.input.bucket, f"photos/Apple/{number}.jpg", b"x")
    assert "for 3 photos" in command("predict", "plan")[1]
    assert command("predict", "submit")[0] == 0


def test_another_command_waits_for_a_role_that_may_read_what_it_needs(command: Command, stage: MemoryStage) -> None:
    command("train", "up")
    command("train", "up")
    assert "does not let a run do what the specification needs now" in command("evaluate", "submit")[2]
    command("evaluate", "up")
    assert command("evaluate", "submit")[0] == 0


def test_a_process_in_a_rehearsal_gets_run_where_no_command_is_named() -> None:
    order = Order(job="j", attempt=1, image=None, entry_point="e", arguments=(), properties={}, slots=2)
    for words, expected in (
        (("--input", "a"), ["run", "--input", "a"]),
        (("train", "--features", "a"), ["train", "--features", "a"]),
    ):
        assert this_tree(replace(order, arguments=words))[-len(expected) :] == expected
