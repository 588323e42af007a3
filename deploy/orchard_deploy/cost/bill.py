"""What a run cost, as the service bills it, and for how many photos.

The bill comes some seconds after the end, so it is asked for more than once. Its photos are those that the run's own
report counts, else those that it took at most.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from orchard_deploy import s3
from orchard_deploy.context import Context
from orchard_deploy.cost.money import Prices, amount
from orchard_deploy.emr import Run, Utilization
from orchard_deploy.errors import AwsError, RefusedError, WaitError
from orchard_deploy.runs.known import look
from orchard_deploy.runs.record import Submission
from orchard_deploy.targets import SERVERLESS
from orchard_deploy.waiting import wait_for

# Seconds that a bill gets to arrive, and that the driver's clock may be off from the service's.
_LATE, _SLACK = 120.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Work:
    """Photos that a run featurized: so many if `exact`, else at most; by a `flag`, its `report` or the `input`."""

    photos: int
    exact: bool
    source: str


def bill_facts(context: Context, submission: Submission, prices: Prices, *, photos: int | None) -> dict[str, Any]:
    """The bill as plain data; a run that never started costs nothing.

    `billed` is False where only the utilization is known so far, and `RefusedError` is raised where nothing is. Without
    `photos_exact` the run featurized so many at most, and 1,000 of them cost more than it says.
    """
    run = _billed_run(context, submission)
    final = SERVERLESS.phases[run.state].final
    idle = final and run.started is None
    used = run.billed or run.used or (Utilization(cpu=0.0, memory=0.0, storage=0.0) if idle else None)
    if used is None:
        raise RefusedError(
            f"run {run.id}: {run.state}: EMR Serverless says nothing yet about what it used: call again in a minute"
        )
    work = None if idle else work_of(run, photos, _report(context), submission.photos, context.site.spec.max_attempts)
    money = amount(used, prices)
    return {
        "run": run.id,
        "state": run.state,
        "billed": idle or (run.billed is not None and final),
        "utilization": asdict(used),
        "amount": money,
        "currency": prices.currency,
        "photos": work.photos if work else None,
        "photos_exact": bool(work and work.exact),
        "photos_from": work.source if work else None,
        "per_1000_photos": money / work.photos * 1000 if work and work.photos else None,
        "prices": prices.source,
    }


def bill_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The same for a person."""
    used, currency = facts["utilization"], facts["currency"]
    what = "billed" if facts["billed"] else "used so far; the bill is not there yet"
    yield (
        f"run {facts['run']}: {facts['amount']:.4f} {currency} ({what}): {used['cpu']:g} vCPU-hours, "
        f"{used['memory']:g} GB-hours, {used['storage']:g} GB-hours of disk"
    )
    if facts["per_1000_photos"] is not None:
        figure = f"{facts['per_1000_photos']:.4f} {currency} per 1,000 photos"
        photos = f"{facts['photos']:,} photos featurized, by the {facts['photos_from']}"
        yield f"{figure} ({photos})" if facts["photos_exact"] else f"at least {figure} (at most {photos})"
    yield f"prices: {facts['prices']}"


def work_of(run: Run, asked: int | None, report: Any, listed: int | None, attempts: int) -> Work | None:
    """What a run did, as a person says, else as the report in the output, else as `listed` at submission.

    The report may be another run's; one of another version is as good as none. It is that of the last of `attempts`.
    """
    if asked is not None:
        return Work(photos=asked, exact=True, source="flag")
    with contextlib.suppress(KeyError, TypeError, ValueError):
        begun = datetime.fromisoformat(report["created"]).timestamp()
        # Runs of one application never overlap.
        if run.started and run.started - _SLACK <= begun <= (run.ended or begun) + _SLACK:
            return _reported(report, attempts)
    return None if listed is None else Work(photos=listed, exact=False, source="input")


def _reported(report: Mapping[str, Any], attempts: int) -> Work:
    """What an attempt added to the tables: its rejections are not told apart from those of the runs before it.

    What it found there may be an earlier attempt's, and so on the same bill.
    """
    counts, update = report["counts"], report["update"]
    done = counts["predicted"] if "predicted" in counts else counts["featurized"]
    if not update["kept"] or attempts > 1:
        return Work(photos=done, exact=not update["kept"], source="report")
    given = update["new"] + update["changed"] + update["retried"]
    return Work(photos=min(given, done), exact=not counts["rejected"], source="report")


def _report(context: Context) -> Any:
    """The report that lies in the output, if it can be had."""
    output, name = context.site.output, context.site.command.report
    try:
        found = s3.read(context.aws, output.bucket, f"{output.prefix}/{name}".lstrip("/")) if name else None
        return json.loads(found) if found else None
    except (AwsError, ValueError):
        return None


def _billed_run(context: Context, entry: Submission) -> Run:
    """The run with its bill, if that comes in time; none ever comes of a run that was over before it had workers."""

    def ask() -> Run:
        return look(context, entry)[1]

    def done(run: Run) -> bool:
        return run.billed is not None or run.started is None or not SERVERLESS.phases[run.state].final

    try:
        return wait_for(ask, done, what="the bill", seconds=_LATE, pace=context.pace, say=context.say)
    except WaitError:
        return ask()
