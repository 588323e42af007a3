"""The command `plan`: what `up` would change, what a run costs, and both as files for the AWS CLI."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from orchard_deploy.capacity import capacity, check_workers
from orchard_deploy.cli.connect import AWS, Commands, Flags, Parents, add_command, connect, target_spec
from orchard_deploy.cost.money import Money, add_money, count_photos, money_lines, money_of
from orchard_deploy.errors import SpecError
from orchard_deploy.image.tag import image_tag, ingredients
from orchard_deploy.runs import payloads
from orchard_deploy.site import Site, offline_account
from orchard_deploy.stack.changes import change_lines
from orchard_deploy.stack.parameters import parameter_list, template
from orchard_deploy.stack.up import Plan, plan_offline, plan_up
from orchard_deploy.targets import EKS, SERVERLESS, TARGETS, Target
from orchard_deploy.terminal import say

# The region of `plan --offline` where none is set.
_ASSUMED = "us-east-1"


def add_to(commands: Commands, parents: Parents) -> None:
    """Give the command line this command."""
    flags: Flags = {
        **AWS,
        "--offline": "do not call AWS; assume nothing exists",
        "--account": {"metavar": "NUMBER", "help": "account to write into the files, with --offline"},
        "--output": {
            "type": Path,
            "metavar": "DIR",
            "help": "write template, parameters and a run's input for the AWS CLI",
        },
        "--json": "print everything as JSON",
    }
    about = "show what `up` would change, and what a run costs; changes nothing"
    add_money(add_command(commands, parents, "plan", _plan, about, flags))


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A plan with all that is printed of it."""

    site: Site
    target: Target
    tag: str
    plan: Plan
    money: Money

    @property
    def digest(self) -> str | None:
        """Of the image, once it is in ECR."""
        return self.plan.parameters["ImageDigest"] or None

    @cached_property
    def run_input(self) -> payloads.Payload:
        """The input of the call that starts a run."""
        application = self.plan.stack.outputs.get("Application") if self.plan.stack else None
        return payloads.cli_input(self.site, self.target, tag=self.tag, digest=self.digest, application=application)


def _plan(arguments: argparse.Namespace) -> int:
    shown = _offline(arguments) if arguments.offline else _online(arguments)
    _ = shown.run_input  # raises where no run can work
    if arguments.output:
        _write_files(arguments.output, shown)
    print(*([json.dumps(_facts(shown), indent=1)] if arguments.json else _lines(shown)), sep="\n")
    return 0


def _offline(arguments: argparse.Namespace) -> _Shown:
    spec, target = target_spec(arguments), TARGETS[arguments.target]
    check_workers(spec)
    region = spec.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None:
        say(f"region {_ASSUMED} assumed: none is set")
    site = Site(spec, offline_account(arguments.account, region or _ASSUMED))
    tag = image_tag(spec.release_label, ingredients(arguments.tree, spec))
    money = money_of(site, target, arguments, arguments.photos)
    return _Shown(site=site, target=target, tag=tag, plan=plan_offline(site), money=money)


def _online(arguments: argparse.Namespace) -> _Shown:
    context = connect(arguments)
    plan = plan_up(context)
    photos = count_photos(context, arguments.photos, ())
    money = money_of(context.site, context.target, arguments, photos)
    return _Shown(site=context.site, target=context.target, tag=context.tag, plan=plan, money=money)


def _lines(shown: _Shown) -> Iterator[str]:
    spec, plan = shown.site.spec, shown.plan
    yield f"region      {shown.site.account.region}"
    yield f"stack       {shown.site.slug}: {plan.stack.status if plan.stack else 'there is none'}"
    yield f"image       {spec.repository}:{shown.tag} ({shown.digest or 'none in ECR yet'})"
    yield f"cap         1 driver + {spec.executors} executors, one run at a time: {capacity(spec)}"
    yield from money_lines(shown.money)
    yield from (f"change      {line}" for line in change_lines(plan.changes))
    if not plan.changes:
        yield "change      nothing: everything is as it should be"
    if shown.target is SERVERLESS and not shown.digest:
        yield "            the application once the image is pushed: `up`, `build`, `push`, then `up` again"


def _facts(shown: _Shown) -> dict[str, Any]:
    plan = shown.plan
    return {
        "region": shown.site.account.region,
        "stack": {"name": shown.site.slug, "status": plan.stack.status if plan.stack else None},
        "image": {"repository": shown.site.spec.repository, "tag": shown.tag},
        "parameters": dict(plan.parameters),
        "changes": [asdict(change) for change in plan.changes],
        "cost": shown.money.facts(),
        "start_job_run": shown.run_input,
    }


def _write_files(folder: Path, shown: _Shown) -> None:
    """The files for the AWS CLI, and for kubectl on EKS."""
    contents: dict[str, object] = {
        "parameters.json": parameter_list(shown.plan.parameters),
        "start-job-run.json": shown.run_input,
        **({"resource-quota.json": payloads.resource_quota(shown.site)} if shown.target is EKS else {}),
    }
    written = {name: json.dumps(content, indent=1) + "\n" for name, content in contents.items()}
    texts = {"template.yaml": template(), **written}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SpecError(f"--output {folder}: {exc.strerror}: choose a folder that you can write to") from exc
    say(f"wrote {', '.join(texts)} to {folder}")
