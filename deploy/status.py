"""What exists, what differs from the specification, and how far the runs are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.choose import known_runs
from deploy.context import Context
from deploy.ensure import look_up
from deploy.errors import RefusedError
from deploy.observed import Application, Bucket, Observed, Repository, Role, Run
from deploy.plan import bucket_is_own, is_own
from deploy.record import Submission
from deploy.site import Site
from deploy.targets import SERVERLESS
from deploy.verify import look

# Runs that are shown, from the last one back.
_SHOWN = 10


def status_facts(context: Context) -> dict[str, Any]:
    """Everything as plain data."""
    runs = [
        {
            "id": entry.run,
            "state": run.state if run else entry.state or "not known to AWS",
            "details": run.details if run else "",
            "tag": entry.tag,
            "digest": entry.digest,
            "ran": entry.ran,
            "submitted": entry.submitted,
            "photos": entry.photos,
        }
        for entry, run in _shown(context)
    ]
    try:
        plan = look_up(context)
        to_do, seen = [action.about for action in plan.actions], plan.seen
    except RefusedError as error:
        from deploy.aws.observe import observe

        to_do, seen = [str(error)], observe(context.aws, context.site, context.tag, context.target)
    return {"region": context.site.account.region, "things": _things(context, seen), "to_do": to_do, "runs": runs}


def status_lines(facts: dict[str, Any]) -> Iterator[str]:
    """The same for a person."""
    yield f"{'region':12}{facts['region']}"
    for thing in facts["things"]:
        yield f"{thing['kind']:12}{thing['name']}: {thing['state']}"
    for line in facts["to_do"]:
        yield f"{'to do':12}{line}"
    for run in facts["runs"]:
        details = f" ({run['details']})" if run["details"] else ""
        yield f"{'run':12}{run['id'] or 'not started'}: {run['state']}{details}, {_image(run)}"


def _shown(context: Context) -> list[tuple[Submission, Run | None]]:
    """The last runs; a listing does not tell their images, so those that nobody has verified yet are asked for."""
    return [
        (entry if entry.ran or run is None else look(context, entry)[0], run)
        for entry, run in known_runs(context)[-_SHOWN:]
    ]


def _image(run: dict[str, Any]) -> str:
    """The image of a run, and whether it is known to be the one that was asked for."""
    named = f"image {run['tag'] or run['ran'] or 'unknown'}"
    if not (run["ran"] and run["digest"]):
        return named
    return (
        f"{named}, verified"
        if run["ran"] == run["digest"]
        else f"{named}, but it ran {run['ran']}, not {run['digest']}"
    )


def _things(context: Context, seen: Observed) -> list[dict[str, str]]:
    site, spec, recorded = context.site, context.site.spec, context.record.read().made
    tag = f"{spec.repository}:{context.tag}"
    things = [
        _thing("repository", spec.repository, _whose(site, seen.repository)),
        _thing("image", tag, seen.digest or "not in ECR"),
    ]
    if site.bucket:
        state = "made by orchard-deploy" if bucket_is_own(site, seen, recorded) else _whose(site, seen.bucket)
        things.append(_thing("bucket", site.account.mask(site.bucket), state))
    if context.target is SERVERLESS:
        things.append(_thing("role", site.role, _whose(site, seen.role)))
        things += [
            _thing("application", found.id, f"{found.state}, {_whose(site, found)}") for found in seen.applications
        ]
        if not seen.applications:
            things.append(_thing("application", spec.name, _whose(site, None)))
    return things


def _thing(kind: str, name: str, state: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "state": state}


def _whose(site: Site, found: Application | Bucket | Repository | Role | None) -> str:
    if found is None:
        return "there is none"
    return "made by orchard-deploy" if is_own(site, found.tags) else "made by someone else"
