"""The command `rehearse`: AWS on this machine, for trying everything out before an account is touched."""

import argparse
import os
import shlex
import subprocess
import time
from collections.abc import Mapping

from orchard_deploy.cli.parser import target_spec
from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import COMMANDS
from orchard_deploy.terminal import LeavingError, listening, say

# A profile of the user's is none of the rehearsal's.
_PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def do_rehearse(arguments: argparse.Namespace) -> int:
    """Play AWS for a command, or until interrupted."""
    spec, photos = target_spec(arguments), arguments.photos.expanduser() if arguments.photos else None
    if photos and not photos.is_dir():
        raise SpecError(f"--photos {photos}: no such folder: name a folder of photos, one sub-folder a variety")
    if photos and COMMANDS[spec.command].input is None:
        raise SpecError(f"--photos {photos}: {spec.command} reads no input: leave it out")
    region = spec.region or os.environ.get("AWS_REGION") or "us-east-1"
    try:
        from orchard_deploy.rehearsal.stage import rehearsed
    except ModuleNotFoundError as exc:
        raise SpecError(f"{exc.name}: not installed: pip install 'orchard[rehearse]'") from exc
    docker = not arguments.without_docker
    with listening(), rehearsed(spec, arguments.tree, region, photos=photos, docker=docker) as environ:
        return _run_command(arguments.extra, environ) if arguments.extra else _serve(environ)


def _run_command(command: tuple[str, ...], environ: Mapping[str, str]) -> int:
    own = {name: value for name, value in os.environ.items() if name not in _PROFILE}
    try:
        with subprocess.Popen(command, env={**own, **environ}) as process:
            try:
                return process.wait()
            except LeavingError:
                process.terminate()
                raise
    except OSError as exc:
        raise SpecError(f"{command[0]}: {exc.strerror}: name a command behind `--`") from exc


def _serve(environ: Mapping[str, str]) -> int:
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environ.items()]
    print(f"unset {' '.join(_PROFILE)}", *exports, sep="\n", flush=True)
    say(f"rehearsing on {environ['AWS_ENDPOINT_URL']}: set the variables above in another shell; Ctrl-C ends it")
    while True:
        time.sleep(3600)
