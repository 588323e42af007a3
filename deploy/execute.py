"""Do what was planned, one call after the other, and record what exists at the moment it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from deploy.aws import s3, serverless
from deploy.aws.session import Aws
from deploy.errors import AwsError, UnavailableError, WaitError
from deploy.plan import Action
from deploy.record import RecordFile
from deploy.waiting import Pace, wait_for

# Seconds for an application to be made, to change or to stop; half a minute is usual.
SETTLING = 600.0
# What AWS says when what is to be deleted is not there: a killed `down` got so far.
_GONE = {"NoSuchEntity", "RepositoryNotFoundException", "NoSuchBucket", "ResourceNotFoundException"}

# What S3 says when its answer to the same call was lost and botocore asked again.
_MADE_ALREADY = "BucketAlreadyOwnedByYou"


def execute(actions: Iterable[Action], aws: Aws, record: RecordFile, *, pace: Pace, say: Callable[[str], None]) -> None:
    """Carry a plan out.

    Raises:
        AwsError: a call was refused; everything before it is done and recorded. WaitError: an application does not
            settle.
    """
    for action in actions:
        say(action.about)
        _announce(action, record)
        answer = _call(action, aws, record)
        _note(action, answer, record)
        if action.settles:
            settle(
                aws,
                answer.get("applicationId") or action.parameters["applicationId"],
                action.settles,
                pace=pace,
                say=say,
            )


def settle(aws: Aws, application: str, states: Iterable[str], *, pace: Pace, say: Callable[[str], None]) -> None:
    """Wait until an application is in one of these states, or gone."""
    wanted = frozenset(states)
    try:
        wait_for(
            lambda: serverless.get_application(aws, application),
            lambda found: found is None or found.state in wanted,
            what=f"application {application} to be {' or '.join(sorted(wanted))}",
            seconds=SETTLING,
            pace=pace,
            say=say,
        )
    except WaitError as error:
        raise WaitError(f"{error}: see `orchard-deploy status`, then call again") from error


def _announce(action: Action, record: RecordFile) -> None:
    """Before the call: from here on a thing whose name we chose counts as ours if it turns out to exist."""
    if action.makes and action.name:
        kind, name = action.makes, action.name
        record.change(lambda known: known.with_made(kind, name))


def _call(action: Action, aws: Aws, record: RecordFile) -> dict[str, str]:
    if action.empties:
        s3.empty_bucket(aws, action.parameters["Bucket"])
    try:
        return aws.call(action.service, action.operation, action.parameters)
    except AwsError as error:
        if (action.removes and error.code in _GONE) or (action.makes and error.code == _MADE_ALREADY):
            return {}
        if action.makes and action.name and not isinstance(error, UnavailableError):
            kind = action.makes
            record.change(lambda known: known.without(kind))  # refused: it is not there, or someone else's
        raise


def _note(action: Action, answer: dict[str, str], record: RecordFile) -> None:
    """After the call: the id that AWS chose, or that the thing is gone."""
    if action.makes and action.result:
        kind, name = action.makes, answer[action.result]
        record.change(lambda known: known.with_made(kind, name))
    if action.removes:
        removed = action.removes
        record.change(lambda known: known.without(removed))
