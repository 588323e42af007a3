"""How many photos a run takes, and how many its bill is for.

Those that its own report counts, else those that it took at most. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchard.options import JobOptions

from deploy.job_commands import Options
from deploy.observed import Run

# Seconds that S3's times, which are whole seconds, and the driver's own clock may be off from the service's.
_S3_SLACK, _CLOCK_SLACK = 2.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Work:
    """Photos that a run featurized.

    Attributes:
        exact: so many; otherwise so many at most.
        source: what says so: `flag`, `report` or `input`.
    """

    photos: int
    exact: bool
    source: str


def taken(labels: Iterable[str], job: Options) -> int:
    """Photos that a job takes of those with these labels, as `orchard.photos.photo.arrange` does.

    `run` takes so many of each of the first varieties, `predict` all.
    """
    photos = Counter(labels)
    if not isinstance(job, JobOptions):
        return photos.total()
    return sum(min(photos[label], job.per_variety or photos[label]) for label in sorted(photos)[: job.varieties])


def work_of(
    run: Run,
    *,
    asked: int | None,
    report: Mapping[str, Any] | None,
    written: float,
    listed: int | None,
    attempts: int = 1,
) -> Work | None:
    """What a run did, by whatever knows it best; None where nothing does.

    Args:
        asked: by a person.
        report: that lies in the output, whichever run's it is.
        written: when that was, in seconds since 1970.
        listed: photos that it took of the input at submission.
        attempts: that the run may have had; the report is the last one's.
    """
    if asked is not None:
        return Work(photos=asked, exact=True, source="flag")
    if report is not None and is_own(report, written, run):
        return _reported(report, attempts)
    return None if listed is None else Work(photos=listed, exact=False, source="input")


def is_own(report: Mapping[str, Any], written: float, run: Run) -> bool:
    """Whether a report was begun and written while the run ran."""
    if run.started is None:
        return False
    until = run.ended or float("inf")
    begun = datetime.fromisoformat(report["created"]).timestamp()
    if not run.started - _S3_SLACK <= written <= until + _S3_SLACK:
        return False
    return run.started - _CLOCK_SLACK <= begun <= until + _CLOCK_SLACK


def _reported(report: Mapping[str, Any], attempts: int) -> Work:
    """What an attempt added to the tables: its rejections are not told apart from those of the runs before it.

    What it found there may be an earlier attempt's, and so on the same bill.
    """
    counts, update = report["counts"], report["update"]
    done = counts["predicted"] if "predicted" in counts else counts["featurized"]
    if not update["kept"]:
        return Work(photos=done, exact=True, source="report")
    if attempts > 1:
        return Work(photos=done, exact=False, source="report")
    given = update["new"] + update["changed"] + update["retried"]
    return Work(photos=min(given, done), exact=not counts["rejected"], source="report")
