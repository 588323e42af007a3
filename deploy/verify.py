"""Ask how a run is. The first to hear which image it runs holds that against what its tag meant at submission.

The first to hear writes it down.
"""

from __future__ import annotations

from dataclasses import replace

from deploy.aws import runs
from deploy.context import Context
from deploy.errors import AwsError
from deploy.observed import Run
from deploy.record import Submission
from deploy.targets import TARGETS


def look(context: Context, entry: Submission) -> tuple[Submission, Run]:
    """A run as it is now, and its entry; the record learns of its image here, and a wrong one is said at once."""
    run = runs.get_run(context.aws, TARGETS[entry.target], entry.place, entry.run or "")
    if run.digest is None or run.digest == entry.ran:
        return entry, run
    digest, heard = run.digest, replace(entry, ran=run.digest)
    if context.record.read().find(run.id):  # else another machine's record is where it belongs
        context.record.change(lambda known: known.with_ran(run.id, digest))
    if wrong := wrong_image(heard):
        context.say(wrong)
    return heard, run


def verified(context: Context, entry: Submission) -> Submission:
    """The entry once its image is verified, as far as the service still knows the run and says which one it is."""
    if entry.ran:
        if wrong := wrong_image(entry):
            context.say(wrong)
        return entry
    try:
        return look(context, entry)[0]
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        return entry


def wrong_image(entry: Submission) -> str | None:
    """What to say of a run of another image than its tag meant at submission.

    None where it is the same, or one of them is not known.
    """
    if not (entry.ran and entry.digest) or entry.ran == entry.digest:
        return None
    return (
        f"run {entry.run}: it ran image {entry.ran}, not {entry.digest} ({entry.tag}): someone changed the application "
        "meanwhile: `orchard-deploy up` sets it right, then submit again"
    )
