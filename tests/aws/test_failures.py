"""The failures that people report of EMR Serverless most, each with Orchard's answer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.aws import s3, serverless
from deploy.bill import bill_facts
from deploy.cost import PRICES_FILE, load_prices
from deploy.ensure import down, up
from deploy.errors import InvalidError, RunError, SpecError
from deploy.hints import hint, hints
from deploy.submit import Wanted, submit
from deploy.watch import Watch, watch
from tests.aws.conftest import QUICK, REGION, Theatre, behind, context_of
from tests.aws.memory.stage import MemoryStage


def the_application(stage: MemoryStage) -> str:
    (found,) = [found.id for found in stage.serverless.applications.values() if found.state != "TERMINATED"]
    return found


def shrink(stage: MemoryStage) -> None:
    """Somebody lowers the application's capacity behind our back."""
    found = stage.serverless.applications[the_application(stage)]
    small = {"cpu": "8 vCPU", "memory": "32 GB", "disk": "40 GB"}
    stage.serverless.applications[found.id] = replace(found, settings={**found.settings, "maximumCapacity": small})


def test_1_a_capacity_that_would_starve_the_run_is_set_right_before_it_starts(tree: Path, stage: MemoryStage) -> None:
    said: list[str] = []
    context = context_of(tree, said=said)
    up(context)
    up(context)
    shrink(stage)
    submission = submit(context, Wanted())
    assert re.search(r"change application 00f\w+: maximumCapacity", "\n".join(said))
    assert (
        watch(Watch(context, submission, patience=0.1), seconds=30, detach=False, ask=lambda question: None).state
        == "SUCCESS"
    )


def test_1_a_run_that_starves_all_the_same_is_told_of_at_its_first_line(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(timings=replace(QUICK, provisioning=0.5))
    said: list[str] = []
    context = context_of(tree, said=said)
    up(context)
    up(context)
    submission = submit(context, Wanted())
    shrink(stage)
    with pytest.raises(Exception, match="it was cancelled"):
        watch(
            Watch(context, submission, show=lambda source, line: None, patience=0),
            seconds=3,
            detach=False,
            ask=lambda question: None,
        )
    told = [line for line in said if "waits for workers that never come" in line]
    assert len(told) == 1
    assert "in driver stderr" in told[0]
    assert "`orchard-deploy up` sets the capacity" in told[0]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("spark.emr-serverless.executorEnv.PYSPARK_PYTHON", "spark.executorEnv.NAME"),
        ("spark.executorEnv.PYSPARK_PYTHON", "contradicts"),
    ],
)
def test_2_a_property_that_would_choose_another_python_is_refused(
    tree: Path, stage: MemoryStage, name: str, instead: str
) -> None:
    context = context_of(tree, spark_properties={name: "/usr/bin/python3.9"})
    up(context)
    with pytest.raises(SpecError, match=re.escape(instead)):
        submit(context, Wanted())


@pytest.mark.parametrize(
    "line",
    [
        'java.io.IOException: Cannot run program "./environment/bin/python": error=2, No such file or directory',
        'Cannot run program "/opt/orchard/venv/bin/python3": error=13, Permission denied',
        "[PYTHON_VERSION_MISMATCH] Python in worker has different version (3, 9) than that in driver 3.11",
    ],
)
def test_3_a_python_that_is_not_found_is_explained(line: str) -> None:
    assert "did not find the image's Python" in (hint(line) or "")


def test_5_the_repository_policy_is_set_before_the_application_and_set_again_when_it_is_lost(
    tree: Path, stage: MemoryStage
) -> None:
    context = context_of(tree)
    up(context)
    calls = [name for service, name in stage.faults.log if service in ("ecr", "emr-serverless")]
    assert "SetRepositoryPolicy" in calls
    behind(stage, "ecr").delete_repository_policy(repositoryName="orchard")
    with pytest.raises(
        InvalidError,
        match=r"not authorized to perform: ecr:.*EMR Serverless may not read the image: `orchard-deploy up`",
    ):
        submit(context, Wanted())
    up(context)
    assert submit(context, Wanted()).run


def test_6_a_started_application_never_runs_an_image_of_yesterday(theatre: Theatre, tree: Path) -> None:
    """Up to release 7.13 a tag means what it meant when the application started; the digest means the same for ever."""
    stage = theatre.open()
    context = context_of(tree)
    up(context)
    first = submit(context, Wanted())
    watch(Watch(context, first, patience=0), seconds=30, detach=False, ask=lambda question: None)
    application = stage.serverless.applications[first.place]
    assert application.state == "STARTED"
    (tree / "app" / "part.py").write_text("# today's\n", encoding="utf-8")
    stage.images.tags = frozenset([context.tag])
    second = submit(context, Wanted())
    ended = watch(Watch(context, second, patience=0), seconds=30, detach=False, ask=lambda question: None)
    assert second.digest != first.digest
    assert ended.ran == second.digest
    assert stage.serverless.applications[first.place].settings["imageConfiguration"]["imageUri"].endswith(second.digest)
    record = context.record.read()
    assert [entry.ran for entry in record.runs] == [first.digest, second.digest]


