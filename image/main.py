"""What spark-submit starts in the container image: `orchard run` with the arguments it was given."""

import sys

from orchard.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
