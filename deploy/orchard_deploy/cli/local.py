"""The command `run-local`: the image on this machine, by the job specification, confined to what it is given."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from orchard_deploy.cli.connect import Commands, Flags, Parents, add_command
from orchard_deploy.errors import EngineError, SpecError
from orchard_deploy.image.tag import image_name
from orchard_deploy.job_commands import COMMANDS, shown
from orchard_deploy.local.caller import files_of, variables_of
from orchard_deploy.local.container import ContainerRun
from orchard_deploy.local.run_local import Locally, job_of, locations, parse_memory, plan_run
from orchard_deploy.local.running import check_image, make_output, names_file, run_and_report
from orchard_deploy.site import PLACEHOLDER
from orchard_deploy.spec import Spec, load_spec
from orchard_deploy.terminal import listening, say


def add_to(commands: Commands, parents: Parents) -> None:
    """Give the command line this command."""
    reads = "what the command reads, photos or the output of a run; or s3:// address"
    writes = "folder for the results, the file for export, or s3:// address"
    network = "Docker network (default: none; bridge where an address is s3://)"
    flags: Flags = {
        "--input": {"metavar": "DIR", "help": reads},
        "--output": {"metavar": "DIR", "help": writes},
        "--image": {"metavar": "NAME", "help": "image to run (default: the one of this source tree)"},
        "--slots": {"type": int, "default": 4, "metavar": "N", "help": "task slots, local[N] (default %(default)s)"},
        "--cpus": {"type": float, "metavar": "N", "help": "cores it may use (default: all that the engine has)"},
        "--memory": {"default": "6g", "metavar": "SIZE", "help": "memory it may use (default %(default)s)"},
        "--network": {"metavar": "NAME", "help": network},
        "--dry-run": "print the line with `docker run` that does the same, instead",
    }
    about = "run the image on this machine by the job specification"
    parser = add_command(commands, parents, "run-local", _run_local, about, flags)
    example = "orchard-deploy run-local --input photos --output out -- --varieties 5"
    parser.epilog = f"Arguments behind `--` go to the job: {example}"


def _run_local(arguments: argparse.Namespace) -> int:
    run = _plan(load_spec(arguments.spec), arguments)
    if arguments.dry_run:
        print(_fitted_if_known(run).shell_line())
        return 0
    from orchard_deploy.image.docker_engine import DockerEngine

    engine = DockerEngine()
    image, machine = check_image(engine, run.image), engine.machine()
    if line := machine.emulation(run.image, image.architecture):
        say(line)
    if machine.selinux:
        say("SELinux is on: the container runs without its labels (label=disable), or it could not read your folders")
    for folder in run.written:
        make_output(folder, (os.getuid(), os.getgid()))
    with listening():  # the container must not outlive this command
        return run_and_report(engine, run.on(machine), arguments.memory)


def _fitted_if_known(run: ContainerRun) -> ContainerRun:
    """The run as the engine's machine needs it; where no engine answers, as an ordinary one does."""
    try:
        from orchard_deploy.image.docker_engine import DockerEngine

        return run.on(DockerEngine().machine())
    except (EngineError, ModuleNotFoundError):
        return run


def _plan(spec: Spec, arguments: argparse.Namespace) -> ContainerRun:
    job = job_of(spec, arguments.extra, input=arguments.input, output=arguments.output)
    found, source = list(locations(spec.command, job)), COMMANDS[spec.command].input
    for option, location in found:
        if option != "output":
            _check_existing("--input" if option == source else shown(job, option), location, spec.command)
    remote = any("://" in location for _, location in found)
    user = os.getuid(), os.getgid()
    asked = Locally(
        image=arguments.image or image_name(arguments.tree, spec),
        input=arguments.input,
        output=arguments.output,
        slots=arguments.slots,
        cpus=arguments.cpus,
        memory=parse_memory(arguments.memory),
        user=user,
        network=arguments.network or ("bridge" if remote else "none"),
        variables=variables_of(os.environ) if remote else {},
        files=files_of(os.environ) if remote else {},
        names=names_file(user),
        extra=arguments.extra,
    )
    return plan_run(spec, asked)


def _check_existing(name: str, location: str, command: str) -> None:
    """Raise `SpecError` unless what is to be mounted exists: some engines would make a folder of it."""
    if PLACEHOLDER.search(location):
        raise SpecError(f"{name} {location}: a run on this machine knows no account: write the address out")
    if "://" in location and not location.startswith(("s3://", "s3a://")):
        raise SpecError(f"{name} {location}: only s3:// is read from elsewhere: name a path on this machine, or that")
    path, kind = Path(location).expanduser(), "folder" if name == "--input" else "file or folder"
    if "://" not in location and not (path.is_dir() if kind == "folder" else path.exists()):
        raise SpecError(f"{name} {location}: no such {kind}: name what {command} is to read")
