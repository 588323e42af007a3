"""The `orchard-deploy` command. The only place of the launchers that prints errors and chooses exit codes."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from orchard import __version__
from orchard.errors import OrchardError

from deploy import aws_commands, image_commands, local_command, rehearse_command, run_commands
from deploy.errors import DeployError, SpecError
from deploy.leaving import LeavingError
from deploy.site import mask_accounts
from deploy.spec import SPEC_FILE
from deploy.terminal import lead_nowhere, nobody_reads

# Packages of the extra `deploy`, and what they bring: without it the command is there all the same.
_EXTRA = ("boto3", "docker", "jsonschema", "requests")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns its exit code: 0 done, 1 a known error, 2 usage, 130 interrupted; of `run-local`, the job's own.
    """
    try:
        try:
            return _run(sys.argv[1:] if argv is None else list(argv))
        finally:
            print(end="", flush=True)  # here, since at the interpreter's end nothing could be said of an error
    except OSError as error:
        if nobody_reads(error, sys.stdout, sys.stderr):  # as in `… | head`: nor would they read an error
            return _give_up(sys.stdout, sys.stderr)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or "the output"
        print(f"orchard-deploy: error: {place}: {error.strerror}: make room, then call again", file=sys.stderr)
        return _give_up(sys.stdout)


def _run(argv: list[str]) -> int:
    parser = _parser()
    arguments, extra = _split(argv)
    parsed = parser.parse_args(arguments)
    parsed.extra, parsed.mask = extra, str
    try:
        return _act(parsed)
    except (DeployError, OrchardError) as error:
        # What is printed may end up in a log that others read.
        print(f"orchard-deploy: error: {mask_accounts(parsed.mask(str(error)))}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, LeavingError):
        print("orchard-deploy: interrupted", file=sys.stderr)
        return 130


def _act(parsed: argparse.Namespace) -> int:
    try:
        return int(parsed.command(parsed))
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise SpecError(f"{exc.name}: not installed: pip install 'orchard[deploy]'") from exc


def _give_up(*streams: TextIO) -> int:
    lead_nowhere(*streams)
    return 1


def _split(argv: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """What stands before `--` is for this command, what stands behind it is for the job."""
    if "--" not in argv:
        return argv, ()
    place = argv.index("--")
    return argv[:place], tuple(argv[place + 1 :])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orchard-deploy", description="Orchard's image, and the places it runs in.")
    parser.add_argument("--version", action="version", version=f"orchard-deploy {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (image_commands, local_command, aws_commands, run_commands, rehearse_command):
        module.add_to(commands, [_common()])
    return parser


def _common() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--spec", type=Path, default=Path(SPEC_FILE), metavar="FILE", help="job specification (default %(default)s)"
    )
    parser.add_argument(
        "--tree",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="source tree with the Dockerfile (default: this folder)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
