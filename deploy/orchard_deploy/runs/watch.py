"""A run up to its end: its states, its driver's lines, what they mean, and ending it."""

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from orchard_deploy import emr, s3
from orchard_deploy.context import Context
from orchard_deploy.emr import Run
from orchard_deploy.errors import AwsError, RefusedError, RunError, UnavailableError, WaitError
from orchard_deploy.runs.logs import Choice, Show, Source, Tail
from orchard_deploy.runs.symptoms import explain
from orchard_deploy.site import S3Place
from orchard_deploy.spec import Spec
from orchard_deploy.targets import Target
from orchard_deploy.terminal import write_line

# Seconds that a cancelled run gets to be over, and that a run is followed at most: the longest time-out of one.
_CANCELLING, _LONGEST = 300.0, 7 * 86400.0
# Minutes that a run may wait in the application's queue, as the stack's template says; and that it may spend on getting
# workers and on its end, beyond its queue and its own time-out.
QUEUE_MINUTES, _SLACK = 360, 30
# Seconds after the end of a run in which its last lines come: the service sends them every 15 seconds.
LAST_LINES = 20.0


def allowance(spec: Spec) -> float:
    """Seconds that a run may be at work: its time-out, at every attempt. The worst case is paid for these."""
    return spec.timeout_minutes * 60.0 * spec.max_attempts


def longest_wait(spec: Spec, target: Target) -> float:
    """Seconds to stay with a run: beyond what its service or its allowance ends by itself."""
    return allowance(spec) + ((QUEUE_MINUTES if target.has_application else 0) + _SLACK) * 60


def print_line(source: Source, line: str) -> None:
    """A line of the job where the job itself wrote it: standard output or standard error."""
    write_line(line, sys.stdout if source.stream == "stdout" else sys.stderr)


@dataclass
class Watch:
    """One run being watched; `shown_by` makes one that shows its lines, and says once what known symptoms mean.

    What the job reports comes on standard output. Standard error is Spark's own log: if not `verbose`, its last lines
    are shown when the run fails.
    """

    context: Context
    run: Run
    show: Show = print_line
    verbose: bool = False
    tail: Tail | None = None
    _unshown: deque[tuple[Source, str]] = field(default_factory=lambda: deque(maxlen=20))
    _said: set[str | None] = field(default_factory=lambda: {None})
    _state: str = ""
    _at_work_since: float | None = None

    def until_over(self, seconds: float) -> Run:
        """Wait for the end, reporting each change of state and each line once; `WaitError` if it is not over in time.

        Where the service ends no run at its time-out, the time since it was first seen to work is limited, too.
        """
        run = self.wait(lambda run: run.over or self._is_overdue(), seconds)
        if run.over:
            return self._finish(run)
        spec = self.context.site.spec
        attempts = f" x {spec.max_attempts} attempts" if spec.max_attempts > 1 else ""
        raise WaitError(
            f"run {run.id}: at work for all of its timeoutMinutes ({spec.timeout_minutes}{attempts}), and not over"
        )

    def cancel(self) -> Run:
        """End the run and wait until it is over, since until then it costs; one that is over is left as it is."""
        try:
            emr.cancel_run(self.context.aws, self.run)
        except AwsError as error:
            if not self._ask().over:
                raise error
        return self._finish(self.wait(lambda run: run.over, _CANCELLING))

    def wait(self, done: Callable[[Run], bool], seconds: float) -> Run:
        """Wait until the run is `done`, reporting the same; `WaitError` if it is not in time."""
        return self.context.wait(self._look, done, what=f"the end of run {self.run.id}", seconds=seconds)

    def _ask(self) -> Run:
        """The run as it is now; a wrong image is said at once."""
        before, self.run = self.run, emr.get_run(self.context.aws, self.run)
        if self.run.wrong_image and not before.wrong_image:
            self.context.say(self.run.wrong_image)
        return self.run

    def _look(self) -> Run:
        run = self._ask()
        if self._at_work_since is None and run.phase != "WAITING":
            # One that was never seen to wait may have been at work for all of its life.
            self._at_work_since = self.context.now() if self._state else run.created or self.context.now()
        if run.state != self._state:
            self._state = run.state
            self.context.say(f"run {run.id}: {run.state}" + (f" ({run.details})" if run.details else ""))
        self._read(lambda tail: tail.poll())
        return run

    def take(self, source: Source, line: str) -> None:
        """Show a line, now or when the run fails, and say what it means."""
        if self.verbose or source.stream == "stdout":
            self.show(source, line)
        else:
            self._unshown.append((source, line))
        if (advice := explain(line, self.run.target)) not in self._said:
            self._said.add(advice)
            self.context.say(f"in {source}: {advice}")

    def _is_overdue(self) -> bool:
        if self.run.target.has_application or self._at_work_since is None:
            return False
        return self.context.now() - self._at_work_since >= allowance(self.context.site.spec)

    def _finish(self, run: Run) -> Run:
        """Show the last lines of a run that is over."""
        failed = run.phase == "FAILED"
        self._read(lambda tail: tail.finish(LAST_LINES if failed else LAST_LINES / 4))
        for source, line in self._unshown if failed else ():
            self.show(source, line)
        return run

    def _read(self, act: Callable[[Tail], object]) -> None:
        """Lines that cannot be read end nothing."""
        try:
            if self.tail:
                act(self.tail)
        except UnavailableError:
            raise
        except AwsError as error:
            self.tail = None
            self.context.say(f"{error}; the run goes on, its lines are not shown")


