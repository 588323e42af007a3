"""How many photos a bill is for: by the run's own report, or at most those of the input."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.options import JobOptions
from orchard.photos.buckets import BucketSource
from orchard.photos.photo import Photo, arrange

from deploy.__main__ import main
from deploy.aws import s3
from deploy.bill import bill_facts
from deploy.cost import PRICES_FILE, load_prices
from deploy.ensure import up
from deploy.observed import Run
from deploy.rehearsal.stage import Rehearsal
from deploy.submit import Wanted, submit
from deploy.watch import Watch, watch
from deploy.work import Work, taken, work_of
from tests.aws.conftest import REGION, Theatre, context_of
from tests.aws.memory.stage import MemoryStage

START, END = 1_800_000_000.0, 1_800_000_600.0
RUN = Run(id="00r1", place="00f1", name="x", state="SUCCESS", created=START - 90, started=START, ended=END)


def report(*, begun: float = START + 5, kept: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "created": datetime.fromtimestamp(begun, UTC).isoformat(timespec="seconds"),
        "counts": {"listed": 40, "featurized": 38, "rejected": 2},
        "update": {"new": 40 - kept, "changed": 0, "removed": 0, "kept": kept, "retried": 0},
        **changes,
    }


def work(
    found: dict[str, Any] | None,
    *,
    run: Run = RUN,
    written: float = END - 10,
    asked: int | None = None,
    attempts: int = 1,
) -> Work | None:
    return work_of(run, asked=asked, report=found, written=written, listed=50, attempts=attempts)


BOUND = Work(photos=50, exact=False, source="input")


def test_a_runs_own_report_counts_what_it_featurized() -> None:
    assert work(report()) == Work(photos=38, exact=True, source="report")


def test_of_an_updated_output_only_what_came_to_it_counts() -> None:
    update = {"new": 5, "changed": 1, "removed": 3, "kept": 33, "retried": 1}
    clean = {"listed": 40, "featurized": 40, "rejected": 0}
    assert work(report(update=update, counts=clean)) == Work(photos=7, exact=True, source="report")
    assert work(report(update=update)) == Work(photos=7, exact=False, source="report")  # the 2 may be of any run


def test_the_report_of_a_prediction_counts_what_it_predicted() -> None:
    update = {"new": 5, "changed": 1, "removed": 3, "kept": 33, "retried": 1}
    counts = {"listed": 40, "predicted": 40, "rejected": 0}
    assert work(report(update=update, counts=counts)) == Work(photos=7, exact=True, source="report")


def test_what_an_earlier_attempt_did_is_on_the_same_bill() -> None:
    found = report(kept=20)
    assert work(found, attempts=2) == Work(photos=38, exact=False, source="report")
    assert work(report(), attempts=2) == Work(photos=38, exact=True, source="report")


@pytest.mark.parametrize(
    ("found", "written"),
    [
        (report(), START - 100),  # of the run before, that ended while this one waited in the queue
        (report(), END + 3600),  # of a later run
        (report(begun=START - 86400), END - 10),  # of another run; this one had nothing to do
        (None, 0.0),
    ],
)
def test_the_report_of_another_run_counts_for_nothing(found: dict[str, Any] | None, written: float) -> None:
    assert work(found, written=written) == BOUND


def test_a_run_that_never_started_has_no_report() -> None:
    assert work(report(), run=replace(RUN, started=None)) == BOUND


def test_a_run_under_way_may_have_written_its_report_already() -> None:
    assert work(report(), run=replace(RUN, ended=None)) == Work(photos=38, exact=True, source="report")


def test_a_persons_word_comes_first_and_without_any_there_is_none() -> None:
    assert work(report(), asked=7) == Work(photos=7, exact=True, source="flag")
    assert work_of(RUN, asked=None, report=None, written=0.0, listed=None) is None


@given(
    labels=st.lists(st.sampled_from(["Apple", "Avocado", "Banana", "banana"])),
    varieties=st.none() | st.integers(1, 5),
    per_variety=st.none() | st.integers(1, 5),
)
def test_as_many_photos_are_expected_as_the_job_takes(
    labels: list[str], varieties: int | None, per_variety: int | None
) -> None:
    listed = [Photo(f"{label}/{number}.jpg", label, 1, 1) for number, label in enumerate(labels)]
    job = JobOptions(input="in", output="out", varieties=varieties, per_variety=per_variety)
    assert taken(labels, job) == len(arrange(listed, varieties=varieties, per_variety=per_variety))


def test_photos_are_counted_as_the_job_lists_them(tree: Path, wire: Rehearsal) -> None:
    context = context_of(tree)
    up(context)
    place = context.site.input
    for path in (
        "Apple/1.jpg",
        "Apple/2.JPG",
        "b/Apple/3.png",
        "Fig/.4.jpg",
        ".b/Fig/5.jpg",
        "Fig/6.txt",
        "Fig/7.jpg/",
        "8.webp",
    ):
        s3.write(context.aws, place.bucket, f"{place.prefix}/{path}", b"" if path.endswith("/") else b"x")
    s3.write(context.aws, place.bucket, f"{place.prefix} of others/Apple/9.jpg", b"x")
    listed = [photo.label for photo in BucketSource(str(place)).list().photos]
    assert sorted(s3.labels(context.aws, place)) == sorted(listed) == ["Apple", "Apple", "Apple", "photos"]
    everywhere = replace(place, prefix="")
    assert sorted(s3.labels(context.aws, everywhere)) == sorted(
        photo.label for photo in BucketSource(f"s3://{place.bucket}").list().photos
    )


# What the real job leaves behind, with figures of its own.
JOB = """
import boto3, datetime, json, os
found = json.loads({facts!r})
found["created"] = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
boto3.client("s3", region_name="us-east-1").put_object(
    Bucket="orchard-123456789012-us-east-1", Key="features/report.json", Body=json.dumps(found).encode())
