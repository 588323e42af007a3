"""What `submit` would do, step by step, by the very checks and plans that it goes by itself.

Nothing is made or changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from deploy.context import Context
from deploy.ensure import look_up
from deploy.observed import Observed
from deploy.plan import own_application, plan_application
from deploy.submit import (
    Wanted,
    check_photos,
    check_ready,
    main_place,
    new_token,
    observe_settled,
    start_payload,
    under_way,
)
from deploy.targets import SERVERLESS


def preview(context: Context, wanted: Wanted, *, up: bool) -> dict[str, Any] | None:
    """Say what `submit` would do now; `up` as in `submit --up`.

    Returns:
        The input of the call that would start the run, but for its token; None if a run that does the very same is not
            over.

    Raises:
        ImageError, RefusedError: what `submit` would raise, after the steps that it would come to before.
    """
    seen = observe_settled(context)
    if up:
        _preview_up(context, seen, wanted)
    else:
        check_ready(context, seen, wanted.photos)
        _tell(context, _application_steps(context, seen))
    return _preview_run(context, seen, wanted)


def _preview_up(context: Context, seen: Observed, wanted: Wanted) -> None:
    _tell(context, (action.about for action in look_up(context, seen).actions))
    if seen.digest is None:
        _tell(context, [f"push {context.site.spec.repository}:{context.tag} to ECR in {context.site.account.region}"])
    check_photos(context.site, wanted.photos or 0)  # not counted: in the bucket that is yet to be made
    if seen.digest is None:
        _tell(context, _application_steps(context, seen))


def _application_steps(context: Context, seen: Observed) -> Iterator[str]:
    if context.target is SERVERLESS:
        yield from (
            action.about for action in plan_application(context.site, seen, tag=context.tag, new_token=new_token)
        )


def _preview_run(context: Context, seen: Observed, wanted: Wanted) -> dict[str, Any] | None:
    place, entry_point = _place(context, seen), None
    if wanted.main_file:
        entry_point = str(main_place(context, wanted.main_file))
        _tell(context, [f"upload {wanted.main_file} as {entry_point}"])
    request = start_payload(
        context, place=place, token="", digest=seen.digest, extra=wanted.extra, entry_point=entry_point
    )
    same = under_way(context, place, request)
    if same and same.run:
        return None
    _tell(context, [f"start a run of {context.site.spec.repository}:{context.tag}"])
    return {name: value for name, value in request.items() if name != "clientToken"}


def _place(context: Context, seen: Observed) -> str:
    """The virtual cluster, or the application's id as long as there is one."""
    if context.target is not SERVERLESS:
        return context.site.spec.eks.virtual_cluster if context.site.spec.eks else ""
    application = own_application(context.site, seen)
    return application.id if application else ""


def _tell(context: Context, steps: Iterable[str]) -> None:
    for step in steps:
        context.say(f"to do       {step}")
