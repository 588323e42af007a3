"""The `orchard-deploy` command. The only place of the launchers that prints errors and chooses exit codes."""

import errno
import sys
from collections.abc import Mapping, Sequence

from orchard import __version__
from orchard.errors import OrchardError

try:
    from orchard_deploy.cli import image, runs, stack
    from orchard_deploy.cli.parser import Handler, make_parser
    from orchard_deploy.errors import AwsError, CredentialsError, DeployError
    from orchard_deploy.rehearsal import commands as rehearsal
    from orchard_deploy.runs.symptoms import explain
    from orchard_deploy.site import mask_accounts
    from orchard_deploy.terminal import LeavingError, discard, nobody_reads, say
except ModuleNotFoundError as error:  # without the extra `deploy` the command is there all the same
    if str(error.name).startswith("orchard"):
        raise
    print(f"orchard-deploy: error: {error.name}: not installed: pip install 'orchard[deploy]'", file=sys.stderr)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)

_COMMANDS: Mapping[str, Handler] = {
    "tag": image.do_tag,
    "build": image.do_build,
    "run-local": image.do_run_local,
    "push": image.do_push,
    "plan": stack.do_plan,
    "up": stack.do_up,
    "down": stack.do_down,
    "submit": runs.do_submit,
    "status": runs.do_status,
    "logs": runs.do_logs,
    "cost": runs.do_cost,
    "cancel": runs.do_cancel,
    "rehearse": rehearsal.do_rehearse,
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of a command: 0 done, 1 a known error, 2 usage, 130 interrupted; of `run-local`, the job's own."""
    try:
        try:
            return _run(sys.argv[1:] if argv is None else list(argv))
        finally:
            print(end="", flush=True)  # here, since at the interpreter's end no error could be reported
    except OSError as error:
        if not nobody_reads(error, sys.stdout, sys.stderr):  # as in `… | head`: nor would they read an error
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            say(f"error: {error.filename or 'the output'}: {error.strerror}: make room, then call again")
        discard(sys.stdout, sys.stderr)
        return 1


def _run(argv: list[str]) -> int:
    """What stands before `--` is for this command, what stands behind it is for the job."""
    end = argv.index("--") if "--" in argv else len(argv)
    about = "Orchard's image, and where it runs."
    parsed = make_parser(_COMMANDS, about, f"orchard-deploy {__version__}").parse_args(argv[:end])
    parsed.extra, parsed.mask = tuple(argv[end + 1 :]), str
    try:
        return int(parsed.command(parsed) or 0)
    except (DeployError, OrchardError) as error:
        told = isinstance(error, AwsError) and not isinstance(error, CredentialsError)
        advice = explain(str(error)) if told else None
        line = f"{error}: {advice}" if advice else str(error)
        # Without any account's number: what is printed may end up in a log that others read.
        say(f"error: {mask_accounts(parsed.mask(line))}")
        return error.exit_code
    except (KeyboardInterrupt, LeavingError):
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
