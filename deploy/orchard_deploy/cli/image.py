"""The commands about the image: tag, build, run-local, push. Each plans first; the engine or AWS is asked last."""

import argparse
import os
import shlex
from contextlib import suppress

from orchard_deploy.cli.parser import connect, report, target_spec
from orchard_deploy.errors import EngineError
from orchard_deploy.image import ecr
from orchard_deploy.image.docker_engine import DockerEngine, build, build_command
from orchard_deploy.image.tag import find_revision, image_name, image_tag, ingredients
from orchard_deploy.local.container import ContainerRun, execute
from orchard_deploy.local.run_local import job_of, make_output, parse_memory, with_job
from orchard_deploy.spec import load_spec
from orchard_deploy.terminal import listening, say


def do_tag(arguments: argparse.Namespace) -> None:
    """Print the tag of the image, or all that went into it."""
    spec = target_spec(arguments)
    tag, found = image_tag(arguments.tree, spec), ingredients(arguments.tree, spec)
    facts = {"tag": tag, "base": spec.base_image, "backbones": " ".join(spec.backbones), "ingredients": found}
    report(arguments, facts, tag)


def do_build(arguments: argparse.Namespace) -> None:
    """Build the image unless the engine has it."""
    spec, tree = target_spec(arguments), arguments.tree
    name = image_name(tree, spec)
    command = build_command(spec, tree, name, find_revision(tree), os.environ, arguments.docker)
    if arguments.dry_run:
        print(f"DOCKER_BUILDKIT=1 {shlex.join(command)}")
        return
    engine = DockerEngine()
    if engine.find_image(name) and not arguments.force:
        say(f"{name} is there already (--force builds it again)")
    else:
        say(f"building {name} on {spec.base_image}")
        engine.say_emulation(spec.base_image, spec.platform.rpartition("/")[2])
        build(command)
    print(name)


def do_run_local(arguments: argparse.Namespace) -> int | None:
    """Run the image on this machine."""
    spec = load_spec(arguments.spec)
    job = job_of(spec, arguments.extra, input=arguments.input, output=arguments.output)
    bare = ContainerRun(
        image=arguments.image or image_name(arguments.tree, spec),
        memory=parse_memory(arguments.memory),
        cpus=arguments.cpus,
        network=arguments.network,
        user=(os.getuid(), os.getgid()),
    )
    run = with_job(bare, spec, job, arguments.slots, os.environ)
    if arguments.dry_run:
        with suppress(EngineError):  # without an engine it is printed as an ordinary one takes it
            run = run.on(DockerEngine())
        print(run.shell_line())
        return None
    engine = DockerEngine()
    engine.say_emulation(run.image, engine.orchard_image(run.image).attrs["Architecture"])
    if engine.selinux:
        say("SELinux is on: the container runs without its label (label=disable), or it could not read your folders")
    if run.output:
        make_output(run.output)
    with listening():  # the container must not outlive this command
        return execute(run.on(engine), arguments.memory)


def do_push(arguments: argparse.Namespace) -> None:
    """Push the image to ECR."""
    context = connect(arguments)
    repository, region = context.site.spec.repository, context.site.account.region
    if arguments.dry_run:
        print(f"push {repository}:{context.tag} to ECR in {region}")
    else:
        print(f"{repository}@{ecr.push(context.aws, DockerEngine(), repository, context.tag, context.say)}")
