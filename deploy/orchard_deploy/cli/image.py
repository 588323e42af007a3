"""The commands about the image: tag, build, push. Each plans first; the engine or AWS is asked last."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from typing import TYPE_CHECKING

from orchard_deploy.cli.connect import AWS, TARGET, Commands, Flags, Parents, add_command, connect, target_spec
from orchard_deploy.image.tag import image_name, image_tag, ingredients
from orchard_deploy.terminal import say

if TYPE_CHECKING:
    from orchard_deploy.image.docker_engine import DockerEngine


def add_to(commands: Commands, parents: Parents) -> None:
    """Give the command line these commands."""
    tag: Flags = {**TARGET, "--json": "with all that went in and its SHA-256, as JSON"}
    add_command(commands, parents, "tag", _tag, "the image's tag, from the content of what is baked", tag)
    build: Flags = {
        **TARGET,
        "--force": "build even if the image exists",
        "--docker": {"default": "docker", "metavar": "PATH", "help": "Docker's command line (default %(default)s)"},
        "--dry-run": "print the command instead",
    }
    add_command(commands, parents, "build", _build, "build the image unless it already exists", build)
    registry = "registry to push to (default: ECR of the account)"
    push: Flags = {
        **AWS,
        "--registry": {"metavar": "HOST[:PORT]", "help": registry},
        "--dry-run": "print what would be pushed",
    }
    add_command(commands, parents, "push", _push, "push the image unless it is there", push)


def _tag(arguments: argparse.Namespace) -> int:
    spec = target_spec(arguments)
    found = ingredients(arguments.tree, spec)
    tag = image_tag(spec.release_label, found)
    facts = {"tag": tag, "base": spec.base_image, "backbones": " ".join(spec.backbones), "ingredients": found}
    print(json.dumps(facts, indent=1) if arguments.json else tag)
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from orchard_deploy.image.build import build, build_command, find_revision

    spec, tree = target_spec(arguments), arguments.tree
    name = image_name(tree, spec)
    command = build_command(spec, tree, name, find_revision(tree), os.environ, arguments.docker)
    if arguments.dry_run:
        print(f"DOCKER_BUILDKIT=1 {shlex.join(command)}")
        return 0
    from orchard_deploy.image.docker_engine import DockerEngine

    engine = DockerEngine()
    if engine.find_image(name) and not arguments.force:
        say(f"{name} is there already (--force builds it again)")
    else:
        say(f"building {name} on {spec.base_image}")
        if line := engine.machine().emulation(spec.base_image, spec.platform.rpartition("/")[2]):
            say(line)
        build(command)
        _show_size(engine, name)
    print(name)
    return 0


def _show_size(engine: DockerEngine, name: str) -> None:
    layers = engine.layers(name)
    for size, instruction in layers:
        if size >= 1_000_000:
            say(f"{size / 1e6:8,.0f} MB  {' '.join(instruction.split())[:100]}")
    say(f"{sum(size for size, _ in layers) / 1e6:8,.0f} MB  in all; EMR Serverless takes up to 10,000")


def _push(arguments: argparse.Namespace) -> int:
    spec, registry = target_spec(arguments), arguments.registry
    name = image_name(arguments.tree, spec)
    context = None if registry else connect(arguments)
    if arguments.dry_run:
        print(f"push {name} to {f'ECR in {context.site.account.region}' if context else registry}")
        return 0
    from orchard_deploy.image.docker_engine import DockerEngine
    from orchard_deploy.image.push import push_image, push_to_ecr

    if context:
        digest = push_to_ecr(context.aws, DockerEngine(), spec.repository, context.tag, context.say)
        print(f"{spec.repository}@{digest}")
    else:
        print(push_image(DockerEngine(), name, f"{registry}/{name}", say))
    return 0
