"""`up` and `down`: look, decide, act; nothing when everything is as it should be, nothing that `up` did not make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.aws import ecr, runs
from deploy.aws.observe import observe
from deploy.context import Context
from deploy.errors import RefusedError
from deploy.execute import execute
from deploy.observed import Observed, Run
from deploy.places import check_places
from deploy.plan import Action, is_own, left_behind, plan_down, plan_up
from deploy.submit import new_token, observe_settled, recover
from deploy.targets import EKS, SERVERLESS, Target
from deploy.waiting import wait_for

if TYPE_CHECKING:
    from deploy.docker_engine import DockerEngine

# Seconds that a cancelled run gets to be over.
_CANCELLING = 300.0


@dataclass(frozen=True)
class Plan:
    """What there is, and what has to be done."""

    seen: Observed
    actions: list[Action]


def look_up(context: Context, seen: Observed | None = None) -> Plan:
    """What `up` would do now.

    Raises:
        RefusedError: see `plan_up` and `check_places`.
    """
    seen = seen or observe(context.aws, context.site, context.tag, context.target)
    check_places(context.site, seen, context.target)
    made = context.record.read().made
    return Plan(
        seen, plan_up(context.site, seen, tag=context.tag, recorded=made, new_token=new_token, target=context.target)
    )


def up(context: Context) -> Plan:
    """Make what is missing and change what differs.

    Raises:
        RefusedError: see `look_up`. AwsError: a call was refused; what came before it is recorded.
    """
    with context.record.acting():
        plan = look_up(context, observe_settled(context))
        execute(plan.actions, context.aws, context.record, pace=context.pace, say=context.say)
        _adopt(context, plan.seen)
    return plan


def bring_up(context: Context, engine: Callable[[], DockerEngine]) -> None:
    """`up`, and the image pushed where the repository does not have it.

    Args:
        engine: opens the engine that has the image; not called where nothing is to be pushed.

    Raises:
        ImageError, EngineError: see `push_to_ecr`.
    """
    from deploy.push import push_to_ecr

    up(context)
    repository, tag = context.site.spec.repository, context.tag
    if ecr.find_digest(context.aws, repository, tag) is None:
        push_to_ecr(context.aws, engine(), repository, tag, context.say)


def look_down(context: Context, *, with_data: bool, seen: Observed | None = None) -> tuple[Plan, list[str]]:
    """What `down` would do now, and what it would leave."""
    seen, made = seen or observe(context.aws, context.site, context.tag), context.record.read().made
    left = list(left_behind(context.site, seen, recorded=made, with_data=with_data))
    return Plan(seen, plan_down(context.site, seen, recorded=made, with_data=with_data)), left


def down(context: Context, *, force: bool, with_data: bool) -> list[str]:
    """Delete what `up` made; returns what is left, in lines for a person.

    Raises:
        RefusedError: runs are active, and `force` is not given.
    """
    with context.record.acting():
        recover(context)
        seen = observe_settled(context)
        _end_runs(context, seen, force=force)
        plan, left = look_down(context, with_data=with_data, seen=None if seen.active else seen)
        execute(plan.actions, context.aws, context.record, pace=context.pace, say=context.say)
        if not left:
            context.record.delete()
    return left


def runs_to_end(context: Context, seen: Observed, *, force: bool) -> list[tuple[Target, Run]]:
    """The runs that `down` has to cancel first.

    None may be left without its image, its bucket and its record; those on EKS need them, too.

    Raises:
        RefusedError: there are some, and `force` is not given.
    """
    active = [
        *((SERVERLESS, run) for run in _own_active(context, seen)),
        *((EKS, run) for run in _active_on_eks(context)),
    ]
    if active and not force:
        names = ", ".join(f"{run.id} ({run.state})" for _, run in active)
        raise RefusedError(f"runs are active: {names}: wait for their end, or cancel them with `down --force`")
    return active


def _end_runs(context: Context, seen: Observed, *, force: bool) -> None:
    active = runs_to_end(context, seen, force=force)
    for target, run in active:
        context.say(f"cancel run {run.id}")
        runs.cancel_run(context.aws, target, run.place, run.id)
    for target, run in active:
        _await_end(context, target, run)


def _await_end(context: Context, target: Target, run: Run) -> None:
    wait_for(
        lambda: runs.get_run(context.aws, target, run.place, run.id),
        lambda found: target.phases[found.state].final,
        what="the end of the cancelled runs",
        seconds=_CANCELLING,
        pace=context.pace,
        say=context.say,
    )


def _own_active(context: Context, seen: Observed) -> list[Run]:
    own = {application.id for application in seen.applications if is_own(context.site, application.tags)}
    return [run for run in seen.active if run.place in own]


def _active_on_eks(context: Context) -> list[Run]:
    """Ours only: a virtual cluster has the runs of others, too."""
    if context.site.spec.eks is None:
        return []
    listed = runs.list_runs_if_any(context.aws, EKS, context.site.spec.eks.virtual_cluster, active=True)
    return [run for run in listed if is_own(context.site, run.tags)]


def _adopt(context: Context, seen: Observed) -> None:
    """Record an application that was found and is not recorded.

    Its record was lost, or the call that made it was cut off.
    """
    own = [application for application in seen.applications if is_own(context.site, application.tags)]
    if own and context.record.read().made.get("application") != own[0].id:
        context.record.change(lambda known: known.with_made("application", own[0].id))
