"""What a person sees of the launchers: lines on standard error, so that standard output holds results only."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """One line for a person."""
    print(f"orchard-deploy: {line}", file=sys.stderr, flush=True)
