"""The commands about what exists in the account: plan, up, down, iam."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy import payloads
from deploy.context import Context, aws_arguments, connect, target_spec
from deploy.errors import SpecError
from deploy.iam import deployer_policy, job_policy, job_trust, repository_policy
from deploy.money import Money, add_money, money_lines, money_of
from deploy.observed import Access, Observed
from deploy.places import unusable
from deploy.plan import Action, plan_up
from deploy.site import Site, offline_account
from deploy.tag import image_tag, ingredients
from deploy.targets import EKS, TARGETS
from deploy.terminal import say
from deploy.work import taken
from deploy.workers import capacity, check_workers

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_POLICIES = {"deployer": deployer_policy, "job": job_policy, "job-trust": job_trust, "repository": repository_policy}
# Those that hold on EMR Serverless only, and what does on EMR on EKS.
_NOT_ON_EKS = {
    "job-trust": "it names the cluster's own identity provider: `aws emr-containers update-role-trust-policy` writes "
    "it",
    "repository": "the cluster's nodes read the image, by their own role: the repository needs no policy in the same "
    "account",
}


def add_to(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    """Give the command line these commands."""
    _add_plan(commands, parents)
    _add_up(commands, parents)
    _add_down(commands, parents)
    _add_iam(commands, parents)


def _add_plan(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "what `up` and `submit` would do, and what a run costs; changes nothing"
    parser = commands.add_parser("plan", parents=[*parents, aws_arguments()], help=about, description=about)
    parser.add_argument("--offline", action="store_true", help="ask nothing of AWS: as if nothing existed")
    parser.add_argument("--account", metavar="NUMBER", help="account to write into the inputs, with --offline")
    parser.add_argument(
        "--cli-input", type=Path, metavar="DIR", help="write the inputs of every call for `aws … --cli-input-json`"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_money(parser)
    parser.set_defaults(command=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    if arguments.offline:
        site, seen, recorded = _offline_site(arguments), Observed(), {}
        photos = arguments.photos
    else:
        from deploy.aws.observe import observe

        context = connect(arguments)
        site, recorded = context.site, dict(context.record.read().made)
        seen = observe(context.aws, site, context.tag, context.target)
        photos = count_photos(context, arguments.photos, ()) if _may_be_listed(site, seen) else arguments.photos
    target, tag = TARGETS[arguments.target], image_tag(site.spec.release_label, ingredients(arguments.tree, site.spec))
    actions = plan_up(site, seen, tag=tag, recorded=recorded, new_token=lambda: "", target=target)
    money = money_of(site, target, arguments, photos)
    application = seen.applications[0].id if seen.applications else None
    in_the_way = list(unusable(site, seen, target))
    inputs = payloads.cli_inputs(site, target, tag=tag, digest=seen.digest, application=application)
    if arguments.cli_input:
        _write_inputs(arguments.cli_input, inputs)
    if arguments.json:
        print(json.dumps({**_plan_facts(site, seen, tag, actions, money, inputs), "in_the_way": in_the_way}, indent=1))
    else:
        print(*_plan_lines(site, seen, tag, actions, money, in_the_way), sep="\n")
    return 1 if in_the_way else 0


def _may_be_listed(site: Site, seen: Observed) -> bool:
    if not site.command.photos:
        return False
    reached = seen.reached.get(site.input.bucket)
    return reached is None or reached.access is Access.GRANTED


def _offline_site(arguments: argparse.Namespace) -> Site:
    spec = target_spec(arguments)
    check_workers(spec)
    return Site(
        spec,
        offline_account(
            arguments.account, spec.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        ),
    )


def count_photos(context: Context, asked: int | None, extra: Sequence[str]) -> int | None:
    """Photos that a run takes: as asked, else counted in the input; None where there is no input yet, or no photos.

    Args:
        extra: arguments of the job behind those of the specification.
    """
    from deploy.aws import s3
    from deploy.errors import AwsError, DeniedError

    if asked is not None or not context.site.command.photos:
        return asked
    try:
        return taken(s3.labels(context.aws, context.site.input), context.site.job(*extra))
    except DeniedError as error:
        raise DeniedError(f"input {context.site.input}: {error}") from error
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return None
        raise


def _write_inputs(folder: Path, inputs: dict[str, payloads.Payload]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, payload in inputs.items():
            (folder / f"{name}.json").write_text(json.dumps(payload, indent=1) + "\n", encoding="utf-8")
    except OSError as exc:
        raise SpecError(f"--cli-input {folder}: {exc.strerror}: choose a place that you can write to") from exc
    say(f"wrote {len(inputs)} files to {folder}: aws SERVICE CALL --cli-input-json file://{folder}/SERVICE-CALL.json")


def _plan_facts(
    site: Site, seen: Observed, tag: str, actions: list[Action], money: Money, inputs: dict[str, payloads.Payload]
) -> dict[str, Any]:
    calls = [
        {"service": a.service, "operation": a.operation, "about": a.about, "parameters": dict(a.parameters)}
        for a in actions
    ]
    image = {"repository": site.spec.repository, "tag": tag, "digest": seen.digest}
    return {"region": site.account.region, "image": image, "actions": calls, "cost": money.facts(), "inputs": inputs}


def _plan_lines(
    site: Site, seen: Observed, tag: str, actions: list[Action], money: Money, in_the_way: list[str]
) -> list[str]:
    spec = site.spec
    where = seen.digest or "not in ECR yet: `orchard-deploy up`, `build`, `push`"
    cap = f"1 driver + {spec.executors} executors, one run at a time: {capacity(spec)}"
    head = [
        f"region      {site.account.region}",
        f"image       {spec.repository}:{tag} ({where})",
        f"cap         {cap}",
    ]
    to_do = [*(f"in the way  {line}" for line in in_the_way), *(f"to do       {action.about}" for action in actions)]
    if seen.digest is None and money.target is not EKS:
        to_do.append("to do       the application, once the image is in ECR")
    return [*head, *money_lines(money), *(to_do or ["to do       nothing: everything is as it should be"])]


def _add_up(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "make or change what a run needs in the account: repository, bucket, role, application"
    parser = commands.add_parser("up", parents=[*parents, aws_arguments()], help=about, description=about)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.set_defaults(command=_up)


def _up(arguments: argparse.Namespace) -> int:
    from deploy.ensure import look_up, up

    context = connect(arguments)
    plan = look_up(context) if arguments.dry_run else up(context)
    if arguments.dry_run:
        print(*([action.about for action in plan.actions] or ["nothing to do"]), sep="\n")
        return 0
    if not plan.actions:
        context.say("everything is as it should be")
    if plan.seen.digest is None and context.target is not EKS:
        context.say(
            f"the application waits for image {context.site.spec.repository}:{context.tag}: "
            "`orchard-deploy push`, then `submit`"
        )
    return 0


def _add_down(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "delete what `up` made, and nothing else"
    parser = commands.add_parser("down", parents=[*parents, aws_arguments(target=False)], help=about, description=about)
    parser.add_argument("--force", action="store_true", help="cancel runs that are active")
    parser.add_argument(
        "--with-data", action="store_true", help="delete the bucket with the photos, results and logs in it"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, and what left")
    parser.set_defaults(command=_down, target="serverless")


def _down(arguments: argparse.Namespace) -> int:
    from deploy.ensure import down, look_down, runs_to_end

    context = connect(arguments)
    if arguments.dry_run:
        plan, left = look_down(context, with_data=arguments.with_data)
        ending = [f"cancel run {run.id}" for _, run in runs_to_end(context, plan.seen, force=arguments.force)]
        print(*ending, *(action.about for action in plan.actions), *(f"leave {thing}" for thing in left), sep="\n")
        return 0
    left = down(context, force=arguments.force, with_data=arguments.with_data)
    for thing in left:
        context.say(f"left: {thing}")
    if not left:
        context.say("nothing is left")
    return 0


def _add_iam(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "print a policy: what you need to deploy, what a run may do, who may take its role, who may read its image"
    parser = commands.add_parser("iam", parents=[*parents, aws_arguments()], help=about, description=about)
    parser.add_argument("policy", choices=_POLICIES, help="which one")
    parser.add_argument(
        "--account", metavar="NUMBER", help="account to write it for (default: the one whose credentials there are)"
    )
    parser.set_defaults(command=_iam)


def _iam(arguments: argparse.Namespace) -> int:
    if arguments.target == EKS.name and arguments.policy in _NOT_ON_EKS:
        raise SpecError(f"iam {arguments.policy} --target eks: {_NOT_ON_EKS[arguments.policy]}")
    site = _offline_site(arguments) if arguments.account else connect(arguments).site
    print(json.dumps(_POLICIES[arguments.policy](site), indent=1))
    return 0
