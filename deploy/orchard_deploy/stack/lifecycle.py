"""`up` and `down`: the stack made or changed to what the specification says now, or deleted; and what they would do."""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from orchard_deploy import emr, s3
from orchard_deploy.context import Context
from orchard_deploy.errors import DeniedError, RefusedError
from orchard_deploy.image import ecr
from orchard_deploy.site import S3Place, Site
from orchard_deploy.stack import state
from orchard_deploy.stack.state import Stack
from orchard_deploy.targets import SERVERLESS, TARGETS, Target

# Name, type and condition of a resource of our own template.
_RESOURCE = re.compile(r"^  (\w+):\n(?:  +#.*\n)*    Type: (AWS::\S+)\n(?:    Condition: (\S+)\n)?", re.MULTILINE)
# What is deleted, and how; None where it is left.
_Step = tuple[str, Callable[[], object] | None]


@dataclass(frozen=True)
class Change:
    """What happens to one resource: `action` is Add, Modify or Remove; one that is replaced is made anew."""

    action: str
    name: str
    type: str
    replaced: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `up` does to `stack`, if there is one, by a change set; it `waits_for_image` where the application does."""

    parameters: Mapping[str, str]
    changes: Sequence[Change] = ()
    stack: Stack | None = None
    change_set: str = ""
    waits_for_image: bool

    def lines(self) -> list[str]:
        """The changes as a table: action, name in the template, type, whether it is made anew."""
        table = "{0.action:8}{0.name:14}{0.type:32}replacement {1}"
        lines = [table.format(change, "yes" if change.replaced else "no") for change in self.changes]
        return lines or ["nothing: everything is as it should be"]


def plan_offline(site: Site, target: Target) -> Plan:
    """What `up` would do where nothing exists yet. Pure."""
    parameters = state.stack_parameters(site, digest=None, makes_bucket=bool(site.bucket))
    return Plan(parameters=parameters, changes=additions(parameters), waits_for_image=target is SERVERLESS)


def additions(parameters: Mapping[str, str]) -> tuple[Change, ...]:
    """What these parameters would make where there is no stack, from the template itself. Pure."""
    conditions = {"HasImage": parameters["ImageDigest"] != "", "MakesBucket": parameters["MakeBucket"] == "yes"}
    found = _RESOURCE.findall(state.TEMPLATE)
    return tuple(Change("Add", name, kind) for name, kind, condition in found if conditions.get(condition, True))


def plan_up(context: Context) -> Plan:
    """What `up` would do now, by a change set that is deleted again; raises what `up` would raise before it acts."""
    plan = _wanted(context, state.find_stack(context.aws, context.site))
    if plan.stack is None:
        return replace(plan, changes=additions(plan.parameters))
    plan = _compared(context, plan)
    if plan.change_set:
        _call(context, "delete_change_set", plan.change_set)
    return plan


def up(context: Context) -> Plan:
    """Make the stack, or change it; `RefusedError` if something is in the way, or CloudFormation could not do it."""
    plan = _compared(context, _wanted(context, state.settled_stack(context)))
    for line in plan.lines():
        context.say(line)
    if plan.change_set:
        _make_way(context, plan)
        execute = partial(_call, context, "execute_change_set", plan.change_set, ClientRequestToken=plan.change_set)
        state.watch_stack(context, context.site.spec.name, execute, wanted=("CREATE_COMPLETE", "UPDATE_COMPLETE"))
        bucket = plan.stack.made_bucket if plan.stack else None
        if bucket and bucket != plan.parameters["BucketName"]:
            context.say(f"bucket {bucket} stays, with what is in it: no command looks at it any more")
    return plan


def down(context: Context, *, with_data: bool) -> list[str]:
    """Delete what `up` made; returns what is left, in lines for a person; `RefusedError` if runs are active."""
    left = []
    for what, delete in _steps(context, state.settled_stack(context), with_data=with_data):
        if delete:
            context.say(f"delete {what}")
            delete()
        else:
            left.append(what)
    return left


def look_down(context: Context, *, with_data: bool) -> Iterator[str]:
    """What `down` would do now, in lines for a person; raises what it would raise."""
    for what, delete in _steps(context, state.find_stack(context.aws, context.site), with_data=with_data):
        yield f"{'delete' if delete else 'leave'} {what}"


def _wanted(context: Context, stack: Stack | None) -> Plan:
    """What the specification asks for now; how that differs from the stack is not known yet."""
    if stack and (line := state.obstacle(stack)):
        raise RefusedError(line)
    site, target, there = context.site, context.target, stack.parameters if stack else {}
    # The specification's own bucket is the stack's if it made it, or nobody has.
    made = bool(stack and site.bucket and stack.made_bucket == site.bucket)
    makes_bucket = state.check_buckets(context.aws, site, target, must_exist=made) or made
    digest = ecr.find_digest(context.aws, site.spec.repository, context.tag) if target is SERVERLESS else None
    wanted = state.stack_parameters(site, digest=digest, makes_bucket=makes_bucket)
    # An application stays with the image that it has until the wanted one is pushed, and where the target needs none;
    # and so with what that is built for.
    if digest is None and there.get("ImageDigest") and there["RepositoryName"] == site.spec.repository:
        wanted |= {name: there[name] for name in ("ImageDigest", "ReleaseLabel", "Architecture")}
    return Plan(parameters=wanted, stack=stack, waits_for_image=digest is None and target is SERVERLESS)


def _compared(context: Context, plan: Plan) -> Plan:
    """The plan with a change set for it; none is left where nothing would change, or CloudFormation refuses it."""
    name, what = state.PREFIX + secrets.token_hex(8), f"the changes of stack {context.site.spec.name}"
    wanted = {
        "ChangeSetType": "UPDATE" if plan.stack else "CREATE",
        "TemplateBody": state.TEMPLATE,
        "Parameters": state.parameter_list(plan.parameters),
        "Tags": [{"Key": key, "Value": value} for key, value in context.site.tags.items()],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    _call(context, "create_change_set", name, **wanted)
    ask = partial(_call, context, "describe_change_set", name)
    found = context.wait(ask, lambda now: now["Status"] in ("CREATE_COMPLETE", "FAILED"), what=what, seconds=300.0)
    if found["Status"] == "CREATE_COMPLETE":
        changes = tuple(_change(each["ResourceChange"]) for each in found.get("Changes", ()))
        return replace(plan, changes=changes, change_set=name)
    _call(context, "delete_change_set", name)
    reason = found.get("StatusReason", "no reason given")
    if not re.search("didn't contain changes|[Nn]o updates are to be performed", reason):
        raise RefusedError(f"{what}: CloudFormation refuses them: {reason}")
    return plan


def _change(found: Mapping[str, Any]) -> Change:
    replaced = found.get("Replacement", "False") != "False"  # True, or Conditional: CloudFormation cannot tell
    return Change(found["Action"], found["LogicalResourceId"], found["ResourceType"], replaced)


def _call(context: Context, operation: str, change_set: str, **more: object) -> dict[str, Any]:
    """A call about a change set; it exists already if one was repeated whose answer was lost."""
    named = {"StackName": context.site.spec.name, "ChangeSetName": change_set, **more}
    return context.aws.find(state.SERVICE, operation, named, "AlreadyExistsException") or {}


def _make_way(context: Context, plan: Plan) -> None:
    """Nothing changes while a run is active; an application that does change is stopped, or was never started."""
    outputs, names = plan.stack.outputs if plan.stack else {}, [change.name for change in plan.changes]
    application = outputs.get("Application")
    if active := emr.list_runs(context, SERVERLESS, outputs, active=True):
        _call(context, "delete_change_set", plan.change_set)
        raise RefusedError(
            f"application {application}: {', '.join(names)} must change, and run {active[0].id} is active: wait for "
            "its end, or `orchard-deploy cancel --run {active[0].id}`"
        )
    if application and "Application" in names:
        emr.stop_application(context, application)


def _steps(context: Context, stack: Stack | None, *, with_data: bool) -> Iterator[_Step]:
    """What there is to do, each step by what there is once those before it are done."""
    outputs = stack.outputs if stack else {}
    runs = [each for target in TARGETS.values() for each in emr.list_runs(context, target, outputs, active=True)]
    if active := ", ".join(f"{run.state}: --run {run.id}{run.target.flag}" for run in runs):
        raise RefusedError(f"runs are active: {active}: wait for their end, or end each with `orchard-deploy cancel`")
    if stack:
        yield f"stack {stack.name}", partial(state.delete_stack, context, stack)
    # The one that the stack made, too, where the specification names another by now.
    for bucket in dict.fromkeys(name for name in (context.site.bucket, stack and stack.made_bucket) if name):
        yield from _bucket_steps(context, bucket, with_data=with_data)


def _bucket_steps(context: Context, bucket: str, *, with_data: bool) -> Iterator[_Step]:
    name = f"bucket {context.site.account.mask(bucket)}"
    try:
        if s3.bucket_region(context.aws, bucket) is None:
            return
        if not context.site.owns(s3.bucket_tags(context.aws, bucket)):
            yield f"{name}: orchard-deploy did not make it", None
        elif with_data or not any(s3.keys(context.aws, S3Place(bucket, ""))):
            yield name, partial(s3.delete_bucket, context.aws, bucket)
        else:
            yield f"{name}: it holds data: `down --with-data` deletes it", None
    except DeniedError:
        yield f"{name}: it is someone else's, or you may not look at it", None