def judge(run: Run) -> Run:
    """A run that ended well; `RunError` if it failed or was cancelled, or ran another image than was submitted."""
    if run.wrong_image:
        raise RunError(run.wrong_image)
    if run.phase == "SUCCEEDED":
        return run
    advice = explain(run.details, run.target)
    raise RunError(
        f"run {run.id}: {run.state}: {run.details or 'no details'}{f'; {advice}' if advice else ''}: "
        f"`orchard-deploy logs --run {run.id}{run.target.flag}` shows why"
    )


def shown_by(context: Context, run: Run, *, show: Show = print_line, verbose: bool = False) -> Watch:
    """A watch that shows the run's lines, where the specification has its logs in S3."""
    watch = Watch(context, run, show, verbose)
    watch.tail = _open_tail(context, run, Choice(every_attempt=True), watch.take)
    return watch


def show_logs(context: Context, run: Run, choice: Choice, *, follow: bool, show: Show = print_line) -> None:
    """Show the logs of a run, to its end if `follow`; `RefusedError` if there are none in S3 (yet)."""
    tail = _open_tail(context, run, choice, show)
    if tail is None:
        raise RefusedError("logs: the specification has none: add `logs`; the console of EMR keeps its own for 30 days")
    if follow:
        Watch(context, run, tail=tail).wait(lambda run: run.over, _LONGEST)
    tail.finish(LAST_LINES if follow else 0)
    if not tail.lines:
        where = context.site.account.mask(str(context.site.logs))
        raise RefusedError(
            f"run {run.id}: no such logs in {where}: they come some 15 seconds after the workers have started; "
            f"`orchard-deploy status{run.target.flag}` shows the run's state"
        )


def _open_tail(context: Context, run: Run, choice: Choice, show: Show) -> Tail | None:
    """The lines of a run, without the account's number, if the specification has its logs in S3."""
    logs = context.site.logs
    if logs is None:
        return None
    prefix = f"{logs.prefix}/{run.target.logs.format(place=run.place, run=run.id)}".lstrip("/")
    return Tail(
        run.target,
        prefix,
        lambda: s3.keys(context.aws, S3Place(logs.bucket, prefix)),
        lambda key: s3.read(context.aws, logs.bucket, key),
        choice,
        lambda source, line: show(source, context.site.account.mask(line)),
        context.pace,
    )
