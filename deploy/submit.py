"""Submit a run, once: whatever is killed in between, a repeated call starts nothing twice and loses nothing.

Before the call its token is recorded, after it the run's id. If the process dies between the two, the next one looks
for a run whose name carries the token; if there is none, it calls again with the same token, for which the service
starts one run only.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy import payloads
from deploy.aws import runs, s3, serverless
from deploy.aws.observe import observe
from deploy.context import Context
from deploy.errors import ImageError, InvalidError, RefusedError, SpecError
from deploy.execute import execute, settle
from deploy.observed import Observed, Run
from deploy.places import check_places
from deploy.plan import APPLICATION, AT_REST, PASSING, is_own, own_application, plan_application, plan_rights
from deploy.record import Record, Submission
from deploy.site import S3Place, Site
from deploy.targets import SERVERLESS, TARGETS
from deploy.verify import look

# Seconds after which a submission that no run carries the token of is given up.
_FORGOTTEN = 3600.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a submission asks for beside the specification.

    Attributes:
        extra: further arguments of the job.
        main_file: to upload and run instead of the image's own.
        photos: that the run takes of the input, if they were counted.
    """

    extra: tuple[str, ...] = ()
    main_file: Path | None = None
    photos: int | None = None


def new_token() -> str:
    """A client token."""
    return secrets.token_hex(16)


def submit(context: Context, wanted: Wanted) -> Submission:
    """Bring the application up to date and start a run; or find the one that an interrupted call started.

    Raises:
        ImageError: the repository does not have the image. RefusedError: something is missing, in the way, or not ours.
    """
    with context.record.acting():
        seen = observe_settled(context)
        check_ready(context, seen, wanted.photos)
        place = _ready_place(context, seen)
        entry_point = _upload(context, wanted.main_file)
        request = start_payload(
            context, place=place, token="", digest=seen.digest, extra=wanted.extra, entry_point=entry_point
        )
        submission = under_way(context, place, request) or _announce(context, place, request, seen.digest or "", wanted)
        return submission if submission.run else _start(context, submission, request)


def check_ready(context: Context, seen: Observed, photos: int | None = None) -> None:
    """Raise unless everything is there that a run needs beside the application."""
    site = context.site
    if seen.digest is None:
        where = f"{site.spec.repository}:{context.tag}"
        raise ImageError(
            f"{where}: ECR does not have it: `orchard-deploy up` makes the repository, `build` and `push` the image"
        )
    if site.bucket and seen.bucket is None:
        raise RefusedError(f"bucket {site.account.mask(site.bucket)}: there is none: `orchard-deploy up` makes it")
    check_places(site, seen, context.target)
    if context.target is SERVERLESS:
        _check_role(site, seen)
    check_photos(site, photos)


def check_photos(site: Site, photos: int | None) -> None:
    """Raise `RefusedError` if the input was counted and is empty: its run would be paid for, too."""
    if photos == 0 and site.command.photos:
        raise RefusedError(
            f"input {site.account.mask(str(site.input))}: no photos in it: copy them there (aws s3 sync)"
        )


def _check_role(site: Site, seen: Observed) -> None:
    """A role that was made for another `output`, say, lets a run compute and then not write.

    One that someone else made is their affair.
    """
    if seen.role is None:
        raise RefusedError(f"role {site.role}: there is none: `orchard-deploy up` makes it")
    if is_own(site, seen.role.tags) and any(plan_rights(site, seen)):
        raise RefusedError(
            f"role {site.role}: it does not let a run do what the specification needs now: `orchard-deploy up` sets it"
        )


def start_payload(
    context: Context,
    *,
    place: str,
    token: str,
    digest: str | None,
    extra: tuple[str, ...] = (),
    entry_point: str | None = None,
) -> payloads.Payload:
    """The input of StartJobRun on the context's target."""
    site, tag = context.site, context.tag
    if context.target is SERVERLESS:
        return payloads.start_job_run(
            site, application=place, token=token, tag=tag, extra=extra, entry_point=entry_point
        )
    image = payloads.image_uri(site, tag, digest)
    return payloads.start_eks_job_run(
        site, cluster=place, token=token, tag=tag, image=image, extra=extra, entry_point=entry_point
    )


def find_started(entries: Iterable[Submission], known: Iterable[Run], name: Mapping[str, str]) -> list[Submission]:
    """Submissions whose id was never recorded, with the ids of the runs that carry their names. Pure.

    Args:
        name: of the run of each token.
    """
    ids = {run.name: run.id for run in known}
    return [
        replace(entry, run=ids[name[entry.token]]) for entry in entries if not entry.run and name[entry.token] in ids
    ]


