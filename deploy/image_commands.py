"""The commands about the image: tag, build, push. Each plans first, then acts at the engine's door."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from deploy.context import add_target, aws_arguments, connect, target_spec
from deploy.tag import image_name, image_tag, ingredients
from deploy.terminal import say

if TYPE_CHECKING:
    from deploy.docker_engine import DockerEngine


def add_to(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Give the command line these commands."""
    _add_tag(commands, parents)
    _add_build(commands, parents)
    _add_push(commands, parents)


def _add_tag(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    parser = commands.add_parser("tag", parents=parents, help="the image's tag, from the content of what is baked")
    add_target(parser)
    parser.add_argument("--explain", action="store_true", help="list what went in, with its SHA-256")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.set_defaults(command=_tag)


def _tag(arguments: argparse.Namespace) -> int:
    spec = target_spec(arguments)
    found = ingredients(arguments.tree, spec)
    tag = image_tag(spec.release_label, found)
    if arguments.json:
        print(
            json.dumps(
                {
                    "tag": tag,
                    "base": spec.base_image,
                    "backbones": " ".join(spec.backbones),
                    "ingredients": {ingredient.name: ingredient.sha256 for ingredient in found},
                },
                indent=1,
            )
        )
        return 0
    print(tag)
    if arguments.explain:
        print(*(f"{ingredient.sha256}  {ingredient.name}" for ingredient in found), sep="\n")
    return 0


def _add_build(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    parser = commands.add_parser(
        "build", parents=parents, help="build the image of this source tree, unless it is there"
    )
    add_target(parser)
    parser.add_argument("--force", action="store_true", help="build even if the image is there")
    parser.add_argument("--no-cache", action="store_true", help="use no layer of an earlier build")
    parser.add_argument(
        "--docker", default="docker", metavar="PATH", help="Docker's command line (default %(default)s)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the command instead")
    parser.set_defaults(command=_build)


def _build(arguments: argparse.Namespace) -> int:
    from deploy.build import build, build_command, build_line, find_revision

    spec = target_spec(arguments)
    name, revision = image_name(arguments.tree, spec), find_revision(arguments.tree)
    command = build_command(
        spec,
        arguments.tree,
        name=name,
        revision=revision,
        cli=arguments.docker,
        clean=arguments.no_cache,
        plain=not sys.stderr.isatty(),
    )
    if arguments.dry_run:
        print(build_line(command))
        return 0
    from deploy.docker_engine import DockerEngine

    engine = DockerEngine()
    if engine.find_image(name) and not (arguments.force or arguments.no_cache):
        say(f"{name} is there already (--force builds it again)")
    else:
        say(f"building {name} on {spec.base_image}")
        build(command)
        _show_size(engine, name)
    print(name)
    return 0


def _show_size(engine: DockerEngine, name: str) -> None:
    for size, instruction in engine.layers(name):
        if size >= 1_000_000:
            say(f"{size / 1e6:8,.0f} MB  {' '.join(instruction.split())[:100]}")
    image = engine.find_image(name)
    if image:
        say(f"{image.size / 1e6:8,.0f} MB  in all; EMR Serverless takes up to 10,000")


def _add_push(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    parser = commands.add_parser(
        "push", parents=[*parents, aws_arguments()], help="send the image to a registry, unless it is there"
    )
    parser.add_argument(
        "--registry", metavar="HOST[:PORT]", help="registry to push to (default: ECR of the account and region)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be pushed")
    parser.set_defaults(command=_push)


def _push(arguments: argparse.Namespace) -> int:
    name = image_name(arguments.tree, target_spec(arguments))
    if arguments.registry is None:
        return _push_to_ecr(arguments, name)
    remote = f"{arguments.registry}/{name}"
    if arguments.dry_run:
        print(f"push {name} as {remote}")
        return 0
    from deploy.docker_engine import DockerEngine
    from deploy.push import push_image

    print(push_image(DockerEngine(), name, remote, say))
    return 0


def _push_to_ecr(arguments: argparse.Namespace, name: str) -> int:
    context = connect(arguments)
    if arguments.dry_run:
        print(f"push {name} to ECR in {context.site.account.region}")
        return 0
    from deploy.docker_engine import DockerEngine
    from deploy.push import push_to_ecr

    digest = push_to_ecr(context.aws, DockerEngine(), context.site.spec.repository, context.tag, context.say)
    print(f"{context.site.spec.repository}@{digest}")
    return 0
