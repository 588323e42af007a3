"""Which runs there are, and what exists beside them: all of it as AWS has it now."""

from collections.abc import Iterator
from typing import Any

from orchard_deploy import emr
from orchard_deploy.context import Context
from orchard_deploy.emr import Run
from orchard_deploy.errors import RefusedError
from orchard_deploy.image import ecr
from orchard_deploy.stack.state import Stack, find_stack, obstacle, outdated


def choose_run(context: Context, run: str | None) -> Run:
    """The run with this id, or the last one, or `RefusedError`; says so if its image is not the submitted one."""
    stack = find_stack(context.aws, context.site) if context.target.has_application else None
    known = emr.list_runs(context, context.target, stack.outputs if stack else {})
    found = [each for each in known if run in (None, each.id)]
    if not found and run is None:
        raise RefusedError(f"runs of {context.site.spec.name}: there are none: `orchard-deploy submit` starts one")
    if not found:
        names = ", ".join(each.id for each in known[-5:]) or "none"
        raise RefusedError(
            f"run {run}: {context.site.spec.name} has no such run on {context.target.name}; the last ones are {names}"
        )
    chosen = emr.get_run(context.aws, found[-1])
    if chosen.wrong_image:
        context.say(chosen.wrong_image)
    return chosen


def status_facts(context: Context) -> dict[str, Any]:
    """The stack, what is to be done, and the last runs, as plain data."""
    site, stack = context.site, find_stack(context.aws, context.site)
    outputs, mask = stack.outputs if stack else {}, site.account.mask
    application, runs = outputs.get("Application"), emr.list_runs(context, context.target, outputs)
    return {
        "region": site.account.region,
        "stack": {
            "name": site.spec.name,
            "status": stack.status if stack else "there is none",
            "outputs": {name: mask(value) for name, value in outputs.items()},
            "application": application and emr.application_state(context.aws, application),
            "to_do": mask(_to_do(context, stack)),
        },
        "runs": [emr.get_run(context.aws, run).facts(mask) for run in runs[-10:]],
    }


def status_lines(facts: dict[str, Any]) -> Iterator[str]:
    """The same for a person."""
    yield f"{'region':12}{facts['region']}"
    stack = facts["stack"]
    yield f"{'stack':12}{stack['name']}: {stack['status']}"
    yield from (f"{'':12}{name}: {value}" for name, value in stack["outputs"].items())
    yield from (f"{name.replace('_', ' '):12}{stack[name]}" for name in ("application", "to_do") if stack[name])
    for run in facts["runs"]:
        details = f" ({run['details']})" if run["details"] else ""
        yield f"{'run':12}{run['run']}: {run['state']}{details}, {_image(run)}"


def _to_do(context: Context, stack: Stack | None) -> str:
    """What to do next, if anything."""
    if stack is None:
        return "`orchard-deploy up` makes it"
    if line := obstacle(stack) or outdated(context.site, stack, context.target):
        return line
    repository, tag = context.site.spec.repository, context.tag
    digest = ecr.find_digest(context.aws, repository, tag)
    if digest is None:
        return f"image {repository}:{tag} is not in ECR: `orchard-deploy build`, `push`, then `up`"
    if context.target.has_application and stack.parameters.get("ImageDigest") != digest:
        return f"the application has another image than {repository}:{tag}: `orchard-deploy up`"
    return ""


def _image(run: dict[str, Any]) -> str:
    """The image of a run, and whether it is known to be the one that was submitted."""
    named = f"image {run['tag'] or run['ran'] or 'unknown'}"
    wrong = f"{named}, but it ran {run['ran']}, not {run['digest']}"
    verified = f"{named}, verified" if run["ran"] == run["digest"] else wrong
    return verified if run["ran"] and run["digest"] else named
