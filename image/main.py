"""What spark-submit starts in the image: a command of `orchard` with its arguments, `run` where none is named."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orchard.cli import main


def command_line(words: Sequence[str]) -> list[str]:
    """The arguments for `orchard`: flags alone are those of `run`."""
    return [*words] if words and not words[0].startswith("-") else ["run", *words]


if __name__ == "__main__":
    sys.exit(main(command_line(sys.argv[1:])))
