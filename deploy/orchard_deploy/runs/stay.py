"""Staying with a run, and what becomes of it when nobody stays: it is ended, unless someone wants it to go on."""

import signal
import sys
from collections.abc import Callable

from orchard_deploy.emr import Run
from orchard_deploy.errors import AwsError, DeployError, WaitError
from orchard_deploy.runs.watch import Watch, judge
from orchard_deploy.terminal import LeavingError, listening

Ask = Callable[[str], bool | None]
_CONTINUES = "`orchard-deploy status{0}` shows its state, `cancel --run {1}{0}` ends it"
_UNKNOWN = "see `orchard-deploy status{}` when AWS answers again"


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


def stay(watch: Watch, *, seconds: float, detach: bool, ask: Ask = ask_person) -> Run:
    """Stay with a run to its end; if this process leaves early, end it, unless `detach` or someone says otherwise.

    Whoever presses Ctrl-C is asked; a signal to end is not asked about. `RunError` if it did not succeed, `WaitError`
    if the time is over.
    """
    try:
        return _stay(watch, seconds, detach, ask)
    except LeavingError:  # wherever it came, at the question too; it comes once
        _leave(watch, continues=detach)
        raise


def _stay(watch: Watch, seconds: float, detach: bool, ask: Ask) -> Run:
    try:
        return judge(watch.until_over(seconds))
    except WaitError as error:
        if detach:
            raise WaitError(f"{error}; it goes on: {_CONTINUES.format(watch.run.target.flag, watch.run.id)}") from error
        raise WaitError(f"{error}; it was cancelled, and is {_end(watch).state} now") from error
    except AwsError:
        # Credentials that ran out, for instance: nothing can be done about the run from here.
        watch.context.say(
            f"run {watch.run.id} may go on: see `orchard-deploy status{watch.run.target.flag}` when AWS answers again"
        )
        raise
    except OSError:  # its lines cannot be written
        watch.tail = None
        _leave(watch, continues=detach)
        raise
    except KeyboardInterrupt:
        _leave(watch, continues=detach or _may_continue(watch, ask))
        raise


def _leave(watch: Watch, *, continues: bool) -> None:
    if continues:
        watch.context.say(f"run {watch.run.id} goes on: {_CONTINUES.format(watch.run.target.flag, watch.run.id)}")
    else:
        _end(watch)


def _may_continue(watch: Watch, ask: Ask) -> bool:
    """Whether someone says that the run is to go on; to be interrupted once more is no such answer."""
    try:
        return ask(f"Cancel run {watch.run.id}? It goes on, and costs, if you do not. [y/N] ") is False
    except KeyboardInterrupt:
        return False


def _end(watch: Watch) -> Run:
    """End the run; if that cannot be done, it must not be forgotten that it costs."""
    try:
        with listening(signal.SIG_IGN):  # it is being ended already; Ctrl-C is still heard
            return watch.cancel()
    except (DeployError, KeyboardInterrupt):
        watch.context.say(f"run {watch.run.id} may go on, and cost: {_UNKNOWN.format(watch.run.target.flag)}")
        raise
