"""What CloudFormation does to the stack: change sets, executed or deleted, and deletion, with its events printed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from typing import Any

from orchard_deploy.context import Context
from orchard_deploy.errors import RefusedError
from orchard_deploy.stack.parameters import parameter_list, template
from orchard_deploy.stack.state import IN_REVIEW, SERVICE, Stack, find_stack
from orchard_deploy.waiting import wait_for

_PREFIX = "orchard-deploy-"
# Seconds for CloudFormation to compare a template of five resources with what there is, and to make or delete them; an
# application takes a minute or two.
_COMPARING, _WORKING = 300.0, 1800.0
_NOTHING = re.compile("didn't contain changes|[Nn]o updates are to be performed")
# Name, type and condition of a resource of our own template.
_RESOURCE = re.compile(r"^  (\w+):\n(?:  +#.*\n)*    Type: (AWS::\S+)\n(?:    Condition: (\S+)\n)?", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one resource: `action` is Add, Modify or Remove; one that is replaced is made anew."""

    action: str
    name: str
    type: str
    replaced: bool = False


def additions(parameters: Mapping[str, str]) -> tuple[Change, ...]:
    """What these parameters would make where there is no stack, from the template itself. Pure."""
    conditions = {"HasImage": parameters["ImageDigest"] != "", "MakesBucket": parameters["MakeBucket"] == "yes"}
    return tuple(
        Change(action="Add", name=name, type=kind)
        for name, kind, condition in _RESOURCE.findall(template())
        if conditions.get(condition, True)
    )


def change_lines(changes: Iterable[Change]) -> Iterator[str]:
    """A table for a person: action, name in the template, type, whether it is made anew."""
    for change in changes:
        yield f"{change.action:8}{change.name:14}{change.type:32}replacement {'yes' if change.replaced else 'no'}"


def make_change_set(
    context: Context, stack: Stack | None, parameters: Mapping[str, str]
) -> tuple[str | None, tuple[Change, ...]]:
    """The name of a new change set, and what it would change; no name, and none is left, where nothing would change.

    `RefusedError` if CloudFormation refuses the changes.
    """
    named = {"StackName": context.site.slug, "ChangeSetName": _PREFIX + secrets.token_hex(8)}
    wanted = {
        "ChangeSetType": "UPDATE" if stack else "CREATE",
        "TemplateBody": template(),
        "Parameters": parameter_list(parameters),
        "Tags": [{"Key": key, "Value": value} for key, value in context.site.tags.items()],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    # It exists if a call was repeated whose answer was lost.
    context.aws.find(SERVICE, "create_change_set", {**named, **wanted}, "AlreadyExistsException")
    found = wait_for(
        lambda: context.aws.call(SERVICE, "describe_change_set", named),
        lambda answer: answer["Status"] in ("CREATE_COMPLETE", "FAILED"),
        what=f"the changes of stack {context.site.slug}",
        seconds=_COMPARING,
        pace=context.pace,
        say=context.say,
    )
    if found["Status"] == "CREATE_COMPLETE":
        return named["ChangeSetName"], tuple(_change(each["ResourceChange"]) for each in found.get("Changes", ()))
    delete_change_set(context, named["ChangeSetName"])
    reason = found.get("StatusReason", "no reason given")
    if _NOTHING.search(reason):
        return None, ()
    raise RefusedError(f"stack {context.site.slug}: CloudFormation refuses the changes: {reason}")


def _change(found: Mapping[str, Any]) -> Change:
    return Change(
        action=found["Action"],
        name=found["LogicalResourceId"],
        type=found["ResourceType"],
        replaced=found.get("Replacement", "False") != "False",  # True, or Conditional: CloudFormation cannot tell
    )


def execute_change_set(context: Context, name: str) -> None:
    """Carry the changes out, and wait until that is done; `RefusedError` if something could not be made or changed."""
    named = {"StackName": context.site.slug, "ChangeSetName": name, "ClientRequestToken": name}
    execute = partial(context.aws.call, SERVICE, "execute_change_set", named)
    _watch(context, context.site.slug, execute, wanted=("CREATE_COMPLETE", "UPDATE_COMPLETE"))


def delete_change_set(context: Context, name: str) -> None:
    """Delete a change set; the stack stays as it is."""
    context.aws.call(SERVICE, "delete_change_set", {"StackName": context.site.slug, "ChangeSetName": name})


def delete_stack(context: Context, stack: Stack) -> None:
    """Delete a stack, and wait until it is gone; `RefusedError` if something of it cannot be deleted."""
    delete = partial(context.aws.call, SERVICE, "delete_stack", {"StackName": stack.id})
    _watch(context, stack.id, delete, wanted=("DELETE_COMPLETE",))


def settled_stack(context: Context) -> Stack | None:
    """Our stack once CloudFormation is at rest; what a killed command started is completed, or deleted."""
    stack = find_stack(context.aws, context.site)
    if stack and stack.status == IN_REVIEW:
        delete_stack(context, stack)
        return None
    if stack and stack.passing:
        stack = _watch(context, stack.id)
    named = {"StackName": context.site.slug}
    for found in context.aws.pages(SERVICE, "list_change_sets", named, "Summaries") if stack else ():
        if found["ChangeSetName"].startswith(_PREFIX):
            delete_change_set(context, found["ChangeSetName"])
    return stack


def _watch(
    context: Context, stack: str, act: Callable[[], object] = lambda: None, *, wanted: Container[str] | None = None
) -> Stack | None:
    """Act, then print what happens to a stack until CloudFormation is at rest; the stack then, if any.

    `RefusedError` if it came to another state than those `wanted`.
    """
    shown = {event["EventId"] for event in islice(_events(context, stack), 1)}
    failed: list[str] = []
    act()

    def look() -> Stack | None:
        found = find_stack(context.aws, context.site)
        for event in reversed(list(takewhile(lambda event: event["EventId"] not in shown, _events(context, stack)))):
            shown.add(event["EventId"])
            line = ": ".join(filter(None, (event["LogicalResourceId"], event.get("ResourceStatusReason"))))
            context.say(f"{event['ResourceStatus']:28}{line}")
            if event["ResourceStatus"].endswith("_FAILED"):
                failed.append(line)
        return found

    what, pace, say = f"stack {context.site.slug}", context.pace, context.say
    settled = wait_for(look, lambda now: not (now and now.passing), what=what, seconds=_WORKING, pace=pace, say=say)
    status = settled.status if settled else "DELETE_COMPLETE"
    if wanted and status not in wanted:
        reason = failed[0] if failed else (settled and settled.reason) or "no reason given"
        raise RefusedError(f"{what}: {status}: {reason}: mend that, then call again")
    return settled


def _events(context: Context, stack: str) -> Iterator[dict[str, Any]]:
    """The events of a stack by its name or, once it is deleted, its id; the newest first."""
    return context.aws.pages(SERVICE, "describe_stack_events", {"StackName": stack}, "StackEvents")
