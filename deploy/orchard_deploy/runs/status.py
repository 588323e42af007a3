"""What exists, what differs from the specification, and how far the runs are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchard_deploy import emr
from orchard_deploy.context import Context
from orchard_deploy.image import ecr
from orchard_deploy.runs.known import known_runs, look
from orchard_deploy.stack.state import Stack, find_stack, obstacle, outdated

# Runs that are shown, from the last one back.
_SHOWN = 10


def status_facts(context: Context) -> dict[str, Any]:
    """Everything as plain data."""
    runs = list(_run_facts(context))
    stack = find_stack(context.aws, context.site)
    return {"region": context.site.account.region, "stack": _stack_facts(context, stack), "runs": runs}


def status_lines(facts: dict[str, Any]) -> Iterator[str]:
    """The same for a person."""
    yield f"{'region':12}{facts['region']}"
    stack = facts["stack"]
    yield f"{'stack':12}{stack['name']}: {stack['status']}"
    yield from (f"{'':12}{name}: {value}" for name, value in stack["outputs"].items())
    if stack["application"]:
        yield f"{'application':12}{stack['application']}"
    if stack["to_do"]:
        yield f"{'to do':12}{stack['to_do']}"
    for run in facts["runs"]:
        details = f" ({run['details']})" if run["details"] else ""
        yield f"{'run':12}{run['id'] or 'not started'}: {run['state']}{details}, {_image(run)}"


def _run_facts(context: Context) -> Iterator[dict[str, Any]]:
    """The last runs; a listing does not have their images, so those that nobody has verified yet are asked for."""
    for entry, run in known_runs(context)[-_SHOWN:]:
        seen = entry if entry.ran or run is None else look(context, entry)[0]
        yield {
            "id": seen.run,
            "state": run.state if run else seen.state or "not known to AWS",
            "details": context.site.account.mask(run.details) if run else "",
            **{name: getattr(seen, name) for name in ("tag", "digest", "ran", "submitted", "photos")},
        }


def _stack_facts(context: Context, stack: Stack | None) -> dict[str, Any]:
    site, application = context.site, stack.outputs.get("Application") if stack else None
    to_do = _to_do(context, stack)
    return {
        "name": site.slug,
        "status": stack.status if stack else "there is none",
        "outputs": {name: site.account.mask(value) for name, value in stack.outputs.items()} if stack else {},
        "application": application and emr.application_state(context.aws, application),
        "to_do": to_do and site.account.mask(to_do),
    }


def _to_do(context: Context, stack: Stack | None) -> str | None:
    site, image = context.site, f"{context.site.spec.repository}:{context.tag}"
    digest = ecr.find_digest(context.aws, site.spec.repository, context.tag)
    if stack is None:
        return "`orchard-deploy up` makes it"
    if line := obstacle(stack) or outdated(site, stack, context.target):
        return line
    if digest is None:
        return f"image {image} is not in ECR: `orchard-deploy build`, `push`, then `up`"
    if context.target.needs_application and stack.parameters.get("ImageDigest") != digest:
        return f"the application has another image than {image}: `orchard-deploy up`"
    return None


def _image(run: dict[str, Any]) -> str:
    """The image of a run, and whether it is known to be the one that was asked for."""
    named = f"image {run['tag'] or run['ran'] or 'unknown'}"
    if not (run["ran"] and run["digest"]):
        return named
    if run["ran"] == run["digest"]:
        return f"{named}, verified"
    return f"{named}, but it ran {run['ran']}, not {run['digest']}"
