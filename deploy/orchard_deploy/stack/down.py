"""`down`: the stack deleted, and its bucket if nothing of worth is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from orchard_deploy import emr, s3
from orchard_deploy.context import Context
from orchard_deploy.emr import Run
from orchard_deploy.errors import DeniedError, RefusedError
from orchard_deploy.stack.changes import delete_stack, settled_stack
from orchard_deploy.stack.state import Stack, find_stack, is_own
from orchard_deploy.targets import EKS, SERVERLESS, Target
from orchard_deploy.waiting import wait_for

# Seconds that a cancelled run gets to be over.
_CANCELLING = 300.0
# What to do, what with, and how; not at all where something is left.
_Step = tuple[str, str, Callable[[], object] | None]


def down(context: Context, *, force: bool, with_data: bool) -> list[str]:
    """Delete what `up` made; returns what is left, in lines for a person; `RefusedError` if runs are active."""
    left = []
    with context.record.acting():
        for verb, what, act in _steps(context, settled_stack(context), force=force, with_data=with_data):
            if act:
                context.say(f"{verb} {what}")
                act()
            else:
                left.append(what)
        if not left:
            context.record.delete()
    return left


def look_down(context: Context, *, force: bool, with_data: bool) -> Iterator[str]:
    """What `down` would do now, in lines for a person; raises what it would raise."""
    for verb, what, _ in _steps(context, find_stack(context.aws, context.site), force=force, with_data=with_data):
        yield f"{verb} {what}"


def _steps(context: Context, stack: Stack | None, *, force: bool, with_data: bool) -> Iterator[_Step]:
    """What there is to do, each step by what there is once those before it are done."""
    if active := list(_active_runs(context, stack)):
        if not force:
            names = ", ".join(f"{run.id} ({run.state})" for _, run in active)
            raise RefusedError(f"runs are active: {names}: wait for their end, or cancel them with `down --force`")
        yield "cancel", f"run {', '.join(run.id for _, run in active)}", partial(_cancel, context, stack, active)
    if stack:
        yield "delete", f"stack {stack.name}", partial(_delete, context, stack)
    for bucket, reason in _left_buckets(context, stack, with_data=with_data):
        name = f"bucket {context.site.account.mask(bucket)}"
        if reason:
            yield "leave", f"{name}: {reason}", None
        else:
            yield "delete", name, partial(s3.delete_bucket, context.aws, bucket)


def _active_runs(context: Context, stack: Stack | None) -> Iterator[tuple[Target, Run]]:
    """The runs to cancel first; on EKS ours only: a virtual cluster has the runs of others, too."""
    application, eks = stack.outputs.get("Application") if stack else None, context.site.spec.eks
    for target, place in ((SERVERLESS, application), (EKS, eks and eks.virtual_cluster)):
        for run in emr.list_runs_if_any(context.aws, target, place, active=True) if place else ():
            if target is SERVERLESS or is_own(context.site, run.tags):
                yield target, run


def _cancel(context: Context, stack: Stack | None, runs: Sequence[tuple[Target, Run]]) -> None:
    for target, run in runs:
        emr.cancel_run(context.aws, target, run.place, run.id)
    wait_for(
        lambda: list(_active_runs(context, stack)),
        lambda active: not active,
        what="the end of the cancelled runs",
        seconds=_CANCELLING,
        pace=context.pace,
        say=context.say,
    )


def _delete(context: Context, stack: Stack) -> None:
    if application := stack.outputs.get("Application"):
        emr.stop_application(context.aws, application, pace=context.pace, say=context.say)
    delete_stack(context, stack)


def _left_buckets(context: Context, stack: Stack | None, *, with_data: bool) -> Iterator[tuple[str, str | None]]:
    """The specification's own bucket, and one that the stack made when another was named; why it stays, if it does."""
    for bucket in dict.fromkeys(name for name in (context.site.bucket, stack and stack.made_bucket) if name):
        try:
            if s3.bucket_region(context.aws, bucket):
                yield bucket, _reason(context, bucket, with_data=with_data)
        except DeniedError:
            yield bucket, "it is someone else's, or you may not look at it"


def _reason(context: Context, bucket: str, *, with_data: bool) -> str | None:
    if not is_own(context.site, s3.bucket_tags(context.aws, bucket)):
        return "orchard-deploy did not make it"
    if with_data or s3.is_empty(context.aws, bucket):
        return None
    return "it holds data: `down --with-data` deletes it"
