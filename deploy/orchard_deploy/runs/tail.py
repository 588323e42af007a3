"""The lines of a run, shown as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchard_deploy import s3
from orchard_deploy.context import Context
from orchard_deploy.errors import RefusedError
from orchard_deploy.runs.known import look
from orchard_deploy.runs.logs import Choice, Follower, Source
from orchard_deploy.runs.record import Submission
from orchard_deploy.site import S3Place
from orchard_deploy.terminal import write_line
from orchard_deploy.waiting import Pace, wait_for

Show = Callable[[Source, str], None]
# Seconds that a run is followed at most: the longest time-out of a batch run.
_LONGEST = 7 * 86400.0
# Seconds after the end of a run in which its last lines come: the service sends them every 15 seconds.
LAST_LINES = 20.0


def print_line(source: Source, line: str) -> None:
    """A line of the job where the job itself wrote it: standard output or standard error."""
    write_line(line, sys.stdout if source.stream == "stdout" else sys.stderr)


@dataclass
class Tail:
    """Shows the lines of a run that are new, and counts them."""

    follower: Follower
    show: Show
    pace: Pace
    lines: int = 0

    def poll(self) -> bool:
        """Show what is new; whether there was anything."""
        return self._show(self.follower.new_lines())

    def finish(self, seconds: float) -> None:
        """Show what comes after the run's end, until some has come and no more does, or for so many seconds."""
        deadline, came = self.pace.clock() + seconds, False
        while self.pace.clock() < deadline:
            fresh = self.poll()
            if came and not fresh:
                break
            came = came or fresh
            self.pace.sleep(self.pace.first)
        self._show(self.follower.last_lines())

    def _show(self, lines: Iterable[tuple[Source, str]]) -> bool:
        before = self.lines
        for source, line in lines:
            self.lines += 1
            self.show(source, line)
        return self.lines > before


def open_tail(context: Context, entry: Submission, choice: Choice, show: Show) -> Tail | None:
    """The lines of a run, without the account's number, if the specification has its logs in S3."""
    logs, target = context.site.logs, entry.service
    if logs is None:
        return None
    prefix = f"{logs.prefix}/{target.logs.format(place=entry.place, run=entry.run)}".lstrip("/")
    follower = Follower(
        target,
        prefix,
        lambda: s3.keys(context.aws, S3Place(logs.bucket, prefix)),
        lambda key: s3.read(context.aws, logs.bucket, key),
        choice,
        context.site.account.mask,
    )
    return Tail(follower, show, context.pace)


def follow_logs(context: Context, entry: Submission, choice: Choice, *, follow: bool, show: Show) -> None:
    """Show the logs of a run, to its end if `follow`.

    Raises:
        RefusedError: the specification keeps no logs in S3, or there are none of this run (yet).
    """
    tail = open_tail(context, entry, choice, show)
    if tail is None:
        raise RefusedError("logs: the specification has none: add `logs`; the console of EMR keeps its own for 30 days")
    if follow:
        _follow(context, entry, tail)
    tail.finish(LAST_LINES if follow else 0)
    if not tail.lines:
        where = context.site.account.mask(str(context.site.logs))
        raise RefusedError(
            f"run {entry.run}: no such logs in {where}: they come some 15 seconds after the workers have started; "
            "`orchard-deploy status` shows the run's state"
        )


def _follow(context: Context, entry: Submission, tail: Tail) -> None:
    def is_over() -> bool:
        nonlocal entry
        entry, run = look(context, entry)
        tail.poll()
        return entry.service.phases[run.state].final

    what = f"the end of run {entry.run}"
    wait_for(is_over, bool, what=what, seconds=_LONGEST, pace=context.pace, say=context.say)
