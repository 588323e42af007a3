"""Stay with a run until it is over: its states, its driver's lines, what they mean; and end it if nobody stays."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from deploy.aws import runs
from deploy.context import Context
from deploy.errors import AwsError, DeployError, RunError, UnavailableError, WaitError
from deploy.following import LAST_LINES, follower, print_line
from deploy.hints import hint, hints
from deploy.leaving import LeavingError, undisturbed
from deploy.logs import Choice, Follower, Source
from deploy.observed import Run
from deploy.patience import allowance
from deploy.record import Submission
from deploy.targets import TARGETS, Phase
from deploy.verify import look, wrong_image
from deploy.waiting import wait_for

# Seconds that a cancelled run gets to be over; and that the last lines of a log get to arrive, which the service sends
# every 15 seconds.
CANCELLING = 300.0
# Lines of Spark's log that are shown of a run that failed.
_TAIL = 20


@dataclass
class Watch:
    """One run being watched.

    Attributes:
        show: takes the driver's lines.
        verbose: show its standard error too, which is Spark's own log: what the job says comes on standard output.
            Without it the last of those lines are shown when the run fails.
        patience: seconds that the last lines get to arrive.
    """

    context: Context
    submission: Submission
    show: Callable[[Source, str], None] = print_line
    verbose: bool = False
    patience: float = LAST_LINES
    _unshown: deque[tuple[Source, str]] = field(default_factory=lambda: deque(maxlen=_TAIL))
    _state: str = ""
    _waited: bool = False
    _lines: int = 0
    _told: set[str] = field(default_factory=set)
    _follower: Follower | None = None

    def __post_init__(self) -> None:
        self._follower = follower(self.context, self.submission, Choice(every_attempt=True))

    def until_over(self, seconds: float) -> Run:
        """Wait for the end, telling each change of state and each line once.

        Where the service ends no run at its time-out, the time from the moment on at which it is seen to work is
        limited, too.

        Raises:
            WaitError: it is not over in time.
        """
        if TARGETS[self.submission.target].ends_runs:
            return self._to_the_end(seconds)
        began = self.context.pace.clock()
        found = self._wait(lambda run: self._phase(run) is not Phase.WAITING, seconds)
        return (
            self._show_rest(found)
            if self._phase(found).final
            else self._within_allowance(began, seconds, self._age(found))
        )

    def _age(self, found: Run) -> float:
        """Seconds for which a run may have been at work when it is first seen to be.

        None if it was seen to wait, else its whole life.
        """
        if self._waited or found.created is None:
            return 0.0
        return max(0.0, self.context.now() - found.created)

    def _within_allowance(self, began: float, seconds: float, age: float) -> Run:
        """Wait for the end of a run that is at work, until the wait is over or what the run's time-out gives it."""
        spec, now = self.context.site.spec, self.context.pace.clock()
        deadline, end = began + seconds, now + allowance(spec) - age
        try:
            return self._to_the_end(min(end, deadline) - now)
        except WaitError as error:
            if deadline < end:
                raise WaitError(
                    f"the end of run {self.submission.run}: not after {seconds / 60:,.0f} minutes"
                ) from error
            attempts = f" x {spec.max_attempts} attempts" if spec.max_attempts > 1 else ""
            limit = f"its timeoutMinutes ({spec.timeout_minutes}{attempts})"
            raise WaitError(f"run {self.submission.run}: at work for all of {limit}, and not over") from error

    def _to_the_end(self, seconds: float) -> Run:
        return self._show_rest(self._wait(lambda run: self._phase(run).final, seconds))

    def _wait(self, done: Callable[[Run], bool], seconds: float) -> Run:
        what = f"the end of run {self.submission.run}"
        return wait_for(self._look, done, what=what, seconds=seconds, pace=self.context.pace, say=self.context.say)

    def _show_rest(self, found: Run) -> Run:
        """Show the last lines of a run that is over."""
        failed = self._phase(found) is Phase.FAILED
        self._show_last(LAST_LINES if failed else LAST_LINES / 4)
        for source, line in self._unshown if failed else ():
            self.show(source, line)
        return found

    def cancel(self) -> Run:
        """End the run and wait until it is over: while it is being cancelled it still costs."""
        cancel(self.context, self.submission)
        return self._to_the_end(CANCELLING)

    def judge(self, run: Run) -> Submission:
        """Record how the run ended, and raise unless it ended well.

        Raises:
            RunError: it failed or was cancelled, or what ran is not the image that was asked for.
        """
        ended = self.note(run)
        if wrong := wrong_image(ended):
            raise RunError(wrong)
        if self._phase(run) is not Phase.SUCCEEDED:
            advice = "".join(f"; {line}" for line in hints([run.details]))
            raise RunError(
                f"run {run.id}: {run.state}: {run.details or 'no details'}{advice}: "
                f"`orchard-deploy logs --run {run.id}` shows why"
            )
        return ended

    def note(self, run: Run) -> Submission:
        """Record how the run ended."""
        ended = replace(self.submission, state=run.state)
        self.context.record.change(lambda known: known.with_run(ended))
        return ended

    def _look(self) -> Run:
        self.submission, run = look(self.context, self.submission)
        if run.state != self._state:
            self._state = run.state
            self.context.say(f"run {run.id}: {run.state}" + (f" ({run.details})" if run.details else ""))
        self._waited = self._waited or self._phase(run) is Phase.WAITING
        self._show_new()
        return run

    def _phase(self, run: Run) -> Phase:
        return TARGETS[self.submission.target].phases[run.state]

    def _show_new(self) -> bool:
        """Show what is new; whether there was anything."""
        if self._follower is None:
            return False
        before = self._lines
        try:
            for source, line in self._follower.new_lines():
                self._tell(source, line)
        except UnavailableError:
            raise
        except AwsError as error:
            self._follower = None
            self.context.say(f"{error}; the run goes on, its lines are not shown")
        return self._lines > before

    def _show_last(self, patience: float) -> None:
        """The lines that come after the end, until some have come and no more do."""
        pace, came = self.context.pace, False
        deadline = pace.clock() + min(patience, self.patience)
        while self._follower and pace.clock() < deadline:
            fresh = self._show_new()
            if came and not fresh:
                break
            came = came or fresh
            pace.sleep(pace.first)
        for source, line in self._follower.last_lines() if self._follower else ():
            self._tell(source, line)

    def _tell(self, source: Source, line: str) -> None:
        self._lines += 1
        if self.verbose or source.stream == "stdout":
            self.show(source, line)
        else:
            self._unshown.append((source, line))
        advice = hint(line)
        if advice and advice not in self._told:
            self._told.add(advice)
            self.context.say(f"in {source}: {advice}")


