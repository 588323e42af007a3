"""How a command that stays with a run is made to leave.

By a person's Ctrl-C, or by SIGTERM or SIGHUP, with nobody there to be asked.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

# What a CI job that is cancelled gets, and what a terminal that is closed sends.
_SENT = (signal.SIGTERM, signal.SIGHUP)


class LeavingError(BaseException):
    """This process is to end now."""


@contextmanager
def listening() -> Iterator[None]:
    """Meanwhile raise `LeavingError` at such a signal, once.

    Shell and terminal may both send it. What `nohup` switched off stays off.
    """
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SENT}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, _leave)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Meanwhile no such signal is heard: the run is being ended already. Ctrl-C still is."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SENT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: object) -> None:
    for each in _SENT:
        signal.signal(each, signal.SIG_IGN)
    raise LeavingError
