"""The command `rehearse`: AWS on this machine, for trying everything out before an account is touched."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.context import target_spec
from deploy.errors import SpecError
from deploy.run_local import parse_memory
from deploy.site import Account, Site
from deploy.spec import Spec
from deploy.tag import image_name
from deploy.terminal import say

if TYPE_CHECKING:
    from deploy.rehearsal.orders import Runner
    from deploy.rehearsal.registry import StandIn
    from deploy.rehearsal.stage import ImagesFactory, Rehearsal, RunnerFactory

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

# A profile of the user's is none of the rehearsal's.
_PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def add_to(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    """Give the command line this command."""
    about = "EMR Serverless, EMR on EKS, ECR, S3 and IAM on this machine, with runs that really run"
    parser = commands.add_parser(
        "rehearse",
        parents=parents,
        help=about,
        description=about,
        epilog="A command behind `--` is run in it: "
        "orchard-deploy rehearse --photos DIR -- orchard-deploy submit --up --wait",
    )
    parser.add_argument(
        "--without-docker", action="store_true", help="run the job of this installation instead of the image"
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=20.0,
        metavar="N",
        help="times as fast as AWS makes one wait (default %(default)g)",
    )
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="put these photos into the input, in a bucket made for it"
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port to listen on (default: a free one)")
    parser.add_argument(
        "--memory", default="6g", metavar="SIZE", help="memory that a run's container may use (default %(default)s)"
    )
    parser.add_argument(
        "--fault", action="append", default=[], metavar="SERVICE:CALL:KIND[:TIMES]", help="let calls go wrong"
    )
    parser.set_defaults(command=_rehearse, target="serverless", region=None)


def _rehearse(arguments: argparse.Namespace) -> int:
    from deploy.rehearsal.registry import ACCOUNT
    from deploy.rehearsal.stage import rehearsal
    from deploy.rehearsal.timings import Timings

    spec = target_spec(arguments)
    region = spec.region or os.environ.get("AWS_REGION") or "us-east-1"
    clusters = frozenset([spec.eks.virtual_cluster] if spec.eks else [])
    with rehearsal(
        region=region,
        runner=_runner(arguments),
        # A run takes the time it takes, so its time-out is not made shorter.
        timings=replace(Timings().faster(arguments.speed), minute=60.0),
        images=_images(arguments, spec),
        clusters=clusters,
        port=arguments.port,
    ) as stage:
        _plan_faults(stage, arguments.fault)
        if arguments.photos:
            _put_photos(stage, Site(spec, Account(id=ACCOUNT, region=region)), arguments.photos.expanduser())
        return _run_command(stage, arguments.extra) if arguments.extra else _serve(stage)


def _runner(arguments: argparse.Namespace) -> RunnerFactory:
    from deploy.rehearsal.runners import ContainerRunner, ProcessRunner, this_tree

    if arguments.without_docker:
        # By default spark-submit takes whichever python3 comes first, and Python whichever installation of Orchard.
        path = os.pathsep.join(
            [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "PYTHONPATH": path}
        return lambda environ, images: ProcessRunner(this_tree, {**os.environ, **python, **environ})
    from deploy.docker_engine import DockerEngine

    engine, memory = DockerEngine(), parse_memory(arguments.memory)

    def make(environ: Mapping[str, str], images: StandIn) -> Runner:
        return ContainerRunner(engine, images.host, environ, memory=memory, cpus=float(os.cpu_count() or 1))

    return make


def _plan_faults(stage: Rehearsal, faults: list[str]) -> None:
    from deploy.rehearsal.faults import parse_fault

    for text in faults:
        try:
            stage.faults.plan(*parse_fault(text))
        except ValueError as exc:
            raise SpecError(f"--fault {text}: {exc}: for instance emr-serverless:StartJobRun:throttle:2") from exc


def _images(arguments: argparse.Namespace, spec: Spec) -> ImagesFactory:
    """Where nothing can be pushed, the repository has the image's tag as soon as there is a repository."""
    from deploy.rehearsal.registry import registry, stand_in

    if arguments.without_docker:
        return partial(stand_in, tags=frozenset([image_name(arguments.tree, spec).rpartition(":")[2]]))
    return registry


def _put_photos(stage: Rehearsal, site: Site, folder: Path) -> None:
    if not folder.is_dir():
        raise SpecError(f"--photos {folder}: no such folder: name a folder of photos, one sub-folder a variety")
    stage.world.make_bucket(site.input.bucket)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        stage.world.write(f"{site.input}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def _run_command(stage: Rehearsal, command: tuple[str, ...]) -> int:
    try:
        own = {name: value for name, value in os.environ.items() if name not in _PROFILE}
        return subprocess.run(command, env={**own, **stage.environ}, check=False).returncode
    except OSError as exc:
        raise SpecError(f"{command[0]}: {exc.strerror}: name a command behind `--`") from exc


def _serve(stage: Rehearsal) -> int:
    print(f"unset {' '.join(_PROFILE)}")
    for name, value in stage.environ.items():
        print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()
    say(f"rehearsing on {stage.url}: set the variables above in another shell; Ctrl-C ends it")
    while True:
        time.sleep(3600)