def cancel(context: Context, submission: Submission) -> None:
    """Ask for a run's end; one that is over already is left as it is."""
    try:
        runs.cancel_run(context.aws, TARGETS[submission.target], submission.place, submission.run or "")
    except AwsError as error:
        _, run = look(context, submission)
        if not TARGETS[submission.target].phases[run.state].final:
            raise error


def watch(watched: Watch, *, seconds: float, detach: bool, ask: Callable[[str], bool | None]) -> Submission:
    """Stay with a run to its end.

    When this process leaves early, the run is ended, unless `detach` or someone says otherwise.

    Args:
        seconds: to stay.
        ask: puts a yes-or-no question to whoever presses Ctrl-C; None where nobody can answer. A signal to end is not
            asked about.

    Raises:
        RunError: it did not succeed. WaitError: the time is over. KeyboardInterrupt, LeavingError: someone left.
    """
    try:
        return _stay(watched, seconds, detach, ask)
    except LeavingError:  # wherever it came, at the question too; it comes once
        _leave(watched, go_on=detach)
        raise


def _stay(watched: Watch, seconds: float, detach: bool, ask: Callable[[str], bool | None]) -> Submission:
    run = watched.submission.run
    try:
        return watched.judge(watched.until_over(seconds))
    except WaitError as error:
        if detach:
            raise WaitError(
                f"{error}; it goes on: `orchard-deploy status` tells how far it is, `cancel` ends it"
            ) from error
        ended = _end(watched)
        raise WaitError(f"{error}; it was cancelled, and is {ended.state} now") from error
    except AwsError:
        # Credentials that ran out, for instance: nothing can be done about the run from here.
        watched.context.say(f"run {run} may go on: see `orchard-deploy status` when AWS answers again")
        raise
    except KeyboardInterrupt:
        _leave(watched, go_on=detach or _may_go_on(run, ask))
        raise


def _leave(watched: Watch, *, go_on: bool) -> None:
    if go_on:
        watched.context.say(
            f"run {watched.submission.run} goes on: `orchard-deploy status` tells how far it is, `cancel` ends it"
        )
    else:
        _end(watched)


def _may_go_on(run: str | None, ask: Callable[[str], bool | None]) -> bool:
    """Whether someone says that the run is to go on; to be interrupted once more is no such answer."""
    try:
        return ask(f"Cancel run {run}? It goes on, and costs, if you do not. [y/N] ") is False
    except KeyboardInterrupt:
        return False


def _end(watched: Watch) -> Submission:
    """End the run and record it; if that cannot be done, it must not be forgotten that it costs."""
    try:
        with undisturbed():
            return watched.note(watched.cancel())
    except (DeployError, KeyboardInterrupt):
        watched.context.say(
            f"run {watched.submission.run} may go on, and cost: see `orchard-deploy status` when AWS answers again"
        )
        raise


def ask_person(question: str) -> bool | None:
    """Put a question to whoever sits at the terminal; None where nobody does, or it is closed instead."""
    if not sys.stdin.isatty():
        return None
    try:
        print(f"\norchard-deploy: {question}", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
    except OSError:
        return None
    return answer.strip().lower() in ("y", "yes") if answer else None
