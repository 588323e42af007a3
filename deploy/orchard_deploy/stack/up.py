"""`up`, the stack made or changed to what the specification says now; and what it would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchard_deploy import emr, s3
from orchard_deploy.context import Context
from orchard_deploy.errors import DeniedError, RefusedError
from orchard_deploy.image import ecr
from orchard_deploy.site import Site
from orchard_deploy.stack import changes
from orchard_deploy.stack.changes import Change
from orchard_deploy.stack.parameters import IMAGE_PARAMETERS, stack_parameters
from orchard_deploy.stack.state import IN_REVIEW, Stack, find_stack, obstacle
from orchard_deploy.targets import SERVERLESS, Target

if TYPE_CHECKING:
    from orchard_deploy.aws import Aws

# What a run uses, by the template's names.
_OF_RUNS = ("Application", "JobRole", "Bucket", "BucketPolicy")
_CLOSED = "it is someone else's, or you may not look at it"
_MISSING = "there is none, and `orchard-deploy up` makes only that of `bucket`, once: make it, or name another"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `up` does to `stack`, if there is one; with the `change_set` for it, if anything is to be changed.

    It `waits_for_image` where that is missing which the application is to be made or changed for.
    """

    parameters: Mapping[str, str]
    changes: Sequence[Change]
    stack: Stack | None = None
    change_set: str | None = None
    waits_for_image: bool = True


def plan_offline(site: Site) -> Plan:
    """What `up` would do where nothing exists yet. Pure."""
    parameters = stack_parameters(site, digest=None, makes_bucket=bool(site.bucket))
    return Plan(parameters=parameters, changes=changes.additions(parameters))


def plan_up(context: Context) -> Plan:
    """What `up` would do now, by a change set that is deleted again; raises what `up` would raise before it acts."""
    stack = find_stack(context.aws, context.site)
    if stack is None or stack.status == IN_REVIEW:
        parameters, waits = _wanted(context, None)
        return Plan(parameters=parameters, changes=changes.additions(parameters), waits_for_image=waits)
    plan = _plan(context, stack)
    if plan.change_set:
        changes.delete_change_set(context, plan.change_set)
    return plan


def up(context: Context) -> Plan:
    """Make the stack, or change it; `RefusedError` if something is in the way, or CloudFormation could not do it."""
    with context.record.acting():
        plan = _plan(context, changes.settled_stack(context))
        for line in changes.change_lines(plan.changes):
            context.say(line)
        if plan.change_set:
            _make_way(context, plan, plan.change_set)
            changes.execute_change_set(context, plan.change_set)
            _say_what_stays(context, plan)
    return plan


def check_buckets(aws: Aws, site: Site, target: Target, *, must_exist: bool = True) -> bool:
    """Whether the specification's own bucket is missing, which it may be unless it `must_exist`.

    `RefusedError` for a bucket that cannot be used, with the key of the specification that names it, and what to do.
    """
    own_missing = False
    for bucket, keys in {**site.named_buckets, **({site.bucket: "bucket"} if site.bucket else {})}.items():
        reason = _problem(aws, bucket, site.account.region if target is SERVERLESS else None)
        own_missing = bucket == site.bucket and reason == _MISSING
        if reason and (must_exist or not own_missing):
            raise RefusedError(f"{keys}: bucket {site.account.mask(bucket)}: {reason}")
    return own_missing


def _problem(aws: Aws, bucket: str, here: str | None) -> str | None:
    """Why a bucket cannot be used, and what to do; EMR Serverless reaches S3 in its own region only."""
    try:
        region = s3.bucket_region(aws, bucket)
    except DeniedError:
        return f"{_CLOSED} (docs/aws.md has the policy you need): have it opened, or name another"
    if region and here and region != here:
        return f"it is in {region}: name one in {here}, or run in {region} (--region)"
    return None if region else _MISSING


def _plan(context: Context, stack: Stack | None) -> Plan:
    parameters, waits = _wanted(context, stack)
    change_set, planned = changes.make_change_set(context, stack, parameters)
    return Plan(parameters=parameters, changes=planned, stack=stack, change_set=change_set, waits_for_image=waits)


def _wanted(context: Context, stack: Stack | None) -> tuple[dict[str, str], bool]:
    """The parameters that the specification asks for now, and whether its image is not there for its application.

    The specification's own bucket is the stack's if it made it, or nobody has. An application stays with the image that
    it has until the wanted one is pushed, and where the target needs none.
    """
    if stack and (line := obstacle(stack)):
        raise RefusedError(line)
    site, target, there = context.site, context.target, stack.parameters if stack else {}
    made = bool(stack and site.bucket and stack.made_bucket == site.bucket)
    makes_bucket = check_buckets(context.aws, site, target, must_exist=made) or made
    digest = ecr.find_digest(context.aws, site.spec.repository, context.tag) if target is SERVERLESS else None
    wanted = stack_parameters(site, digest=digest, makes_bucket=makes_bucket)
    if digest is None and there.get("ImageDigest") and there["RepositoryName"] == site.spec.repository:
        wanted |= {name: there[name] for name in IMAGE_PARAMETERS}
    return wanted, digest is None and target is SERVERLESS


def _make_way(context: Context, plan: Plan, change_set: str) -> None:
    """What a run uses does not change while one is active; an application that does is stopped, or was never started.

    A role that changes would take from a run what it may read or write.
    """
    application = plan.stack.outputs.get("Application") if plan.stack else None
    changed = [change.name for change in plan.changes if change.name in _OF_RUNS]
    if application is None or not changed:
        return
    if active := emr.list_runs_if_any(context.aws, SERVERLESS, application, active=True):
        changes.delete_change_set(context, change_set)
        raise RefusedError(
            f"application {application}: {', '.join(changed)} must change, and run {active[0].id} is active: wait for "
            "its end, or cancel it with `orchard-deploy cancel`"
        )
    if "Application" in changed:
        emr.stop_application(context.aws, application, pace=context.pace, say=context.say)


def _say_what_stays(context: Context, plan: Plan) -> None:
    """A bucket that an earlier specification named is retained, and no later command knows of it."""
    bucket = plan.stack.made_bucket if plan.stack else None
    if bucket and bucket != plan.parameters["BucketName"]:
        context.say(f"bucket {bucket} stays, with what is in it: no command looks at it any more: delete it by hand")