def test_7_applications_that_an_accident_doubled_are_all_deleted(tree: Path, stage: MemoryStage) -> None:
    context = context_of(tree)
    up(context)
    up(context)
    found = stage.serverless.applications[the_application(stage)]
    stage.serverless.applications["00ftwin"] = replace(found, id="00ftwin")
    assert down(context, force=False, with_data=True) == []
    assert {each.state for each in stage.serverless.applications.values()} == {"TERMINATED"}


def test_7_an_application_that_is_stopped_is_found_on_a_later_page(tree: Path, stage: MemoryStage) -> None:
    context = context_of(tree)
    up(context)
    up(context)
    own = stage.serverless.applications.pop(the_application(stage))
    others = {
        f"00fother{n}": replace(own, id=f"00fother{n}", settings={**own.settings, "name": f"other{n}"})
        for n in range(70)
    }
    stage.serverless.applications.update({**others, own.id: replace(own, state="STOPPED")})
    assert [found.id for found in serverless.find_applications(context.aws, "orchard")] == [own.id]
    assert up(context).actions == []


def test_8_each_attempts_lines_are_shown_though_each_has_its_own_folder(theatre: Theatre, tree: Path) -> None:
    job = "import sys, pathlib; seen = pathlib.Path({!r}); tries = seen.read_text() if seen.exists() else ''; "
    job += "seen.write_text(tries + 'x'); print('try', len(tries) + 1); sys.exit(not tries)"
    theatre.open(job.format(str(tree.parent / "tries")))
    shown: list[str] = []
    context = context_of(tree, max_attempts=2)
    up(context)
    up(context)
    submission = submit(context, Wanted())
    watched = Watch(context, submission, show=lambda source, line: shown.append(f"{source}: {line}"), patience=1)
    assert watch(watched, seconds=30, detach=False, ask=lambda question: None).state == "SUCCESS"
    assert shown == ["driver stdout: try 1", "driver stdout, attempt 2: try 2"]


def test_9_a_bill_that_is_not_there_yet_is_not_taken_for_nothing(theatre: Theatre, tree: Path) -> None:
    theatre.open(timings=replace(QUICK, billing=4.0))
    context = context_of(tree)
    up(context)
    up(context)
    submission = submit(context, Wanted(photos=10))
    ended = watch(Watch(context, submission, patience=0), seconds=30, detach=False, ask=lambda question: None)
    prices = load_prices(PRICES_FILE, region=REGION, architecture="X86_64")
    early = bill_facts(context, ended, prices, photos=None, wait=False)
    late = bill_facts(context, ended, prices, photos=None, wait=True)
    assert (early["billed"], late["billed"]) == (False, True)
    assert late["amount"] > early["amount"]


def test_10_memory_that_was_not_enough_is_named(theatre: Theatre, tree: Path) -> None:
    theatre.open(
        "import sys; print('Worker has been killed as memory usage exceeded configured memory size', file=sys.stderr); "
        "sys.exit(1)"
    )
    said: list[str] = []
    context = context_of(tree, said=said)
    up(context)
    up(context)
    watched = Watch(context, submit(context, Wanted()), show=lambda source, line: None, patience=1)
    with pytest.raises(RunError):
        watch(watched, seconds=30, detach=False, ask=lambda question: None)
    assert any("give driver or executor more memory" in line for line in said)


def test_each_meaning_is_given_once() -> None:
    lines = ["x exceeded maximumCapacity y"] * 3 + ["fine", "No space left on device"]
    assert len(hints(lines)) == 2


def test_a_trust_that_someone_changed_is_set_right(tree: Path, stage: MemoryStage) -> None:
    context = context_of(tree)
    up(context)
    up(context)
    iam = behind(stage, "iam")
    trust = json.loads(json.dumps(iam.get_role(RoleName="orchard-job-us-east-1")["Role"]["AssumeRolePolicyDocument"]))
    trust["Statement"][0]["Principal"]["Service"] = "lambda.amazonaws.com"
    iam.update_assume_role_policy(RoleName="orchard-job-us-east-1", PolicyDocument=json.dumps(trust))
    assert [action.operation for action in up(context).actions] == ["update_assume_role_policy"]
    s3.write(context.aws, context.site.input.bucket, "photos/a/1.jpg", b"x")
    assert submit(context, Wanted()).run
