"""A person at the command line: lines on standard error, and the signals that tell a command to leave."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import TextIO

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
    try:
        os.get_terminal_size(stream.fileno())
    except OSError as error:
        return error.errno == errno.EIO
    return False


class LeavingError(BaseException):
    """This process is to end now."""


def listening() -> AbstractContextManager[None]:
    """Meanwhile raise `LeavingError` at such a signal, once: shell and terminal may both send it."""
    return _handling(_leave)


def undisturbed() -> AbstractContextManager[None]:
    """Meanwhile no such signal is heard: the run is being ended already. Ctrl-C still is."""
    return _handling(signal.SIG_IGN)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    """What `nohup` switched off stays off."""
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SENT}
    try:
        for number, present in before.items():
            if present is not signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, present in before.items():
            signal.signal(number, present)


def _leave(number: int, frame: FrameType | None) -> None:
    for each in _SENT:
        signal.signal(each, signal.SIG_IGN)
    raise LeavingError
