"""bill_facts, and photos_of: how many photos a bill is for, by the run's own report or at most those of the input."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from orchard_deploy.aws import Aws
from orchard_deploy.context import Context, Pace
from orchard_deploy.cost.money import PRICES_FILE, bill_facts, bill_lines, photos_of
from orchard_deploy.emr import PHOTOS_TAG, Run
from orchard_deploy.errors import RefusedError, WaitError
from orchard_deploy.runs.watch import Watch
from orchard_deploy.site import Site
from orchard_deploy.targets import SERVERLESS

from tests.deploy.cloud import BUCKET
from tests.deploy.runs.conftest import Ready

START, END = 1_800_000_000.0, 1_800_000_600.0
RUN = Run(
    id="00r1", target=SERVERLESS, place="00f1", name="x", state="SUCCESS", created=START - 90, started=START, ended=END
)


def report(*, begun: float = START + 5, kept: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "created": datetime.fromtimestamp(begun, UTC).isoformat(timespec="seconds"),
        "counts": {"listed": 40, "featurized": 38, "rejected": 2},
        "update": {"new": 40 - kept, "changed": 0, "removed": 0, "kept": kept, "retried": 0},
        **changes,
    }


def photos(site: Site, found: dict[str, Any] | None, counted: str = "50", run: Run = RUN) -> tuple[int | None, str]:
    """The photos of a run with this report in its output."""
    answer = {"Body": BytesIO(json.dumps(found).encode())} if found else None
    aws = Mock(spec=Aws, find=Mock(spec=Aws.find, return_value=answer))
    context = Context(aws=aws, site=site, target=SERVERLESS, tree=Path())
    return photos_of(context, replace(run, tags={PHOTOS_TAG: counted}))


def test_photos_of_a_runs_own_report(site: Site) -> None:
    update = {"new": 5, "changed": 1, "removed": 3, "kept": 33, "retried": 1}
    assert photos(site, report()) == (40, "report")
    assert photos(site, report(update=update)) == (7, "report")


@pytest.mark.parametrize(
    "found",
    [
        report(begun=START - 100),  # of the run before, that ended while this one waited in the queue
        report(begun=END + 100),  # of a later run
        None,
        {"schema_version": 0},
    ],
)
def test_photos_of_another_runs_report(site: Site, found: dict[str, Any] | None) -> None:
    assert photos(site, found) == (50, "input")
    assert photos(site, found, counted="") == (None, "input")


def test_photos_of_a_run_that_never_started(site: Site) -> None:
    assert photos(site, report(), run=replace(RUN, started=None)) == (50, "input")


def ended(ready: Ready, **spec: Any) -> Run:
    """A run of 50 photos that worked for ten minutes and is over."""
    ready.play("import time; time.sleep(600)")
    context = ready.context(**spec)
    return Watch(context, ready.submit_of(context, photos=50)).until_over(3600)


def facts(ready: Ready, submission: Run, *, photos: int | None = None) -> Mapping[str, Any]:
    return bill_facts(ready.context(), submission, PRICES_FILE, photos=photos)


def put_report(
    ready: Ready, submission: Run, name: str = "report.json", content: dict[str, Any] | bytes | None = None
) -> None:
    """Leave a report in the output; S3 has the machine's own time, so the run has been at work by that, too."""
    now = time.time()
    text = content if isinstance(content, bytes) else json.dumps({**report(begun=now), **(content or {})})
    ready.cloud.behind("s3").put_object(Bucket=BUCKET, Key=f"features/{name}", Body=text)
    ready.change(submission, started=now - 300, ended=now + 300)


def test_bill_facts_are_waited_for(ready: Ready) -> None:
    submission = ended(ready)
    late = facts(ready, submission)
    # 12 vCPU and 48 GB for ten minutes; the service rounds to thousandths of an hour
    assert late["amount"] == pytest.approx(12 / 6 * 0.052624 + 48 / 6 * 0.0057785, rel=0.05)
    assert late["per_1000_photos"] == pytest.approx(late["amount"] * 20)
    assert "at least" in "\n".join(bill_lines(late))
    assert "(at most 50 photos, by the input)" in "\n".join(bill_lines(late))


def test_bill_facts_where_no_bill_comes(ready: Ready) -> None:
    submission = ended(ready)
    ready.cloud.account.settings.timings = replace(ready.cloud.account.settings.timings, billing=10**6)
    with pytest.raises(WaitError, match="to be asked for again later"):
        facts(ready, submission)


def test_bill_facts_of_a_run_that_never_had_workers(ready: Ready) -> None:
    ready.play("", provisioning=1000)
    submission = ready.submit()
    Watch(ready.context(), submission).cancel()
    hasty = replace(ready.context(), pace=Pace(sleep=lambda seconds: pytest.fail("waited")))
    found = bill_facts(hasty, submission, PRICES_FILE, photos=None)
    assert (found["state"], found["amount"], found["per_1000_photos"]) == ("CANCELLED", 0, None)


def test_bill_facts_of_a_run_that_is_not_over(ready: Ready) -> None:
    ready.play("import time; time.sleep(600)")
    submission = ready.submit()
    for state in ("SUBMITTED|PENDING|SCHEDULED", "RUNNING"):
        with pytest.raises(RefusedError, match=f"({state}): EMR Serverless bills a run at its end"):
            facts(ready, submission)
        ready.cloud.pass_time(300)


def test_bill_facts_by_the_runs_report(ready: Ready) -> None:
    submission = ended(ready)
    put_report(ready, submission)
    found = facts(ready, submission)
    assert (found["photos"], found["photos_from"]) == (40, "report")
    assert "per 1,000 photos (40 photos, by the report)" in "\n".join(bill_lines(found))
    assert "(19 photos, by the flag)" in "\n".join(bill_lines(facts(ready, submission, photos=19)))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"created": "yesterday"}', b'{"schema_version": 0}'])
def test_bill_facts_with_a_report_that_cannot_be_read(ready: Ready, content: bytes) -> None:
    submission = ended(ready)
    put_report(ready, submission, content=content)
    found = facts(ready, submission)
    assert (found["photos"], found["photos_from"]) == (50, "input")


def test_bill_facts_of_a_prediction(ready: Ready) -> None:
    spec: dict[str, Any] = {"command": "predict", "arguments": ("s3://{bucket}/classifier",)}
    submission = ended(ready, **spec)
    put_report(ready, submission, "predictions.json", {"counts": {"listed": 40, "predicted": 39, "rejected": 1}})
    found = bill_facts(ready.context(**spec), submission, PRICES_FILE, photos=None)
    assert (found["photos"], found["photos_from"]) == (40, "report")
