"""Start a run, once, whatever is killed in between.

A run's name carries a hash of what it does, and its client token follows from that and the runs of that name so far. So
a call that is repeated, on this machine or another one, finds the run by its name; and where AWS does not list it yet,
it calls with the same token, for which the service starts one run only.
"""

from collections.abc import Mapping
from dataclasses import replace

from orchard_deploy import emr
from orchard_deploy.context import Context
from orchard_deploy.emr import Run
from orchard_deploy.errors import InvalidError, RefusedError
from orchard_deploy.image import ecr
from orchard_deploy.runs.payloads import Payload, hash_of, start_job_run
from orchard_deploy.site import Site
from orchard_deploy.stack.state import check_buckets, require_outputs
from orchard_deploy.targets import Target
from orchard_deploy.terminal import LeavingError


def submit(context: Context, *, extra: tuple[str, ...] = (), photos: int | None = None) -> Run:
    """Start a run, or find the active one that does the very same; raises what `look_ahead` raises."""
    request, same = look_ahead(context, extra=extra, photos=photos)
    if same:
        return same
    try:
        return replace(_start(context, request), created=context.now())
    except (KeyboardInterrupt, LeavingError):
        context.say(
            f"a run may have been started: `orchard-deploy status{context.target.flag}` shows it, `cancel` ends it"
        )
        raise


def look_ahead(context: Context, *, extra: tuple[str, ...], photos: int | None) -> tuple[Payload, Run | None]:
    """What `submit` would start, by what AWS has now; and the active run that does the very same, if there is one.

    `RefusedError` if stack, image or bucket are not there, or not as the specification says; or there are no photos.
    `SpecError` if the specification, or an `extra` argument of the job, cannot work.
    """
    aws, site, target, tag = context.aws, context.site, context.target, context.tag
    outputs = require_outputs(aws, site, target)
    digest = ecr.find_digest(aws, site.spec.repository, tag)
    check_buckets(aws, site, target)
    check_run(site, target, outputs=outputs, tag=tag, digest=digest, photos=photos)
    request = start_job_run(site, target, outputs=outputs, tag=tag, digest=digest, extra=extra, photos=photos)
    named = [run for run in emr.list_runs(context, target, outputs) if run.name == request["name"]]
    same = next((emr.get_run(aws, run) for run in named if not run.over), None)
    if same:
        context.say(f"run {same.id} does the very same and is not over: not started again")
    return {**request, "clientToken": hash_of([request, sorted(run.id for run in named)])}, same


def check_run(
    site: Site, target: Target, *, outputs: Mapping[str, str], tag: str, digest: str | None, photos: int | None
) -> None:
    """Raise `RefusedError` for a run without its image or without photos."""
    image = f"{site.spec.repository}:{tag}"
    if digest is None:
        raise RefusedError(f"{image}: ECR does not have it: `orchard-deploy build`, `push`, then `up`")
    if photos == 0 and site.command.photos:  # its run would be paid for, too
        raise RefusedError(
            f"input {site.account.mask(str(site.input))}: no photos in it: copy them there (aws s3 sync)"
        )
    if target.has_application and outputs.get("Image") != f"{outputs['RepositoryUri']}@{digest}":
        raise RefusedError(
            f"stack {site.spec.name}: its application does not have image {image} yet: `orchard-deploy up` gives it"
        )


def _start(context: Context, request: Payload) -> Run:
    aws, target = context.aws, context.target
    try:
        return emr.start_run(aws, target, request)
    except InvalidError:
        # An idle application may begin to stop at any moment, and takes no runs until it has stopped.
        application = request.get("applicationId")
        if not application or emr.application_state(aws, application) not in emr.PASSING:
            raise
        emr.settle(context, application)
        return emr.start_run(aws, target, request)
