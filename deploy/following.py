"""The logs of a run, read from S3 and shown as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from deploy.aws import s3
from deploy.context import Context
from deploy.errors import RefusedError
from deploy.logs import Choice, Follower, Source, run_prefix
from deploy.observed import Run
from deploy.record import Submission
from deploy.site import S3Place
from deploy.targets import TARGETS
from deploy.terminal import write_line
from deploy.verify import look
from deploy.waiting import wait_for

# Seconds that a run is followed at most: the longest time-out of a batch run.
_LONGEST = 7 * 86400.0
# Seconds after the end of a run in which its last lines come.
LAST_LINES = 20.0
_OVER = Run(id="", place="", name="", state="")


def print_line(source: Source, line: str) -> None:
    """A line of the job where the job itself wrote it: standard output or standard error."""
    write_line(line, sys.stdout if source.stream == "stdout" else sys.stderr)


def follower(context: Context, submission: Submission, choice: Choice) -> Follower | None:
    """What follows the logs of a run in S3, if the specification has them there.

    Its lines do not show the account's number.
    """
    logs = context.site.logs
    if logs is None or submission.run is None:
        return None
    target = TARGETS[submission.target]
    prefix = "/".join(part for part in (logs.prefix, run_prefix(target, submission.place, submission.run)) if part)
    return Follower(
        target,
        prefix,
        lambda: s3.keys(context.aws, S3Place(logs.bucket, prefix)),
        lambda key: s3.read(context.aws, logs.bucket, key),
        choice,
        context.site.account.mask,
    )


def follow_logs(
    context: Context, submission: Submission, choice: Choice, *, follow: bool, show: Callable[[Source, str], None]
) -> None:
    """Show the logs of a run, to its end if `follow`.

    Raises:
        RefusedError: the specification keeps no logs in S3, or there are none of this run (yet).
    """
    logs = follower(context, submission, choice)
    if logs is None:
        raise RefusedError(
            "logs: the specification has no place for them: add `logs`; the console of EMR keeps its own for 30 days"
        )
    target, shown, entry = TARGETS[submission.target], _Shown(show), submission

    def look_again() -> Run:
        nonlocal entry
        entry, run = look(context, entry) if follow else (entry, _OVER)
        shown.show(logs.new_lines())
        return run

    wait_for(
        look_again,
        lambda run: run is _OVER or target.phases[run.state].final,
        what=f"the end of run {submission.run}",
        seconds=_LONGEST,
        pace=context.pace,
        say=context.say,
    )
    if follow:
        _await_last(context, logs, shown)
    shown.show(logs.last_lines())
    if not shown.lines:
        where = context.site.account.mask(str(context.site.logs))
        raise RefusedError(
            f"run {submission.run}: no such logs in {where}: they come some 15 seconds after the workers have started; "
            "`orchard-deploy status` tells how far the run is"
        )


def _await_last(context: Context, logs: Follower, shown: _Shown) -> None:
    """AWS delivers what a run said last some seconds after its end."""
    deadline, before = context.pace.clock() + LAST_LINES, shown.lines
    while context.pace.clock() < deadline and shown.lines == before:
        context.pace.sleep(context.pace.first)
        shown.show(logs.new_lines())


class _Shown:
    """Shows lines, and counts them."""

    def __init__(self, show: Callable[[Source, str], None]) -> None:
        self._show, self.lines = show, 0

    def show(self, lines: Iterable[tuple[Source, str]]) -> None:
        for source, line in lines:
            self.lines += 1
            self._show(source, line)
