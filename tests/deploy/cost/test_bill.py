"""bill_facts, and work_of: how many photos a bill is for, by the run's own report or at most those of the input."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from orchard_deploy.cost.bill import Work, bill_facts, bill_lines, work_of
from orchard_deploy.cost.money import PRICES_FILE, load_prices
from orchard_deploy.emr import Run
from orchard_deploy.errors import RefusedError
from orchard_deploy.runs.record import Submission
from orchard_deploy.runs.watch import Watch
from orchard_deploy.waiting import Pace

from tests.deploy.cloud import BUCKET
from tests.deploy.runs.conftest import Ready

PRICES = load_prices(PRICES_FILE, region="us-east-1", architecture="X86_64")
START, END = 1_800_000_000.0, 1_800_000_600.0
RUN = Run(id="00r1", place="00f1", name="x", state="SUCCESS", created=START - 90, started=START, ended=END)


def report(*, begun: float = START + 5, kept: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "created": datetime.fromtimestamp(begun, UTC).isoformat(timespec="seconds"),
        "counts": {"listed": 40, "featurized": 38, "rejected": 2},
        "update": {"new": 40 - kept, "changed": 0, "removed": 0, "kept": kept, "retried": 0},
        **changes,
    }


def work(found: dict[str, Any] | None, *, run: Run = RUN, asked: int | None = None, attempts: int = 1) -> Work | None:
    return work_of(run, asked, found, 50, attempts)


BOUND = Work(photos=50, exact=False, source="input")


def test_work_of_a_runs_own_report() -> None:
    assert work(report()) == Work(photos=38, exact=True, source="report")


def test_work_of_an_updated_output() -> None:
    update = {"new": 5, "changed": 1, "removed": 3, "kept": 33, "retried": 1}
    clean = {"listed": 40, "featurized": 40, "rejected": 0}
    assert work(report(update=update, counts=clean)) == Work(photos=7, exact=True, source="report")
    assert work(report(update=update)) == Work(photos=7, exact=False, source="report")  # the 2 may be of any run


def test_work_of_a_prediction() -> None:
    update = {"new": 5, "changed": 1, "removed": 3, "kept": 33, "retried": 1}
    counts = {"listed": 40, "predicted": 40, "rejected": 0}
    assert work(report(update=update, counts=counts)) == Work(photos=7, exact=True, source="report")


def test_work_of_a_second_attempt() -> None:
    found = report(kept=20)
    assert work(found, attempts=2) == Work(photos=38, exact=False, source="report")
    assert work(report(), attempts=2) == Work(photos=38, exact=True, source="report")


@pytest.mark.parametrize(
    "found",
    [
        report(begun=START - 100),  # of the run before, that ended while this one waited in the queue
        report(begun=END + 100),  # of a later run
        None,
        {"schema_version": 0},
    ],
)
def test_work_of_another_runs_report(found: dict[str, Any] | None) -> None:
    assert work(found) == BOUND


def test_work_of_a_run_that_never_started() -> None:
    assert work(report(), run=replace(RUN, started=None)) == BOUND


def test_work_of_a_run_under_way() -> None:
    assert work(report(), run=replace(RUN, ended=None)) == Work(photos=38, exact=True, source="report")


def test_work_of_as_asked_and_of_nothing() -> None:
    assert work(report(), asked=7) == Work(photos=7, exact=True, source="flag")
    assert work_of(RUN, None, None, None, 1) is None


def ended(ready: Ready, **spec: Any) -> Submission:
    """A run of 50 photos that worked for ten minutes and is over."""
    ready.play("import time; time.sleep(600)")
    context = ready.context(**spec)
    submission = ready.submit_of(context, photos=50)
    watch = Watch(context, submission)
    return watch.note(watch.until_over(3600))


def facts(ready: Ready, submission: Submission, *, photos: int | None = None) -> Mapping[str, Any]:
    return bill_facts(ready.context(), submission, PRICES, photos=photos)


def put_report(
    ready: Ready, submission: Submission, name: str = "report.json", content: dict[str, Any] | bytes | None = None
) -> None:
    """Leave a report in the output; S3 has the machine's own time, so the run has been at work by that, too."""
    now = time.time()
    text = content if isinstance(content, bytes) else json.dumps({**report(begun=now), **(content or {})})
    ready.cloud.behind("s3").put_object(Bucket=BUCKET, Key=f"features/{name}", Body=text)
    ready.change(submission, started=now - 300, ended=now + 300)


def test_bill_facts_are_waited_for(ready: Ready) -> None:
    submission = ended(ready)
    late = facts(ready, submission)
    assert late["billed"]
    # 12 vCPU and 48 GB for ten minutes; the service rounds to thousandths of an hour
    assert late["amount"] == pytest.approx(12 / 6 * 0.052624 + 48 / 6 * 0.0057785, rel=0.05)
    assert late["per_1000_photos"] == pytest.approx(late["amount"] * 20)
    assert "(at most 50 photos featurized, by the input)" in "\n".join(bill_lines(late))


def test_bill_facts_of_what_was_used_where_no_bill_comes(ready: Ready) -> None:
    submission = ended(ready)
    ready.cloud.account.settings.timings = replace(ready.cloud.account.settings.timings, billing=10**6)
    found = facts(ready, submission)
    assert not found["billed"]
    assert "the bill is not there yet" in "\n".join(bill_lines(found))


def test_bill_facts_of_a_run_that_never_had_workers(ready: Ready) -> None:
    ready.play("", provisioning=1000)
    submission = ready.submit()
    Watch(ready.context(), submission).cancel()
    hasty = replace(ready.context(), pace=Pace(sleep=lambda seconds: pytest.fail("waited")))
    found = bill_facts(hasty, submission, PRICES, photos=None)
    assert (found["state"], found["billed"], found["amount"], found["per_1000_photos"]) == ("CANCELLED", True, 0, None)


def test_bill_facts_of_a_run_that_waits(ready: Ready) -> None:
    submission = ready.submit()
    with pytest.raises(RefusedError, match="call again in a minute"):
        facts(ready, submission)


def test_bill_facts_by_the_runs_report(ready: Ready) -> None:
    submission = ended(ready)
    put_report(ready, submission)
    found = facts(ready, submission)
    assert (found["photos"], found["photos_exact"], found["photos_from"]) == (38, True, "report")
    assert "per 1,000 photos (38 photos featurized, by the report)" in "\n".join(bill_lines(found))
    assert "(19 photos featurized, by the flag)" in "\n".join(bill_lines(facts(ready, submission, photos=19)))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"created": "yesterday"}', b'{"schema_version": 0}'])
def test_bill_facts_with_a_report_that_cannot_be_read(ready: Ready, content: bytes) -> None:
    submission = ended(ready)
    put_report(ready, submission, content=content)
    found = facts(ready, submission)
    assert (found["photos"], found["photos_exact"], found["photos_from"]) == (50, False, "input")


def test_bill_facts_of_a_prediction(ready: Ready) -> None:
    spec: dict[str, Any] = {"command": "predict", "arguments": ("s3://{bucket}/classifier",)}
    submission = ended(ready, **spec)
    put_report(ready, submission, "predictions.json", {"counts": {"listed": 40, "predicted": 39, "rejected": 1}})
    found = bill_facts(ready.context(**spec), submission, PRICES, photos=None)
    assert (found["photos"], found["photos_exact"], found["photos_from"]) == (39, True, "report")
