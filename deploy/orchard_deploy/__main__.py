"""The `orchard-deploy` command. The only place of the launchers that prints errors and chooses exit codes."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

from orchard import __version__
from orchard.errors import OrchardError

from orchard_deploy.cli import image, local, plan, runs, stack
from orchard_deploy.errors import AwsError, CredentialsError, DeployError, SpecError
from orchard_deploy.rehearsal import commands as rehearsal
from orchard_deploy.runs.symptoms import explain
from orchard_deploy.site import mask_accounts
from orchard_deploy.spec import SPEC_FILE
from orchard_deploy.terminal import LeavingError, discard, nobody_reads

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
            print(end="", flush=True)  # here, since at the interpreter's end no error could be reported
    except OSError as error:
        if nobody_reads(error, sys.stdout, sys.stderr):  # as in `… | head`: nor would they read an error
            discard(sys.stdout, sys.stderr)
            return 1
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = error.filename or "the output"
        print(f"orchard-deploy: error: {where}: {error.strerror}: make room, then call again", file=sys.stderr)
        discard(sys.stdout)
        return 1


def _run(argv: list[str]) -> int:
    """What stands before `--` is for this command, what stands behind it is for the job."""
    end = argv.index("--") if "--" in argv else len(argv)
    parsed = _parser().parse_args(argv[:end])
    parsed.extra, parsed.mask = tuple(argv[end + 1 :]), str
    try:
        return int(parsed.command(parsed))
    except (DeployError, OrchardError) as error:
        return _report(error, parsed)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        return _report(SpecError(f"{error.name}: not installed: pip install 'orchard[deploy]'"), parsed)
    except (KeyboardInterrupt, LeavingError):
        print("orchard-deploy: interrupted", file=sys.stderr)
        return 130


def _report(error: DeployError | OrchardError, parsed: argparse.Namespace) -> int:
    """One line without any account's number: what is printed may end up in a log that others read."""
    advice = explain(str(error)) if isinstance(error, AwsError) and not isinstance(error, CredentialsError) else None
    line = f"{error}: {advice}" if advice else str(error)
    print(f"orchard-deploy: error: {mask_accounts(parsed.mask(line))}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orchard-deploy", description="Orchard's image, and where it runs.")
    parser.add_argument("--version", action="version", version=f"orchard-deploy {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--spec", type=Path, default=Path(SPEC_FILE), metavar="FILE", help="job specification (default %(default)s)"
    )
    common.add_argument(
        "--tree", type=Path, default=Path(), metavar="DIR", help="source tree with the Dockerfile (default: .)"
    )
    for module in (image, local, plan, stack, runs, rehearsal):
        module.add_to(commands, [common])
    return parser


if __name__ == "__main__":
    sys.exit(main())
