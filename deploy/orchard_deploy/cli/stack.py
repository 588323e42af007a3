"""The commands about what stands in the account: plan, also as files for the AWS CLI; up, down."""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchard_deploy.cli.parser import connect, report, target_spec
from orchard_deploy.cost.money import count_photos, money_facts, money_lines
from orchard_deploy.errors import SpecError
from orchard_deploy.image import ecr
from orchard_deploy.image.tag import image_tag
from orchard_deploy.runs.payloads import resource_quota, start_job_run
from orchard_deploy.site import Site, offline_account
from orchard_deploy.spec import capacity, check_workers
from orchard_deploy.stack.lifecycle import Plan, down, look_down, plan_offline, plan_up, up
from orchard_deploy.stack.state import TEMPLATE, parameter_list
from orchard_deploy.targets import EKS, TARGETS
from orchard_deploy.terminal import say

_WAITS = "the application once {image} is pushed: {first}`orchard-deploy build`, `push`, then `up` again"


def do_plan(arguments: argparse.Namespace) -> None:
    """Show what `up` would change, and what a run costs."""
    target = TARGETS[arguments.target]
    if arguments.offline:
        site, photos, digest = _offline_site(arguments), arguments.photos, None
        tag, plan = image_tag(arguments.tree, site.spec), plan_offline(site, target)
    else:
        context = connect(arguments)
        site, tag, plan = context.site, context.tag, plan_up(context)
        photos = count_photos(context, arguments.photos, ())
        digest = ecr.find_digest(context.aws, site.spec.repository, tag)
    money = money_facts(site, target, arguments.prices, photos)
    outputs = plan.stack.outputs if plan.stack else {}
    request = start_job_run(site, target, outputs=outputs, tag=tag, digest=digest)
    if arguments.output:
        quota = {"resource-quota.json": resource_quota(site)} if target is EKS else {}
        parameters = parameter_list(plan.parameters)
        _write(arguments.output, {"parameters.json": parameters, "start-job-run.json": request, **quota})
    facts = {
        "region": site.account.region,
        "stack": {"name": site.spec.name, "status": plan.stack.status if plan.stack else None},
        "image": {"repository": site.spec.repository, "tag": tag},
        "parameters": plan.parameters,
        "changes": [asdict(change) for change in plan.changes],
        "cost": money,
        "start_job_run": request,
    }
    report(arguments, facts, *_lines(site, f"{tag} ({digest or 'none in ECR yet'})", plan, money))


def _offline_site(arguments: argparse.Namespace) -> Site:
    spec = target_spec(arguments)
    check_workers(spec)
    region = spec.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        region = "us-east-1"
        say(f"region {region} assumed: none is set")
    return Site(spec, offline_account(arguments.account, region))


def _lines(site: Site, image: str, plan: Plan, money: dict[str, Any]) -> Iterator[str]:
    spec, first = site.spec, "" if plan.stack else "`orchard-deploy up`, "
    yield f"region      {site.account.region}"
    yield f"stack       {site.spec.name}: {plan.stack.status if plan.stack else 'there is none'}"
    yield f"image       {spec.repository}:{image}"
    yield f"cap         1 driver + {spec.executors} executors, one run at a time: {capacity(spec)}"
    yield from money_lines(money)
    yield from (f"change      {line}" for line in plan.lines())
    if plan.waits_for_image:
        yield f"            {_WAITS.format(image='the image', first=first)}"


def _write(folder: Path, contents: dict[str, object]) -> None:
    """The files for the AWS CLI, and for kubectl on EKS."""
    written = {name: json.dumps(content, indent=1) + "\n" for name, content in contents.items()}
    texts = {"template.yaml": TEMPLATE, **written}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SpecError(f"--output {folder}: {exc.strerror}: choose a folder that you can write to") from exc
    say(f"wrote {', '.join(texts)} to {folder}")


def do_up(arguments: argparse.Namespace) -> None:
    """Make or change the stack."""
    context = connect(arguments)
    if arguments.dry_run:
        print(*plan_up(context).lines(), sep="\n")
    elif up(context).waits_for_image:
        context.say(_WAITS.format(image=f"{context.site.spec.repository}:{context.tag}", first=""))


def do_down(arguments: argparse.Namespace) -> None:
    """Delete the stack."""
    context = connect(arguments)
    if arguments.dry_run:
        print(*(list(look_down(context, with_data=arguments.with_data)) or ["nothing to do"]), sep="\n")
    else:
        for line in down(context, with_data=arguments.with_data) or ["nothing"]:
            context.say(f"left: {line}")
