"""Which runs there are, how they are, and whether each ran the image that its tag meant at submission."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orchard_deploy import emr
from orchard_deploy.context import Context
from orchard_deploy.emr import Run
from orchard_deploy.errors import AwsError, RefusedError
from orchard_deploy.runs.payloads import eks_cluster, run_name
from orchard_deploy.runs.record import Submission
from orchard_deploy.stack.state import find_stack, is_own
from orchard_deploy.targets import TARGETS


def known_runs(context: Context) -> list[tuple[Submission, Run | None]]:
    """Every run of the target, oldest first: what was recorded, and what AWS lists, as far as either knows it."""
    target, place = context.target, _place(context)
    recorded = {entry.run: entry for entry in recover(context) if entry.target == target.name}
    listed = {run.id: run for run in emr.list_runs(context.aws, target, place)} if place else {}
    # An application is ours as a whole; a virtual cluster has the runs of others, too.
    ours = (run for run in listed.values() if target.needs_application or is_own(context.site, run.tags))
    entries = [*recorded.values(), *(_unrecorded(context, run) for run in ours if run.id not in recorded)]
    return sorted(((entry, listed.get(entry.run or "")) for entry in entries), key=lambda pair: pair[0].submitted)


def choose_run(context: Context, run: str | None) -> Submission:
    """The run with this id, or the last one, once its image is verified, as far as the service still knows the run.

    Raises:
        RefusedError: there is none.
    """
    known = [entry for entry, _ in known_runs(context) if entry.run]
    found = [entry for entry in known if run in (None, entry.run)]
    if found:
        return verified(context, found[-1])
    if run is None:
        raise RefusedError(f"runs of {context.site.spec.name}: there are none: `orchard-deploy submit` starts one")
    names = ", ".join(entry.run or "" for entry in known[-5:]) or "none"
    raise RefusedError(
        f"run {run}: {context.site.spec.name} has no such run on {context.target.name}; the last ones are {names}"
    )


def recover(context: Context) -> tuple[Submission, ...]:
    """The record, with the ids of runs that were started by calls whose end nobody recorded."""
    entries = context.record.read()
    lost = [entry for entry in entries if not entry.run]
    for entry in _found(context, lost):
        context.say(f"run {entry.run} was started by an earlier call that was interrupted before it recorded that")
        context.record.keep(entry)
    return context.record.read() if lost else entries


def _found(context: Context, lost: list[Submission]) -> Iterator[Submission]:
    """Submissions without an id, with those of the runs that carry their names."""
    for target, place in {(entry.target, entry.place) for entry in lost}:
        ids = {run.name: run.id for run in emr.list_runs_if_any(context.aws, TARGETS[target], place)}
        for entry in lost:
            name = run_name(context.site, entry.token)
            if (entry.target, entry.place) == (target, place) and name in ids:
                yield replace(entry, run=ids[name])


def look(context: Context, entry: Submission) -> tuple[Submission, Run]:
    """A run as it is now, and its entry.

    The first command that sees a run's image records it; a wrong one is said at once.
    """
    run = emr.get_run(context.aws, entry.service, entry.place, entry.run or "")
    if run.digest is None or run.digest == entry.ran:
        return entry, run
    seen = replace(entry, ran=run.digest)
    context.record.keep(seen)
    if wrong := wrong_image(seen):
        context.say(wrong)
    return seen, run


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


def _place(context: Context) -> str | None:
    """The application of this specification's stack, or its virtual cluster."""
    if not context.target.needs_application:
        return eks_cluster(context.site)
    stack = find_stack(context.aws, context.site)
    return stack.outputs.get("Application") if stack else None


def _unrecorded(context: Context, run: Run) -> Submission:
    """A run that no record tells of: another machine submitted it, or the record was lost."""
    tag, created = run.tags.get("orchard:image", ""), run.created or 0.0
    return Submission(target=context.target.name, place=run.place, tag=tag, submitted=created, run=run.id)