"""


def test_a_bill_is_divided_by_what_the_run_says_it_did(
    theatre: Theatre, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = theatre.wire(JOB.format(facts=json.dumps(report())))
    context = context_of(tree)
    up(context)
    up(context)
    ended = watch(
        Watch(context, submit(context, Wanted(photos=50)), patience=0),
        seconds=30,
        detach=False,
        ask=lambda question: None,
    )
    prices = load_prices(PRICES_FILE, region=REGION, architecture="X86_64")
    facts = bill_facts(context, ended, prices, photos=None, wait=True)
    assert (facts["photos"], facts["photos_exact"], facts["photos_from"]) == (38, True, "report")
    assert facts["per_1000_photos"] == pytest.approx(facts["amount"] / 38 * 1000)
    words = ["cost", "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)]
    assert main(words) == 0
    assert "USD per 1,000 photos (38 photos featurized)" in capsys.readouterr().out
    job = stage.serverless.floor.jobs[ended.run or ""]  # it is over, so nothing else moves it
    earlier = replace(job, started=(job.started or 0) - 900, ended=(job.ended or 0) - 900)
    stage.serverless.floor.put(earlier)  # as if another run had written the report since
    assert main(words) == 0
    assert "at least" in (out := capsys.readouterr().out)
    assert "(at most 50 photos featurized: it took so many of the input)" in out
    assert main([*words, "--photos", "19"]) == 0
    assert "(19 photos featurized)" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"created": "yesterday"}', b'{"schema_version": 0}'])
def test_a_report_that_cannot_be_read_is_as_good_as_none(tree: Path, stage: MemoryStage, content: bytes) -> None:
    context = context_of(tree)
    up(context)
    up(context)
    ended = watch(
        Watch(context, submit(context, Wanted(photos=50)), patience=0),
        seconds=30,
        detach=False,
        ask=lambda question: None,
    )
    job = stage.serverless.floor.jobs[ended.run or ""]
    stage.serverless.floor.put(replace(job, ended=(job.ended or 0) + 60))
    s3.write(context.aws, context.site.output.bucket, "features/report.json", content)
    facts = bill_facts(
        context, ended, load_prices(PRICES_FILE, region=REGION, architecture="X86_64"), photos=None, wait=False
    )
    assert (facts["photos"], facts["photos_exact"], facts["photos_from"]) == (50, False, "input")


def test_the_bill_of_a_prediction_is_by_its_own_report(tree: Path, stage: MemoryStage) -> None:
    context = context_of(tree, command="predict", arguments=("s3://{bucket}/classifier",))
    up(context)
    up(context)
    ended = watch(
        Watch(context, submit(context, Wanted(photos=50)), patience=0),
        seconds=30,
        detach=False,
        ask=lambda question: None,
    )
    job = stage.serverless.floor.jobs[ended.run or ""]
    stage.serverless.floor.put(replace(job, ended=(job.ended or 0) + 60))
    content = report(begun=job.started or 0, counts={"listed": 40, "predicted": 39, "rejected": 1})
    s3.write(context.aws, context.site.output.bucket, "features/predictions.json", json.dumps(content).encode())
    prices = load_prices(PRICES_FILE, region=REGION, architecture="X86_64")
    facts = bill_facts(context, ended, prices, photos=None, wait=False)
    assert (facts["photos"], facts["photos_exact"], facts["photos_from"]) == (39, True, "report")
