"""What a person sees of the launchers: lines on standard error, so that standard output holds results only."""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO


def say(line: str) -> None:
    """Print a line for a person."""
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
