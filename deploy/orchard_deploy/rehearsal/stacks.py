"""CloudFormation: moto's, with change sets, conditions, roll-back and retained resources as AWS has them.

A change set compares what two templates with their parameters ask for. Executing it makes, changes and deletes by that
comparison, and is over once the time that it takes has passed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar, cast

from moto.cloudformation import models, urls
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event
from moto.cloudformation.utils import generate_changeset_id, generate_stack_id

from orchard_deploy.rehearsal import resources
from orchard_deploy.rehearsal.resources import Template, changes, filled
from orchard_deploy.rehearsal.settings import Refusal, Settings, not_rehearsed

NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."


class Stack(models.Stack):
    """A stack: its template, what was made of it; `due` is when a change is over, and its status then."""

    clock: Callable[[], float]
    due: tuple[float, str] | None = None
    parameter_list = stack_parameters = stack_resources = outputs = cast(Any, ())

    def __init__(self, name: str, account: str, region: str) -> None:
        super().__init__(generate_stack_id(name, region, account), name, {}, {}, account, region)
        self.status, self.made = "REVIEW_IN_PROGRESS", dict[str, Any]()
        self.wanted = Template(self, {"Resources": {}}, {}, {})

    def show(self) -> None:
        """Have the parameters and outputs of the template, and the resources that were made."""
        values, outputs = self.wanted.values_of, self.wanted.outputs.items()
        self.stack_parameters, self.stack_resources = values, self.made.values()
        self.parameter_list = [{"ParameterKey": key, "ParameterValue": values[key]} for key in values]
        filled_in = {name: filled(each["Value"], self.made.__getitem__) for name, each in outputs}
        self.outputs = [{"OutputKey": name, "OutputValue": value} for name, value in filled_in.items()]

    def note(self, status: str, reason: str | None = None, name: str = "", kind: str = "") -> None:
        """Something happens to a resource, or to the stack itself."""
        physical = getattr(self.made.get(name), "physical_resource_id", "") if name else self.stack_id
        kind = kind or "AWS::CloudFormation::Stack"
        event = Event(self.stack_id, self.name, name or self.name, physical, kind, status, reason, None)
        event.timestamp = datetime.fromtimestamp(self.clock(), UTC).replace(tzinfo=None)
        self.events.append(event)

    @contextlib.contextmanager
    def _noted(self, verb: str, name: str, kind: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.note(f"{verb}_FAILED", str(error), name, kind)
            raise
        self.note(f"{verb}_COMPLETE", None, name, kind)

    def change(self, wanted: Template, kept: Mapping[str, Any] | None = None) -> None:
        """Have another template; on the way back from one, with the resources that there were."""
        before, made, self.wanted = self.wanted, self.made, wanted
        changed = {each.logical_resource_id: each for each in changes(before, wanted, {})}
        same = {name: made[name] for name in made if getattr(changed.get(name), "replacement", "False") == "False"}
        self.made = dict(kept or {name: same[name] for name in same if name in wanted.asked})
        for name, each in wanted.asked.items():
            if name in changed and name in self.made:
                with self._noted("UPDATE", name, each["Type"]):
                    properties = filled(each["Properties"], self._find)
                    resources.settle(self, each["Type"], self.made[name], properties)
            self._find(name)
        for name in reversed(made):
            if self.made.get(name) is not made[name]:
                with contextlib.suppress(Exception):  # its event says so
                    self.drop(before.asked[name], made[name], "Update" if name in self.made else "")
        self.show()

    def drop(self, asked: Mapping[str, Any], made: Any, why: str = "") -> None:
        """Delete a resource, unless its policy retains it."""
        name, kind = made.logical_resource_id, asked["Type"]
        if str(asked.get("UpdateReplacePolicy" if why else "DeletionPolicy")).startswith("Retain"):
            self.note("DELETE_SKIPPED", None, name, kind)
            return
        with self._noted("DELETE", name, kind):
            resources.delete(self, kind, made, asked["Properties"])

    def _find(self, name: str) -> Any:
        """A resource; it is made if it is not there."""
        if name not in self.made:
            kind, asked = self.wanted.asked[name]["Type"], self.wanted.asked[name]["Properties"]
            with self._noted("CREATE", name, kind):
                properties = filled(asked, self._find)
                named = properties.get(resources.TYPES[kind][0], f"{self.name}-{name}")
                found = resources.make(self, kind, named, properties)
                self.made[name], found.logical_resource_id, found.cf_resource_type = found, name, kind
                resources.settle(self, kind, found, properties)
        return self.made[name]


class Stacks(CloudFormationBackend):
    """The service in one region."""

    settings: ClassVar[Settings]
    _url_module: Any = urls
    stacks: dict[str, Any]
    change_sets: dict[str, Any]

    def tick(self) -> None:
        """Let every stack be what it is by now."""
        for stack in list(self.stacks.values()):
            if stack.due and self.settings.clock() >= stack.due[0]:
                stack.status, stack.due = stack.due[1], None
                stack.note(stack.status)
                if stack.status == "DELETE_COMPLETE":
                    self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)

    def _begin(self, stack: Stack, verb: str, end: str) -> None:
        stack.status, stack.due = f"{verb}_IN_PROGRESS", (self.settings.clock() + self.settings.timings.stacking, end)

    def create_stack(self, *given: Any, **named: Any) -> Any:
        """Refuse: stacks are made by change sets."""
        raise not_rehearsed("CreateStack and UpdateStack")

    update_stack = create_stack

    def create_change_set(  # type: ignore[override]
        self, stack_name: str, change_set_name: str, template: str, parameters: dict[str, str], change_set_type: str,
        tags: dict[str, str], **more: Any,
    ) -> tuple[str, str]:  # fmt: skip
        """Compare; AWS's own status and reason where nothing differs."""
        stack = self._stack_for(stack_name, change_set_type)
        wanted = Template(stack, models.Stack.parse_template(template), parameters, tags)
        listed = list(changes(stack.wanted, wanted, stack.made))
        same = not listed and stack.wanted.outputs == wanted.outputs and change_set_type == "UPDATE"
        arn = generate_changeset_id(change_set_name, self.region_name, self.account_id)
        self.change_sets[arn] = SimpleNamespace(
            change_set_id=arn,
            change_set_name=change_set_name,
            change_set_type=change_set_type,
            stack_id=stack.stack_id,
            stack_name=stack_name,
            wanted=wanted,
            parameters=parameters,
            tags=[{"Key": key, "Value": tags[key]} for key in tags],
            changes=listed,
            status="FAILED" if same else "CREATE_COMPLETE",
            execution_status="UNAVAILABLE" if same else "AVAILABLE",
            status_reason=NO_CHANGES if same else None,
        )
        return arn, stack.stack_id

    def _stack_for(self, name: str, kind: str) -> Any:
        found: Any = next((each for each in self.stacks.values() if each.name == name), None)
        if found is None and kind == "CREATE":
            found = Stack(name, self.account_id, self.region_name)  # type: ignore[abstract]
            found.clock, self.stacks[found.stack_id] = self.settings.clock, found
            found.note(found.status, "User Initiated")
        status = found.status if found else "NOT_THERE"
        if (status == "REVIEW_IN_PROGRESS") != (kind == "CREATE") or status == "ROLLBACK_COMPLETE" or found.due:
            raise ValidationError(
                message=f"Stack {name} is in {status} state: no change set of type {kind} is possible"
            )
        return found

    def execute_change_set(self, change_set_name: str, stack_name: str | None = None) -> None:
        """Make, change, delete; or, where that is refused, bring back what was there."""
        found: Any = self.describe_change_set(change_set_name)
        stack, verb = self.stacks[found.stack_id], found.change_set_type
        if found.execution_status != "AVAILABLE" or stack.due:
            message = f"ChangeSet [{change_set_name}] cannot be executed in its current status of [{found.status}]"
            raise Refusal("InvalidChangeSetStatus", message)
        stack.note(f"{verb}_IN_PROGRESS", "User Initiated")
        before, made, end = stack.wanted, stack.made, f"{verb}_COMPLETE"
        stack.tags = stack.tags or found.wanted.tags  # also where the making fails
        try:
            stack.change(found.wanted)
            stack.tags = found.wanted.tags
        except Exception as error:
            end = "ROLLBACK_COMPLETE" if verb == "CREATE" else "UPDATE_ROLLBACK_COMPLETE"
            stack.note(end.replace("COMPLETE", "IN_PROGRESS"), str(error))
            stack.change(before, made)
        self._begin(stack, verb, end)
        self.change_sets = {arn: each for arn, each in self.change_sets.items() if each.stack_id != stack.stack_id}
        self.settings.changed()

    def delete_stack(self, name_or_stack_id: str) -> None:
        """Delete a stack, if there is one, with all that is not to be retained."""
        for stack in [each for each in self.stacks.values() if name_or_stack_id in (each.name, each.stack_id)]:
            if stack.status == "UPDATE_IN_PROGRESS":
                raise ValidationError(message=f"Stack [{stack.name}] cannot be deleted while in {stack.status}")
            stack.note("DELETE_IN_PROGRESS", "User Initiated")
            end = "DELETE_COMPLETE"
            for name, made in reversed(list(stack.made.items())):
                try:
                    stack.drop(stack.wanted.asked[name], made)
                    del stack.made[name]
                except Exception:
                    end = "DELETE_FAILED"
            self._begin(stack, "DELETE", end)
