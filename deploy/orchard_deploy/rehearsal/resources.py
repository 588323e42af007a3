"""What a template asks for; and its resources in moto's services, with what moto's CloudFormation leaves out."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.parsing import ResourceMap, clean_json
from moto.ecr.models import Repository, ecr_backends
from moto.emrserverless.models import emrserverless_backends
from moto.iam.models import Role
from moto.s3.models import FakeBucket, s3_backends

from orchard_deploy.rehearsal.settings import not_rehearsed

APPLICATION, POLICY = "AWS::EMRServerless::Application", "AWS::S3::BucketPolicy"
# Type -> the properties that cannot be changed: another value makes another resource; the first is its name.
TYPES: Mapping[str, tuple[str, ...]] = {
    APPLICATION: ("Name", "Type"),
    "AWS::ECR::Repository": ("RepositoryName", "EncryptionConfiguration"),
    "AWS::IAM::Role": ("RoleName", "Path"),
    "AWS::S3::Bucket": ("BucketName",),
    POLICY: ("Bucket",),
}
_MODELS: Mapping[str, Any] = dict(zip(list(TYPES)[1:4], (Repository, Role, FakeBucket), strict=True))
# A reference to a resource that is not there yet.
_OPEN = re.compile(r"<<(\w+)(?:\.(\w+))?>>")


class Template(ResourceMap):
    """A template, with parameters, for a stack whose tags are the resources' tags.

    Attributes:
        asked, outputs: resources and outputs, those whose condition holds.
        values_of: parameters, as text.
    """

    def __init__(self, stack: Any, template: dict[str, Any], parameters: dict[str, str], tags: dict[str, str]) -> None:
        slots = template.get("Parameters", {}).items()
        parameters = {**{name: str(slot["Default"]) for name, slot in slots if "Default" in slot}, **parameters}
        super().__init__(stack.stack_id, stack.name, parameters, {}, stack.region_name, stack.account_id, template, {})
        self.tags = tags
        self.load()
        self.asked = self._of("Resources")
        self.outputs = self._of("Outputs")
        for each in self.asked.values():
            if each["Type"] not in TYPES:
                raise ValidationError(message=not_rehearsed(each["Type"]).message)
            own = {} if each["Type"] == POLICY else {"Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
            each["Properties"] = {**each.get("Properties", {}), **own}
        values = self.resolved_parameters.items()
        self.values_of = {key: ",".join(each) if isinstance(each, list) else str(each) for key, each in values}

    def _of(self, part: str) -> dict[str, Any]:
        found = {
            name: each
            for name, each in self._template.get(part, {}).items()
            if "Condition" not in each or self.lazy_condition_map[each["Condition"]]
        }
        return json.loads(json.dumps(clean_json(copy.deepcopy(found), self), default=str))  # type: ignore[no-any-return]

    def __getitem__(self, key: str) -> Any:
        if key in self._parsed_resources or key not in self._resource_json_map:
            return self._parsed_resources[key]
        return SimpleNamespace(physical_resource_id=f"<<{key}>>", get_cfn_attribute=lambda name: f"<<{key}.{name}>>")


def filled(asked: Any, find: Callable[[str], Any]) -> Any:
    """The same with every reference to a resource resolved."""

    def value(match: re.Match[str]) -> str:
        found = find(match[1])
        return str(found.get_cfn_attribute(match[2]) if match[2] else found.physical_resource_id)

    return json.loads(_OPEN.sub(value, json.dumps(asked)))


def changes(before: Template, after: Template, made: Mapping[str, Any]) -> Iterator[SimpleNamespace]:
    """What DescribeChangeSet lists: resources that are added, modified (and whether replaced for it), removed."""
    for name in {**before.asked, **after.asked}:
        old, new = before.asked.get(name), after.asked.get(name)
        if old != new:
            each = SimpleNamespace(logical_resource_id=name, resource_type=(new or old or {})["Type"])
            each.action = "Add" if old is None else "Remove" if new is None else "Modify"
            each.physical_resource_id = getattr(made.get(name), "physical_resource_id", None)
            if old and new:
                fixed = TYPES[each.resource_type]
                each.replacement = str(any(old["Properties"].get(key) != new["Properties"].get(key) for key in fixed))
            yield each


def make(stack: Any, kind: str, name: str, properties: Mapping[str, Any]) -> Any:
    """Make a resource: what has `physical_resource_id` and `get_cfn_attribute`."""
    if kind == APPLICATION:
        tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", ())}
        made = _emr(stack).answer(
            "CreateApplication", {**_asked(properties), "tags": tags, "clientToken": str(uuid4())}
        )
        return SimpleNamespace(
            physical_resource_id=made["applicationId"], get_cfn_attribute=lambda attribute: made["arn"]
        )
    if kind == POLICY:
        return SimpleNamespace(physical_resource_id=s3_backends[stack.account_id]["aws"].get_bucket(name).name)
    return _MODELS[kind].create_from_cloudformation_json(
        name, {"Properties": properties}, stack.account_id, stack.region_name
    )


def settle(stack: Any, kind: str, made: Any, properties: Mapping[str, Any]) -> None:
    """Let a resource, new or changed, have those of its properties that can be changed."""
    s3, name, tags = s3_backends[stack.account_id]["aws"], made.physical_resource_id, list(properties.get("Tags", ()))
    if kind == APPLICATION:
        asked, known = _asked(properties), _emr(stack).applications[name].settings
        if changed := {key: asked[key] for key in asked if asked[key] != known.get(key)}:
            _emr(stack).answer("UpdateApplication", {**changed, "applicationId": name, "clientToken": str(uuid4())})
    elif kind == POLICY:
        # moto would apply a Deny whatever its conditions say, so it is kept from doing so.
        s3.buckets[name].policy = json.dumps(properties["PolicyDocument"]).encode()
        s3.buckets[name].get_permission = lambda action, resource: None  # type: ignore[method-assign]
    elif isinstance(made, Repository):
        made.policy = json.dumps(properties["RepositoryPolicyText"]) if "RepositoryPolicyText" in properties else None
        made.image_tag_mutability = properties.get("ImageTagMutability", "MUTABLE")
        scan = properties.get("ImageScanningConfiguration", {})
        made.image_scanning_configuration = {"scanOnPush": scan.get("ScanOnPush", False)}
        ecr_backends[stack.account_id][stack.region_name].tagger.tag_resource(made.arn, tags)
    elif isinstance(made, Role):
        made.assume_role_policy_document, made.tags = json.dumps(properties["AssumeRolePolicyDocument"]), tags
        policies = properties.get("Policies", ())
        made.policies = {each["PolicyName"]: json.dumps(each["PolicyDocument"]) for each in policies}
    else:
        s3.put_bucket_tagging(name, {tag["Key"]: tag["Value"] for tag in tags})
        block = properties.get("PublicAccessBlockConfiguration", {})
        s3.put_public_access_block(name, {key: str(value).lower() for key, value in block.items()})


def _emr(stack: Any) -> Any:
    return emrserverless_backends[stack.account_id][stack.region_name]


def _asked(value: Any) -> Any:
    """The input of a call: a resource's properties have the same names, but for their first letter."""
    if not isinstance(value, dict):
        return value
    return {key[0].lower() + key[1:]: _asked(item) for key, item in value.items() if key != "Tags"}


def delete(stack: Any, kind: str, made: Any, properties: Mapping[str, Any]) -> None:
    """Delete a resource; moto raises its own errors where that is refused."""
    name = made.physical_resource_id
    if kind == APPLICATION:
        _emr(stack).answer("DeleteApplication", {"applicationId": name})
    elif kind == POLICY:
        s3_backends[stack.account_id]["aws"].buckets[name].policy = None
    elif isinstance(made, Repository):
        ecr_backends[stack.account_id][stack.region_name].delete_repository(
            name, force=properties.get("EmptyOnDelete", False)
        )
    else:
        made.delete_from_cloudformation_json(name, {}, stack.account_id, stack.region_name)
