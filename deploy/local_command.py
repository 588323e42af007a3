"""The command `run-local`: the image on this machine, by the job specification, confined to what it is given."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from deploy.by_hand import shell_lines
from deploy.callers_aws import aws_files, aws_variables
from deploy.container import ContainerRun
from deploy.errors import ImageError, RunError, SpecError
from deploy.job_commands import COMMANDS
from deploy.output_folder import Ids, check_content, output_folder, run_as
from deploy.run_local import Locally, job_of, local_places, parse_memory, plan_run, writes_file, written_folder
from deploy.site import PLACEHOLDER
from deploy.spec import Spec, load_spec
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
    parser.add_argument(
        "--input", metavar="DIR", help="what the command reads, photos or the output of a run; or s3:// address"
    )
    parser.add_argument("--output", metavar="DIR", help="folder for the results, the file for export, or s3:// address")
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
    spec, caller, user = load_spec(arguments.spec), _caller(), run_as(_caller())
    run, written = _plan(spec, arguments), written_folder(spec, arguments.output)
    if arguments.dry_run:
        if user != caller and written:
            check_content(written, exported=writes_file(spec))
        print(*shell_lines(run, caller), sep="\n")
        return 0
    from deploy.docker_engine import DockerEngine

    engine = DockerEngine()
    check_image(engine, run.image)
    exported = writes_file(spec)
    with output_folder(written, caller=caller, user=user, exported=exported) if written else nullcontext():
        return run_and_report(engine, run, arguments.memory)


def _plan(spec: Spec, arguments: argparse.Namespace) -> ContainerRun:
    job = job_of(spec, arguments.extra, input=arguments.input, output=arguments.output)
    read = list(local_places(spec, job))
    for name, place in read:
        _check_existing(name, place, spec.command)
    remote = any("://" in place for place in (*(place for _, place in read), arguments.output or ""))
    asked = Locally(
        image=arguments.image or image_name(arguments.tree, spec),
        input=arguments.input,
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


def _check_existing(name: str, place: str, command: str) -> None:
    """Raise `SpecError` unless a place is there that is to be mounted: an engine would make a folder of it."""
    if PLACEHOLDER.search(place):
        raise SpecError(f"{name} {place}: a run on this machine knows no account: write the address out")
    path = Path(place).expanduser()
    if "://" in place or (path.is_dir() if name == "--input" else path.exists()):
        return
    if name != "--input":
        raise SpecError(f"{name} {place}: no such file or folder: name what {command} is to read")
    photos = COMMANDS[command].photos
    cure = "name a folder of photos, one sub-folder a variety" if photos else "name the output of a run"
    raise SpecError(f"{name} {place}: no such folder: {cure}")


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
