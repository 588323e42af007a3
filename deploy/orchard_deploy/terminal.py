"""A person at the command line: lines on standard error, and the signals that tell a command to leave."""

import errno
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

Act = Callable[[int, FrameType | None], object] | signal.Handlers
# What a CI job that is cancelled gets, and what a terminal that is closed sends.
_SENT = (signal.SIGTERM, signal.SIGHUP)


def say(line: str) -> None:
    """Print a line for a person; standard output holds results only."""
    write_line(f"orchard-deploy: {line}", sys.stderr)


def write_line(line: str, stream: TextIO) -> None:
    """Write a line; where nobody reads any more, discard it: what is under way must not stop for that."""
    try:
        print(line, file=stream, flush=True)
    except OSError as error:
        if not nobody_reads(error, stream):
            raise
        discard(stream)


def nobody_reads(error: OSError, *streams: TextIO) -> bool:
    """Whether this comes from writing into a closed pipe, or to a terminal that was closed."""
    return error.errno == errno.EPIPE or (error.errno == errno.EIO and any(_is_hung_up(stream) for stream in streams))


def discard(*streams: TextIO) -> None:
    """Discard what is left in these streams, and what is still written there."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_hung_up(stream: TextIO) -> bool:
    return stat.S_ISCHR(os.fstat(stream.fileno()).st_mode) and not stream.isatty()


class LeavingError(BaseException):
    """This process is to end now."""


def _leave(number: int, frame: FrameType | None) -> None:
    for each in _SENT:
        signal.signal(each, signal.SIG_IGN)
    raise LeavingError


@contextmanager
def listening(act: Act = _leave, *more: signal.Signals) -> Iterator[None]:
    """Meanwhile act at such a signal, and at `more`: raise `LeavingError`, once: shell and terminal may send it."""
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in (*_SENT, *more)}
    try:
        for number, present in before.items():
            if present is not signal.SIG_IGN:  # as `nohup` leaves it
                signal.signal(number, act)
        yield
    finally:
        for number, present in before.items():
            signal.signal(number, present)
