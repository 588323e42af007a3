"""What a run cost, as the service bills it.

The bill comes some seconds after the end, so it is asked for more than once.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from deploy.aws import s3
from deploy.context import Context
from deploy.cost import Prices, amount
from deploy.errors import AwsError, RefusedError, WaitError
from deploy.observed import Run, Utilization
from deploy.record import Submission
from deploy.targets import SERVERLESS
from deploy.verify import look
from deploy.waiting import wait_for
from deploy.work import Work, work_of

# Seconds that a bill gets to arrive.
_LATE = 120.0
_NOTHING = Utilization(cpu=0.0, memory=0.0, storage=0.0)


def bill_facts(
    context: Context, submission: Submission, prices: Prices, *, photos: int | None, wait: bool
) -> dict[str, Any]:
    """The bill as plain data.

    `billed` is False where only the utilization is known so far. A run that never started costs nothing.

    Without `photos_exact` the run featurized so many at most, and 1,000 of them cost more than it says.

    Raises:
        RefusedError: the service says nothing about this run yet.
    """
    run = _billed_run(context, submission, wait=wait)
    idle = _never_started(run)
    used = run.billed or run.used or (_NOTHING if idle else None)
    if used is None:
        raise RefusedError(
            f"run {run.id}: {run.state}: EMR Serverless says nothing yet about what it used: call again in a minute"
        )
    money, work = amount(used, prices), None if idle else _work(context, run, photos, submission.photos)
    return {
        "run": run.id,
        "state": run.state,
        "billed": idle or (run.billed is not None and SERVERLESS.phases[run.state].final),
        "utilization": asdict(used),
        "amount": money,
        "currency": prices.currency,
        "photos": work.photos if work else None,
        "photos_exact": bool(work and work.exact),
        "photos_from": work.source if work else None,
        "per_1000_photos": money / work.photos * 1000 if work and work.photos else None,
        "prices": prices.source,
    }


def _never_started(run: Run) -> bool:
    """Whether it was over before it had workers: then no bill ever comes."""
    return run.started is None and SERVERLESS.phases[run.state].final


def _billed_run(context: Context, submission: Submission, *, wait: bool) -> Run:
    entry, latest = submission, None

    def ask() -> Run:
        nonlocal entry, latest
        entry, latest = look(context, entry)
        return latest

    def done(run: Run) -> bool:
        return run.billed is not None or not SERVERLESS.phases[run.state].final or _never_started(run) or not wait

    try:
        return wait_for(ask, done, what="the bill", seconds=_LATE, pace=context.pace, say=context.say)
    except WaitError:
        if latest is None:
            raise
        return latest


def _work(context: Context, run: Run, asked: int | None, listed: int | None) -> Work | None:
    """A report that cannot be had, or is of another version, is as good as none."""
    output, name = context.site.output, context.site.command.report
    try:
        found = s3.find(context.aws, output.bucket, f"{output.prefix}/{name}".lstrip("/")) if name else None
        report, written = (json.loads(found.body), found.written) if found else (None, 0.0)
        attempts = context.site.spec.max_attempts
        return work_of(run, asked=asked, report=report, written=written, listed=listed, attempts=attempts)
    except (AwsError, ValueError, KeyError, TypeError):
        return work_of(run, asked=asked, report=None, written=0.0, listed=listed)
