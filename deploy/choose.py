"""Which run a command is about: the one that was named, or the last one, recorded or not."""

from __future__ import annotations

from deploy.aws import runs, serverless
from deploy.context import Context
from deploy.errors import RefusedError
from deploy.observed import Run
from deploy.plan import is_own
from deploy.record import Submission
from deploy.submit import recover
from deploy.targets import SERVERLESS


def known_runs(context: Context) -> list[tuple[Submission, Run | None]]:
    """Every run of the target, oldest first: what was recorded, and what AWS lists, as far as either knows it."""
    record, target = recover(context), context.target
    recorded = {entry.run: entry for entry in record.runs if entry.target == target.name}
    listed = {run.id: run for place in _places(context) for run in runs.list_runs(context.aws, target, place)}
    entries = [
        *recorded.values(),
        *(_unrecorded(context, run) for run in listed.values() if run.id not in recorded and _is_ours(context, run)),
    ]
    return sorted(((entry, listed.get(entry.run or "")) for entry in entries), key=lambda pair: pair[0].submitted)


def choose_run(context: Context, run: str | None) -> Submission:
    """The run with this id, or the last one.

    Raises:
        RefusedError: there is none.
    """
    known = [entry for entry, _ in known_runs(context) if entry.run]
    found = [entry for entry in known if run in (None, entry.run)]
    if found:
        return found[-1]
    if run is None:
        raise RefusedError(f"runs of {context.site.spec.name}: there are none: `orchard-deploy submit` starts one")
    names = ", ".join(entry.run or "" for entry in known[-5:]) or "none"
    raise RefusedError(
        f"run {run}: {context.site.spec.name} has no such run on {context.target.name}; the last ones are {names}"
    )


def _places(context: Context) -> list[str]:
    """The applications of this specification, or its virtual cluster."""
    spec = context.site.spec
    if context.target is not SERVERLESS:
        return [spec.eks.virtual_cluster] if spec.eks else []
    return [
        found.id for found in serverless.find_applications(context.aws, spec.name) if is_own(context.site, found.tags)
    ]


def _is_ours(context: Context, run: Run) -> bool:
    """An application is ours as a whole; a virtual cluster has the runs of others, too."""
    return context.target is SERVERLESS or is_own(context.site, run.tags)


def _unrecorded(context: Context, run: Run) -> Submission:
    """A run that no record tells of: another machine submitted it, or the record was lost."""
    tag = run.tags.get("orchard:image", "")
    return Submission(
        token="",
        request="",
        target=context.target.name,
        place=run.place,
        tag=tag,
        digest="",
        submitted=run.created or 0.0,
        run=run.id,
    )
