"""Start a planned run, once, whatever is killed in between.

Before the call its token is recorded, after it the run's id. If the process dies between the two, the next one looks
for a run whose name carries the token; if there is none, it calls again with the same token, for which the service
starts one run only.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from orchard_deploy import emr
from orchard_deploy.context import Context
from orchard_deploy.errors import InvalidError
from orchard_deploy.image import ecr
from orchard_deploy.runs.known import look, recover
from orchard_deploy.runs.payloads import Payload, identified
from orchard_deploy.runs.planning import PlannedRun, Wanted, plan_run
from orchard_deploy.runs.record import Submission
from orchard_deploy.stack.state import require_outputs
from orchard_deploy.stack.up import check_buckets
from orchard_deploy.terminal import LeavingError

# Seconds after which a submission that no run carries the token of is given up.
_FORGOTTEN = 3600.0


def submit(context: Context, wanted: Wanted) -> Submission:
    """Start a run; or find the one that an interrupted call started.

    Raises:
        ImageError, RefusedError, SpecError: as `look_ahead`.
    """
    with context.record.acting():
        planned = look_ahead(context, wanted)
        submission = under_way(context, planned) or _announce(context, planned)
        return submission if submission.run else _start(context, submission, planned.request)


def look_ahead(context: Context, wanted: Wanted) -> PlannedRun:
    """What `submit` would start, by what AWS has now.

    Raises:
        RefusedError: the stack is not there, or not as the specification says; a bucket cannot be used; no photos.
        ImageError: the repository does not have the image. SpecError: the specification cannot work.
    """
    aws, site, target = context.aws, context.site, context.target
    outputs = require_outputs(aws, site, target)
    digest = ecr.find_digest(aws, site.spec.repository, context.tag)
    check_buckets(aws, site, target)
    return plan_run(site, target, wanted, outputs=outputs, tag=context.tag, digest=digest)


def under_way(context: Context, planned: PlannedRun) -> Submission | None:
    """The submission that this one repeats: announced by a call that was interrupted, or with a run that is not over.

    Two runs of one request would write the same output, so the second is never what anyone wants.
    """
    wanted = planned.entry
    interrupted = {entry.token for entry in context.record.read() if not entry.run}
    for entry in reversed(recover(context)):
        if (entry.request, entry.place, entry.target) != (wanted.request, wanted.place, wanted.target):
            continue
        if entry.token in interrupted and context.now() - entry.submitted < _FORGOTTEN:
            return entry
        if entry.run and _is_active(context, entry):
            context.say(f"run {entry.run} does the very same and is not over: not started again")
            return entry
    return None


def _is_active(context: Context, entry: Submission) -> bool:
    phases = context.target.phases
    if entry.state and phases[entry.state].final:
        return False
    return not phases[look(context, entry)[1].state].final


def _announce(context: Context, planned: PlannedRun) -> Submission:
    return context.record.keep(replace(planned.entry, token=secrets.token_hex(16), submitted=context.now()))


def _start(context: Context, submission: Submission, request: Payload) -> Submission:
    named = identified(context.site, request, submission.token)
    try:
        answer = _call_start(context, submission, named)
        return context.record.keep(replace(submission, run=answer[context.target.run_key]))
    except (KeyboardInterrupt, LeavingError):
        context.say("a run may have been started: `orchard-deploy status` shows it, `cancel` ends it")
        raise


def _call_start(context: Context, submission: Submission, named: Payload) -> dict[str, Any]:
    try:
        return context.aws.call(context.target.service, "start_job_run", named)
    except InvalidError:
        # An idle application may begin to stop at any moment, and takes no runs until it has stopped.
        if not _was_stopping(context, submission.place):
            raise
        return context.aws.call(context.target.service, "start_job_run", named)


def _was_stopping(context: Context, application: str) -> bool:
    if not context.target.needs_application or emr.application_state(context.aws, application) not in emr.PASSING:
        return False
    emr.settle(context.aws, application, emr.AT_REST | {"STARTED"}, pace=context.pace, say=context.say)
    return True
