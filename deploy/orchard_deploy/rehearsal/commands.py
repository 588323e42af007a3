"""The command `rehearse`: AWS on this machine, for trying everything out before an account is touched."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from orchard_deploy.cli.connect import number, target_spec
from orchard_deploy.errors import SpecError
from orchard_deploy.image.tag import image_name
from orchard_deploy.job_commands import COMMANDS
from orchard_deploy.local.run_local import parse_memory
from orchard_deploy.runs.record import FOLDER_VARIABLE
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import Spec
from orchard_deploy.targets import EKS, spec_for
from orchard_deploy.terminal import LeavingError, listening, say

if TYPE_CHECKING:
    from orchard_deploy.rehearsal.settings import Settings

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

# A profile of the user's is none of the rehearsal's.
_PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def add_to(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    """Give the command line this command."""
    about = "simulate EMR Serverless, EMR on EKS, CloudFormation, ECR, S3 and IAM locally and execute the job"
    parser = commands.add_parser(
        "rehearse",
        parents=parents,
        help=about,
        description=about,
        epilog="A command behind `--` is run in it: "
        "orchard-deploy rehearse --photos DIR -- sh -c 'orchard-deploy up && orchard-deploy submit --wait'",
    )
    add = parser.add_argument
    add("--without-docker", action="store_true", help="run the job of this installation instead of the image")
    add(
        "--speed",
        type=number("factor above 0", 1e-3),
        default=20.0,
        metavar="N",
        help="times as fast as AWS (default %(default)g)",
    )
    add("--photos", type=Path, metavar="DIR", help="upload these photos to the input, in a bucket made for it")
    add("--port", type=int, default=0, metavar="N", help="port to listen on (default: a free one)")
    add("--memory", default="6g", metavar="SIZE", help="memory of a run's container (default %(default)s)")
    parser.set_defaults(command=_rehearse, target="serverless", region=None)


def _rehearse(arguments: argparse.Namespace) -> int:
    spec, photos = target_spec(arguments), arguments.photos.expanduser() if arguments.photos else None
    if photos and not photos.is_dir():
        raise SpecError(f"--photos {photos}: no such folder: name a folder of photos, one sub-folder a variety")
    if photos and COMMANDS[spec.command].input is None:
        raise SpecError(f"--photos {photos}: {spec.command} reads no input: leave it out")
    region = spec.region or os.environ.get("AWS_REGION") or "us-east-1"
    try:
        from orchard_deploy.rehearsal.stage import ACCOUNT, environment, registered, served
    except ModuleNotFoundError as exc:
        raise SpecError(f"{exc.name}: not installed: pip install 'orchard[rehearse]'") from exc
    with listening(), ExitStack() as stack:
        environ = environment(region, stack.enter_context(served(arguments.port)))
        settings = _settings(arguments, spec, environ, stack)
        stack.enter_context(registered(settings))
        environ[FOLDER_VARIABLE] = stack.enter_context(TemporaryDirectory(prefix="orchard-rehearsal-"))
        if photos:
            settings.changed = partial(_upload, Site(spec, Account(id=ACCOUNT, region=region)), photos)
            settings.changed()
        return _run_command(arguments.extra, environ) if arguments.extra else _serve(environ)


def _settings(arguments: argparse.Namespace, spec: Spec, environ: Mapping[str, str], stack: ExitStack) -> Settings:
    from orchard_deploy.rehearsal import runners
    from orchard_deploy.rehearsal.images import Images, registry
    from orchard_deploy.rehearsal.settings import Settings, Timings

    if arguments.without_docker:
        specs = (spec, spec_for(spec, EKS)) if spec.eks else (spec,)
        images = Images(frozenset(image_name(arguments.tree, each).rpartition(":")[2] for each in specs))
    else:
        runners.check_engine()
        images = stack.enter_context(registry())
    memory = parse_memory(arguments.memory)
    return Settings(
        run=lambda order: (
            runners.tree_process(order, environ)
            if arguments.without_docker
            else runners.RunningImage(runners.image_run(order, images.host, memory, environ))
        ),
        # A run takes the time it takes, so its timeout is not made shorter.
        timings=replace(Timings().faster(arguments.speed), minute=60.0),
        clusters=frozenset([spec.eks.virtual_cluster] if spec.eks else []),
        images=images,
    )


def _upload(site: Site, folder: Path) -> None:
    """Put the photos into the input: as soon as the stack has made its bucket; into one of somebody's own at once."""
    from moto.s3.models import s3_backends

    location, backend = site.input, s3_backends[site.account.id]["aws"]
    if location.bucket not in backend.buckets and location.bucket != site.bucket:
        backend.create_bucket(location.bucket, site.account.region)
    if location.bucket in backend.buckets and not backend.buckets[location.bucket].keys:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = f"{location.prefix}/{path.relative_to(folder).as_posix()}"
            backend.put_object(location.bucket, key, path.read_bytes())


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
    print(f"unset {' '.join(_PROFILE)}")
    for name, value in environ.items():
        print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()
    say(f"rehearsing on {environ['AWS_ENDPOINT_URL']}: set the variables above in another shell; Ctrl-C ends it")
    while True:
        time.sleep(3600)
