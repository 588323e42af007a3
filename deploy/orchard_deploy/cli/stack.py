"""The commands that change what stands in the account: up, down."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from orchard_deploy.cli.connect import aws_arguments, connect
from orchard_deploy.targets import SERVERLESS

if TYPE_CHECKING:
    from orchard_deploy.cli.connect import Commands


def add_to(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    """Give the command line these commands."""
    about = "make or change the stack: repository, bucket, role, and the application once the image is pushed"
    parser = commands.add_parser("up", parents=[*parents, aws_arguments()], help=about, description=about)
    parser.set_defaults(command=_up)
    about = "delete the stack, and its bucket if that is empty"
    parser = commands.add_parser("down", parents=[*parents, aws_arguments(target=False)], help=about, description=about)
    parser.add_argument("--force", action="store_true", help="cancel runs that are active")
    parser.add_argument(
        "--with-data", action="store_true", help="delete the bucket with photos, results and logs in it"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be deleted, and what left")
    parser.set_defaults(command=_down, target=SERVERLESS.name)


def _up(arguments: argparse.Namespace) -> int:
    from orchard_deploy.stack.up import up

    context = connect(arguments)
    made = up(context)
    if not made.changes:
        context.say("everything is as it should be")
    if made.waits_for_image:
        context.say(
            f"the application is made by the next `up`, once image {context.site.spec.repository}:{context.tag} is "
            "there: `orchard-deploy build`, `push`"
        )
    return 0


def _down(arguments: argparse.Namespace) -> int:
    from orchard_deploy.stack.down import down, look_down

    context, how = connect(arguments), {"force": arguments.force, "with_data": arguments.with_data}
    if arguments.dry_run:
        print(*look_down(context, **how), sep="\n")
        return 0
    for line in down(context, **how) or ["nothing"]:
        context.say(f"left: {line}")
    return 0
