"""`orchard` and `python -m orchard`: the command line; Ctrl-C ends its imports, too, without a traceback."""

import os
import sys


def main() -> int:
    """Run the command line of this process, see `orchard.cli.main`."""
    try:
        from orchard import cli

        return cli.main()
    except KeyboardInterrupt:  # before a command was known, which says what is left
        os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
