"""A run up to its end: its states, its driver's lines, what they mean, and ending it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from orchard_deploy import emr
from orchard_deploy.context import Context
from orchard_deploy.emr import Run
from orchard_deploy.errors import AwsError, RunError, UnavailableError, WaitError
from orchard_deploy.runs.known import look, wrong_image
from orchard_deploy.runs.logs import Choice, Source
from orchard_deploy.runs.record import Submission
from orchard_deploy.runs.symptoms import explain
from orchard_deploy.runs.tail import LAST_LINES, Show, Tail, open_tail, print_line
from orchard_deploy.spec import Spec
from orchard_deploy.targets import Phase, Target
from orchard_deploy.waiting import wait_for

# Seconds that a cancelled run gets to be over.
CANCELLING = 300.0
# Minutes that a run may wait in the application's queue, as the stack's template says; and that it may spend on getting
# workers and on its end, beyond its queue and its own time-out.
QUEUE_MINUTES, _SLACK = 360, 30
# Lines of Spark's log that are shown of a run that failed.
_TAIL = 20


def allowance(spec: Spec) -> float:
    """Seconds that a run may be at work: its time-out, at every attempt. The worst case is paid for these."""
    return spec.timeout_minutes * 60.0 * spec.max_attempts


def longest_wait(spec: Spec, target: Target, minutes: float | None = None) -> float:
    """Seconds to stay with a run: so many minutes, or beyond what its service or its allowance ends by itself."""
    if minutes is not None:
        return minutes * 60
    return allowance(spec) + ((QUEUE_MINUTES if target.ends_runs else 0) + _SLACK) * 60


@dataclass
class Console:
    """Shows the lines of a run, and says once what each known symptom among them means.

    Attributes:
        verbose: show standard error too, which is Spark's own log: what the job reports comes on standard output.
            Without it the last of those lines are shown when the run fails.
    """

    context: Context
    target: Target
    show: Show = print_line
    verbose: bool = False
    _unshown: deque[tuple[Source, str]] = field(default_factory=lambda: deque(maxlen=_TAIL))
    _said: set[str] = field(default_factory=set)

    def __call__(self, source: Source, line: str) -> None:
        """Take a line."""
        if self.verbose or source.stream == "stdout":
            self.show(source, line)
        else:
            self._unshown.append((source, line))
        advice = explain(line, self.target)
        if advice and advice not in self._said:
            self._said.add(advice)
            self.context.say(f"in {source}: {advice}")

    def show_unshown(self) -> None:
        """Show the last lines that were not."""
        for source, line in self._unshown:
            self.show(source, line)


@dataclass
class Watch:
    """One run being watched; `shown_by` makes one that shows its lines."""

    context: Context
    submission: Submission
    console: Console | None = None
    tail: Tail | None = None
    _state: str = ""
    _at_work_since: float | None = None

    def until_over(self, seconds: float) -> Run:
        """Wait for the end, reporting each change of state and each line once.

        Where the service ends no run at its time-out, the time since it was first seen to work is limited, too.

        Raises:
            WaitError: it is not over in time.
        """
        run = self._wait(lambda run: self.phase(run).final or self._is_overdue(), seconds)
        if self.phase(run).final:
            return self._finish(run)
        spec = self.context.site.spec
        attempts = f" x {spec.max_attempts} attempts" if spec.max_attempts > 1 else ""
        raise WaitError(
            f"run {run.id}: at work for all of its timeoutMinutes ({spec.timeout_minutes}{attempts}), and not over"
        )

    def cancel(self) -> Run:
        """End the run and wait until it is over, since until then it costs; one that is over is left as it is."""
        entry = self.submission
        try:
            emr.cancel_run(self.context.aws, entry.service, entry.place, entry.run or "")
        except AwsError as error:
            _, run = look(self.context, entry)
            if not self.phase(run).final:
                raise error
        return self._finish(self._wait(lambda run: self.phase(run).final, CANCELLING))

    def judge(self, run: Run) -> Submission:
        """Record how the run ended, and raise unless it ended well.

        Raises:
            RunError: it failed or was cancelled, or what ran is not the image that was asked for.
        """
        ended = self.note(run)
        if wrong := wrong_image(ended):
            raise RunError(wrong)
        if self.phase(run) is not Phase.SUCCEEDED:
            advice = explain(run.details, ended.service)
            raise RunError(
                f"run {run.id}: {run.state}: {run.details or 'no details'}{f'; {advice}' if advice else ''}: "
                f"`orchard-deploy logs --run {run.id}` shows why"
            )
        return ended

    def note(self, run: Run) -> Submission:
        """Record how the run ended."""
        return self.context.record.keep(replace(self.submission, state=run.state))

    def phase(self, run: Run) -> Phase:
        """How far the run is."""
        return self.submission.service.phases[run.state]

    def _wait(self, done: Callable[[Run], bool], seconds: float) -> Run:
        what = f"the end of run {self.submission.run}"
        return wait_for(self._look, done, what=what, seconds=seconds, pace=self.context.pace, say=self.context.say)

    def _look(self) -> Run:
        self.submission, run = look(self.context, self.submission)
        if self._at_work_since is None and self.phase(run) is not Phase.WAITING:
            # One that was never seen to wait may have been at work for all of its life.
            seen_to_wait = bool(self._state) or run.created is None
            age = 0.0 if seen_to_wait else max(0.0, self.context.now() - (run.created or 0.0))
            self._at_work_since = self.context.pace.clock() - age
        if run.state != self._state:
            self._state = run.state
            self.context.say(f"run {run.id}: {run.state}" + (f" ({run.details})" if run.details else ""))
        self._show(lambda tail: tail.poll())
        return run

    def _is_overdue(self) -> bool:
        if self.submission.service.ends_runs or self._at_work_since is None:
            return False
        return self.context.pace.clock() - self._at_work_since >= allowance(self.context.site.spec)

    def _finish(self, run: Run) -> Run:
        """Show the last lines of a run that is over."""
        failed = self.phase(run) is Phase.FAILED
        self._show(lambda tail: tail.finish(LAST_LINES if failed else LAST_LINES / 4))
        if failed and self.console:
            self.console.show_unshown()
        return run

    def _show(self, act: Callable[[Tail], object]) -> None:
        """Lines that cannot be read end nothing."""
        try:
            if self.tail:
                act(self.tail)
        except UnavailableError:
            raise
        except AwsError as error:
            self.tail = None
            self.context.say(f"{error}; the run goes on, its lines are not shown")


def shown_by(context: Context, submission: Submission, *, show: Show = print_line, verbose: bool = False) -> Watch:
    """A watch that shows the run's lines, where the specification has its logs in S3."""
    console = Console(context, submission.service, show, verbose)
    return Watch(context, submission, console, open_tail(context, submission, Choice(every_attempt=True), console))
