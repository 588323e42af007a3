"""What a person sees of the launchers: lines on standard error, so that standard output holds results only."""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO


def say(line: str) -> None:
    """One line for a person."""
    write_line(f"orchard-deploy: {line}", sys.stderr)


def write_line(line: str, stream: TextIO) -> None:
    """A line for whoever reads. Where nobody does any more, what is under way goes on all the same."""
    try:
        print(line, file=stream, flush=True)
    except OSError as error:
        if not nobody_reads(error, stream):
            raise
        lead_nowhere(stream)


def nobody_reads(error: OSError, *streams: TextIO) -> bool:
    """Whether this is what writing into a closed pipe, or to a terminal that was closed, ends in."""
    return error.errno == errno.EPIPE or (error.errno == errno.EIO and any(_is_hung_up(stream) for stream in streams))


def lead_nowhere(*streams: TextIO) -> None:
    """Lead what is left in these streams nowhere."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_hung_up(stream: TextIO) -> bool:
    try:
        os.get_terminal_size(stream.fileno())
    except OSError as error:
        return error.errno == errno.EIO
    return False
