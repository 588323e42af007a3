"""The commands that change what stands in the account: up, down."""

from __future__ import annotations

import argparse

from orchard_deploy.cli.connect import ACCOUNT, AWS, Commands, Parents, add_command, connect
from orchard_deploy.stack.changes import change_lines
from orchard_deploy.stack.down import down, look_down
from orchard_deploy.stack.up import plan_up, up
from orchard_deploy.targets import SERVERLESS


def add_to(commands: Commands, parents: Parents) -> None:
    """Give the command line these commands."""
    about = "make or change the stack: repository, bucket, role, and the application once the image is pushed"
    add_command(commands, parents, "up", _up, about, {**AWS, "--dry-run": "show the changes only"})
    flags = {
        **ACCOUNT,
        "--force": "cancel runs that are active",
        "--with-data": "delete the bucket with photos, results and logs in it",
        "--dry-run": "print what would be deleted, and what left",
    }
    about = "delete the stack, and its bucket if that is empty"
    add_command(commands, parents, "down", _down, about, flags, target=SERVERLESS.name)


def _up(arguments: argparse.Namespace) -> int:
    context = connect(arguments)
    if arguments.dry_run:
        print(*(list(change_lines(plan_up(context).changes)) or ["nothing to do"]), sep="\n")
        return 0
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
    context, how = connect(arguments), {"force": arguments.force, "with_data": arguments.with_data}
    if arguments.dry_run:
        print(*(list(look_down(context, **how)) or ["nothing to do"]), sep="\n")
        return 0
    for line in down(context, **how) or ["nothing"]:
        context.say(f"left: {line}")
    return 0
