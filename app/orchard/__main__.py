"""`python -m orchard`: the command line."""

import sys

from orchard.cli import main

if __name__ == "__main__":
    sys.exit(main())
