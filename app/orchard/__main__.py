"""`orchard` and `python -m orchard`: the command line; Ctrl-C ends its imports, too, without a traceback."""

import os
import sys


def main() -> int:
    """Run the command line of this process, see `orchard.cli.main`."""
    _open_closed_outputs()
    try:
        try:
            from orchard import cli
        except ModuleNotFoundError as exc:
            if (exc.name or "orchard").partition(".")[0] == "orchard":  # a fault of our own
                raise
            print(f"orchard: error: {exc.name}: not installed: pip install 'orchard[local]'", file=sys.stderr)
            return 1
        return cli.main()
    except KeyboardInterrupt:  # before a command was known, which says what is left
        os._exit(130)


def _open_closed_outputs() -> None:
    """What a shell has closed, as `>&-` does, goes nowhere; the next file to be opened would take its place."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


if __name__ == "__main__":
    sys.exit(main())
