"""CloudFormation: moto's, with change sets, roll-back and retained resources as AWS has them.

A change set compares what two templates with their parameters ask for. Executing it makes, changes and deletes until
the resources are as asked, and is over once the time that it takes has passed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, ClassVar

from moto.cloudformation import models, urls
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event
from moto.cloudformation.parsing import OutputMap, ResourceMap, clean_json
from moto.cloudformation.utils import generate_changeset_id, generate_stack_id
from moto.ecr.models import Repository, ecr_backends
from moto.emrserverless.models import emrserverless_backends
from moto.iam.models import Role
from moto.s3.models import FakeBucket

from orchard_deploy.rehearsal.settings import Settings, not_rehearsed

NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
APPLICATION, REPOSITORY, ROLE = "AWS::EMRServerless::Application", "AWS::ECR::Repository", "AWS::IAM::Role"
_MODELS: Mapping[str, Any] = {REPOSITORY: Repository, "AWS::S3::Bucket": FakeBucket, ROLE: Role}
# Type of a resource -> the property that is its name: another name makes another resource.
NAMED_BY = {kind: model.cloudformation_name_type() for kind, model in _MODELS.items()}
NAMED_BY |= {APPLICATION: "Name", "AWS::S3::BucketPolicy": "Bucket"}
# What templates ask of resources beside their names.
_ATTRIBUTES = {
    f"{ROLE}.Arn": "arn:aws:iam::{account}:role/{name}",
    f"{REPOSITORY}.RepositoryUri": "{account}.dkr.ecr.{region}.amazonaws.com/{name}",
}


class Template(ResourceMap):
    """A template with the values of its parameters, for a stack whose tags are the resources' tags.

    Attributes:
        asked: the resources whose condition holds, with all references resolved; a name for each of them.
        made: what was made of them.
    """

    def __init__(self, stack: models.Stack, text: str, values: dict[str, str], tags: dict[str, str]) -> None:
        template = models.Stack.parse_template(text)
        slots = template.get("Parameters", {})
        values = {name: str(slot["Default"]) for name, slot in slots.items() if "Default" in slot} | values
        given = values, tags, stack.region_name, stack.account_id, template, None
        super().__init__(stack.stack_id, stack.name, *given)
        self.load()
        self.resolved_parameters, holds = values, self.lazy_condition_map
        self.made: dict[str, Any] = {}
        resources = template["Resources"].items()
        self.asked = {key: self._asked(key) for key, each in resources if holds.get(each.get("Condition"), True)}

    def _asked(self, key: str) -> Any:
        asked = {"Properties": {}, **self._resource_json_map[key]}
        if asked["Type"] not in NAMED_BY:
            raise ValidationError(message=not_rehearsed(asked["Type"]).message)
        tags = {"Tags": [{"Key": name, "Value": value} for name, value in self.tags.items()]}
        generated = {NAMED_BY[asked["Type"]]: f"{self._parsed_resources['AWS::StackName']}-{key}"}
        return clean_json({**asked, "Properties": {**generated, **asked["Properties"], **tags}}, self)

    def __getitem__(self, key: str) -> Any:
        """A parameter, a resource that was made, or what is known of one before."""
        if key in self.made or key not in self._resource_json_map:
            return self.made.get(key) or self._parsed_resources[key]
        asked = self._asked(key)
        known = {"account": self._account_id, "region": self._region_name, "name": name_of(asked)}
        return SimpleNamespace(
            physical_resource_id=known["name"],
            get_cfn_attribute=lambda attribute: _ATTRIBUTES[f"{asked['Type']}.{attribute}"].format(**known),
        )


def name_of(asked: Mapping[str, Any]) -> str:
    """The name of a resource as it is asked for."""
    return str(asked["Properties"][NAMED_BY[asked["Type"]]])


def changes(before: Template, after: Template) -> Iterator[SimpleNamespace]:
    """What DescribeChangeSet lists: resources that are added, modified (and whether replaced for it), removed."""
    for key in {**before.asked, **after.asked}:
        old, new = before.asked.get(key), after.asked.get(key)
        if old == new:
            continue
        found = SimpleNamespace(logical_resource_id=key, resource_type=(new or old or {})["Type"])
        found.action = "Add" if old is None else "Remove" if new is None else "Modify"
        found.replacement = str(name_of(old) != name_of(new)) if old and new else None
        yield found


class Stack(models.Stack):
    """A stack: its template with what was made of it; `due` is when a change is over, and its status then."""

    due: tuple[float, str] | None = None
    stack_resources = property(lambda stack: stack.resource_map.made.values())

    def __init__(self, name: str, account: str, region: str) -> None:
        super().__init__(generate_stack_id(name, region, account), name, {}, {}, account, region)
        self.status = "REVIEW_IN_PROGRESS"
        self._add_stack_event(self.status, "User Initiated")
        self.resource_map: Any = Template(self, '{"Resources": {}}', {}, {})

    def change(self, wanted: Template, rolled_back: str) -> bool:
        """Have what another template asks for, and nothing else; or, where that is refused, what there was: False."""
        before, old = self.resource_map, self.resource_map.made
        try:
            self._become(wanted, old)
            unwanted, changed = old, True
        except Exception as error:
            self._add_stack_event(rolled_back.replace("COMPLETE", "IN_PROGRESS"), str(error))
            self._become(before, old)
            unwanted, changed = wanted.made, False
        made = self.resource_map.made
        self.delete_resources({key: each for key, each in unwanted.items() if made.get(key) is not each})
        self.output_map = OutputMap(self.resource_map, self.resource_map._template, self.stack_id)
        return changed

    def _become(self, wanted: Template, there: Mapping[str, Any]) -> None:
        """Make and change until everything is there that is asked for."""
        self.resource_map, wanted.made = wanted, {}
        for key, asked in wanted.asked.items():
            found = there.get(key)
            if found is None or name_of(found.asked) != name_of(asked):
                with self._noted("CREATE", key, asked["Type"]):
                    found = self._make(asked["Type"], name_of(asked), asked)
            elif found.asked != asked:
                with self._noted("UPDATE", key, asked["Type"]):
                    self._update(asked["Type"], found, asked)
            found.asked, found.logical_resource_id, wanted.made[key] = asked, key, found

    def delete_resources(self, unwanted: dict[str, Any]) -> None:
        """Delete what is not to be retained; what cannot be deleted is still in `unwanted` then."""
        for key, found in reversed(list(unwanted.items())):
            kind, retained = found.asked["Type"], found.asked.get("DeletionPolicy") == "Retain"
            with suppress(Exception), self._noted("DELETE", key, kind, "SKIPPED" if retained else "COMPLETE"):
                if not retained:
                    self._delete(kind, found.physical_resource_id)
                del unwanted[key]

    @contextmanager
    def _noted(self, verb: str, key: str, kind: str, end: str = "COMPLETE") -> Iterator[None]:
        """What happens to a resource is an event."""
        reason = None
        try:
            yield
        except Exception as error:
            end, reason = "FAILED", str(error)
            raise
        finally:
            self.events.append(Event(self.stack_id, self.name, key, "", kind, f"{verb}_{end}", reason, None))

    def _make(self, kind: str, name: str, asked: Any) -> Any:
        if kind == APPLICATION:
            tags = {"tags": {tag["Key"]: tag["Value"] for tag in asked["Properties"]["Tags"]}}
            name = self._emr.answer("CreateApplication", {**_input(asked["Properties"]), **tags})["applicationId"]
        if kind in _MODELS:
            return _MODELS[kind].create_from_cloudformation_json(name, asked, self.account_id, self.region_name)
        return SimpleNamespace(physical_resource_id=name)  # of a policy no more: moto would ignore its conditions

    def _update(self, kind: str, found: Any, asked: Any) -> None:
        name = found.physical_resource_id
        if kind == APPLICATION:
            self._emr.applications[name].settings.update(_input(asked["Properties"]))
        elif kind == ROLE:  # moto changes its description only
            found.tags = asked["Properties"]["Tags"]
        elif kind in _MODELS:
            _MODELS[kind].update_from_cloudformation_json(found, name, asked, self.account_id, self.region_name)

    def _delete(self, kind: str, name: str) -> None:
        if kind == APPLICATION:
            self._emr.answer("DeleteApplication", {"applicationId": name})
        elif kind == REPOSITORY:
            ecr_backends[self.account_id][self.region_name].delete_repository(name, force=True)
        elif kind in _MODELS:
            _MODELS[kind].delete_from_cloudformation_json(name, {}, self.account_id, self.region_name)

    @property
    def _emr(self) -> Any:
        return emrserverless_backends[self.account_id][self.region_name]


def _input(value: Any) -> Any:
    """The input of a call: a resource's properties have the same names, but for their first letter."""
    if not isinstance(value, dict):
        return value
    return {key[0].lower() + key[1:]: _input(item) for key, item in value.items() if key != "Tags"}


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
                stack._add_stack_event(stack.status)
                if stack.status == "DELETE_COMPLETE":
                    self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)

    def _begin(self, stack: Stack, verb: str, end: str) -> None:
        stack.status, stack.due = f"{verb}_IN_PROGRESS", (self.settings.clock() + self.settings.timings.stacking, end)

    def create_stack(self, *given: Any, **named: Any) -> Any:
        """Refuse: stacks are made by change sets."""
        raise not_rehearsed("CreateStack and UpdateStack")

    update_stack = create_stack

    def create_change_set(self, stack_name: str, change_set_name: str, **asked: Any) -> Any:  # type: ignore[override]
        """Compare; AWS's own status and reason where nothing differs."""
        stack: Any = next((each for each in self.stacks.values() if each.name == stack_name), None)
        if stack is None:
            stack = Stack(stack_name, self.account_id, self.region_name)  # type: ignore[abstract]
            self.stacks[stack.stack_id] = stack
        if stack.due or stack.status == "ROLLBACK_COMPLETE":
            raise ValidationError(message=f"Stack {stack_name} is in {stack.status} state: no change set is possible")
        wanted = Template(stack, asked["template"], asked["parameters"], asked["tags"])
        listed = list(changes(stack.resource_map, wanted))
        arn = generate_changeset_id(change_set_name, self.region_name, self.account_id)
        self.change_sets[arn] = SimpleNamespace(
            change_set_id=arn,
            change_set_name=change_set_name,
            change_set_type=asked["change_set_type"],
            stack_id=stack.stack_id,
            parameters=asked["parameters"],
            wanted=wanted,
            changes=listed,
            status="CREATE_COMPLETE" if listed else "FAILED",
            status_reason=None if listed else NO_CHANGES,
        )
        return arn, stack.stack_id

    def execute_change_set(self, change_set_name: str, stack_name: str | None = None) -> None:
        """Make, change, delete; or, where that is refused, bring back what was there."""
        found: Any = self.describe_change_set(change_set_name)
        stack, verb = self.stacks[found.stack_id], found.change_set_type
        stack._add_stack_event(f"{verb}_IN_PROGRESS", "User Initiated")
        rolled_back = f"{verb}_ROLLBACK_COMPLETE".removeprefix("CREATE_")
        changed = stack.change(found.wanted, rolled_back)
        stack.tags = found.wanted.tags if changed else stack.tags or found.wanted.tags
        self._begin(stack, verb, f"{verb}_COMPLETE" if changed else rolled_back)
        self.change_sets = {arn: each for arn, each in self.change_sets.items() if each.stack_id != stack.stack_id}
        self.settings.changed()

    def delete_stack(self, name_or_stack_id: str) -> None:
        """Delete a stack, if there is one, with all that is not to be retained."""
        for stack in [each for each in self.stacks.values() if name_or_stack_id in (each.name, each.stack_id)]:
            stack._add_stack_event("DELETE_IN_PROGRESS", "User Initiated")
            stack.delete_resources(stack.resource_map.made)
            self._begin(stack, "DELETE", "DELETE_FAILED" if stack.resource_map.made else "DELETE_COMPLETE")
