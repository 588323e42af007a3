"""`orchard` and `python -m orchard`: the command line; Ctrl-C ends its imports, too, without a traceback."""

import os
import sys


def main() -> int:
    """Run the command line of this process, see `orchard.cli.main`."""
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


if __name__ == "__main__":
    sys.exit(main())
