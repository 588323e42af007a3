"""The command `run-local`: the image on this machine, by the job specification, confined to its two folders."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from deploy.by_hand import shell_lines
from deploy.callers_aws import aws_files, aws_variables
from deploy.container import ContainerRun
from deploy.errors import ImageError, RunError, SpecError
from deploy.output_folder import Ids, check_content, output_folder, run_as
from deploy.run_local import Locally, parse_memory, plan_run
from deploy.spec import load_spec
from deploy.tag import image_name
from deploy.terminal import say

if TYPE_CHECKING:
    from deploy.docker_engine import DockerEngine, RunningContainer

TITLE = "org.opencontainers.image.title"
# Exit code of a process that the kernel killed, as shells and Docker report it.
_KILLED = 137
# Seconds that a job has to put its things away when it is asked to end.
_GRACE = 10


def add_to(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Give the command line this command."""
    parser = commands.add_parser(
        "run-local",
        parents=parents,
        help="run the image on this machine by the job specification",
        epilog="Arguments behind `--` go to the job: "
        "orchard-deploy run-local --input photos --output out -- --varieties 5",
    )
    parser.add_argument("--input", required=True, metavar="DIR", help="folder of photos, or s3:// address")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the results, or s3:// address")
    parser.add_argument("--image", metavar="NAME", help="image to run (default: the one of this source tree)")
    parser.add_argument("--slots", type=int, default=4, metavar="N", help="task slots, local[N] (default %(default)s)")
    parser.add_argument("--cpus", type=float, metavar="N", help="cores it may use (default: all that the engine has)")
    parser.add_argument("--memory", default="6g", metavar="SIZE", help="memory it may use (default %(default)s)")
    parser.add_argument(
        "--network", metavar="NAME", help="Docker network (default: none; bridge where an address is s3://)"
    )
    parser.add_argument(
        "--aws-profile",
        metavar="NAME",
        help="profile of ~/.aws for s3:// addresses (default: AWS's standard variables)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the `docker run` line, and what it needs, instead"
    )
    parser.set_defaults(command=_run_local)


def _run_local(arguments: argparse.Namespace) -> int:
    run, caller, user = _plan(arguments), _caller(), run_as(_caller())
    if arguments.dry_run:
        if user != caller:
            check_content(arguments.output)
        print(*shell_lines(run, caller), sep="\n")
        return 0
    from deploy.docker_engine import DockerEngine

    engine = DockerEngine()
    check_image(engine, run.image)
    with output_folder(arguments.output, caller=caller, user=user):
        return run_and_report(engine, run, arguments.memory)


def _plan(arguments: argparse.Namespace) -> ContainerRun:
    spec = load_spec(arguments.spec)
    remote = any("://" in place for place in (arguments.input, arguments.output))
    asked = Locally(
        image=arguments.image or image_name(arguments.tree, spec),
        input=_existing(arguments.input),
        output=arguments.output,
        slots=arguments.slots,
        cpus=arguments.cpus,
        memory=parse_memory(arguments.memory),
        user=run_as(_caller()),
        network=arguments.network or ("bridge" if remote else "none"),
        aws_profile=arguments.aws_profile,
        aws_files=aws_files(os.environ, Path.home()) if remote else {},
        aws_variables=aws_variables(os.environ, arguments.aws_profile) if remote else {},
        extra=arguments.extra,
    )
    return plan_run(spec, asked)


def _caller() -> Ids:
    return os.getuid(), os.getgid()


def _existing(place: str) -> str:
    if "://" not in place and not Path(place).expanduser().is_dir():
        raise SpecError(f"--input {place}: no such folder: name a folder of photos, one sub-folder a variety")
    return place


def check_image(engine: DockerEngine, name: str) -> None:
    """Raise `ImageError` unless the engine has this image and it is Orchard's."""
    image = engine.find_image(name)
    if image is None:
        raise ImageError(
            f"{name}: no such image here: make it with `orchard-deploy build`, or name another with --image"
        )
    if image.labels.get(TITLE) != "orchard":
        raise ImageError(
            f"{name}: not an image of Orchard (its label {TITLE} is {image.labels.get(TITLE)!r}): name another with "
            "--image"
        )


def run_and_report(engine: DockerEngine, run: ContainerRun, memory: str) -> int:
    """Run a container with its output on this process's own; returns the job's exit code.

    Raises:
        RunError: the kernel ended it for want of memory.
    """
    with TemporaryDirectory(prefix="orchard-") as folder, engine.running(_with_files(run, Path(folder))) as container:
        try:
            _copy_output(container)
            end = container.wait()
        except KeyboardInterrupt:
            say("stopping the container")
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave it running
            container.stop(_GRACE)
            raise
    if end.out_of_memory and end.code:  # a Python worker that was killed has been replaced where the job ended well
        raise RunError(
            f"{run.image}: out of memory: it needs more than --memory {memory}: give it more, or fewer --slots",
            end.code or _KILLED,
        )
    return end.code


def _with_files(run: ContainerRun, folder: Path) -> ContainerRun:
    folder.chmod(0o755)
    run.write_files(folder)
    return run.with_files_in(folder)


def _copy_output(container: RunningContainer) -> None:
    for out, err in container.output():
        sys.stdout.buffer.write(out)
        sys.stdout.flush()
        sys.stderr.buffer.write(err)
        sys.stderr.flush()