def recover(context: Context) -> Record:
    """The record, with the ids of runs that were started by calls whose end nobody recorded."""
    open_entries = [entry for entry in context.record.read().runs if not entry.run]
    for target, place in {(entry.target, entry.place) for entry in open_entries}:
        entries = [entry for entry in open_entries if (entry.target, entry.place) == (target, place)]
        names = {entry.token: payloads.run_name(context.site, entry.token) for entry in entries}
        for entry in find_started(entries, runs.list_runs_if_any(context.aws, TARGETS[target], place), names):
            context.say(f"run {entry.run} was started by an earlier call that did not get to say so")
            _keep(context, entry)
    return context.record.read()


def observe_settled(context: Context) -> Observed:
    """What there is, once no application is on its way from one state to another."""
    seen = observe(context.aws, context.site, context.tag, context.target)
    passing = [application.id for application in seen.applications if application.state in PASSING]
    for application in passing:
        settle(context.aws, application, AT_REST | {"STARTED"}, pace=context.pace, say=context.say)
    return observe(context.aws, context.site, context.tag, context.target) if passing else seen


def _ready_place(context: Context, seen: Observed) -> str:
    """Where the run goes: the virtual cluster, or the application once it has this image and this cap."""
    spec = context.site.spec
    if context.target is not SERVERLESS:
        return spec.eks.virtual_cluster if spec.eks else ""
    actions = plan_application(context.site, seen, tag=context.tag, new_token=new_token)
    execute(actions, context.aws, context.record, pace=context.pace, say=context.say)
    known = observe(context.aws, context.site, context.tag) if actions else seen
    application = own_application(context.site, known)
    if application is None:
        raise RefusedError(f"application {spec.name}: it was there a moment ago and is gone: call again")
    if context.record.read().made.get(APPLICATION) != application.id:
        context.record.change(lambda record: record.with_made(APPLICATION, application.id))
    return application.id


def _upload(context: Context, main_file: Path | None) -> str | None:
    if main_file is None:
        return None
    content, place = _content(main_file), main_place(context, main_file)
    s3.write(context.aws, place.bucket, place.prefix, content)
    return str(place)


def main_place(context: Context, main_file: Path) -> S3Place:
    """Where a main file is uploaded to.

    The hash of its content is in the name, so no other run's file is overwritten.
    """
    place = context.site.code
    return S3Place(
        place.bucket, f"{place.prefix}/{hashlib.sha256(_content(main_file)).hexdigest()[:12]}/{main_file.name}"
    )


def _content(main_file: Path) -> bytes:
    try:
        return main_file.read_bytes()
    except OSError as exc:
        raise SpecError(f"--upload-main {main_file}: {exc.strerror}") from exc


def under_way(context: Context, place: str, request: Mapping[str, Any]) -> Submission | None:
    """The submission that this one repeats: announced by a call that was cut off, or with a run that is not over.

    Two runs of one request would write the same output, so the second is never what anyone wants.
    """
    unfinished = {entry.token for entry in context.record.read().runs if not entry.run}
    asked = request_hash(request)
    for entry in reversed(recover(context).runs):
        if (entry.request, entry.place, entry.target) != (asked, place, context.target.name):
            continue
        if entry.token in unfinished and context.now() - entry.submitted < _FORGOTTEN:
            return entry
        if entry.run and _is_active(context, entry):
            context.say(f"run {entry.run} does the very same and is not over: not started again")
            return entry
    return None


def _is_active(context: Context, entry: Submission) -> bool:
    if entry.state and context.target.phases[entry.state].final:
        return False
    _, found = look(context, entry)
    return not context.target.phases[found.state].final


def _announce(context: Context, place: str, request: Mapping[str, Any], digest: str, wanted: Wanted) -> Submission:
    submission = Submission(
        token=new_token(),
        request=request_hash(request),
        target=context.target.name,
        place=place,
        tag=context.tag,
        digest=digest,
        submitted=context.now(),
        photos=wanted.photos,
    )
    return _keep(context, submission)


def _start(context: Context, submission: Submission, request: Mapping[str, Any]) -> Submission:
    named = {**request, "clientToken": submission.token, "name": payloads.run_name(context.site, submission.token)}
    try:
        answer = context.aws.call(context.target.service, "start_job_run", named)
    except InvalidError:
        # An idle application may begin to stop at any moment, and takes no runs until it has stopped.
        if not _was_stopping(context, submission.place):
            raise
        answer = context.aws.call(context.target.service, "start_job_run", named)
    return _keep(context, replace(submission, run=answer[context.target.run_key]))


def _was_stopping(context: Context, application: str) -> bool:
    found = serverless.get_application(context.aws, application) if context.target is SERVERLESS else None
    if found is None or found.state not in PASSING:
        return False
    settle(context.aws, application, AT_REST | {"STARTED"}, pace=context.pace, say=context.say)
    return True


def _keep(context: Context, submission: Submission) -> Submission:
    context.record.change(lambda known: known.with_run(submission))
    return submission


def request_hash(request: Mapping[str, Any]) -> str:
    """A hash of what is asked for, but for the token and the name that follows from it."""
    asked = {name: value for name, value in request.items() if name not in ("clientToken", "name")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
