"""The template with its parameters filled in, as CloudFormation reads it: for tests that look at what is made."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import yaml
from orchard_deploy.site import Site
from orchard_deploy.stack.state import TEMPLATE

Json = dict[str, Any]
_NOTHING = object()


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms as the long ones."""


def _construct(loader: _Loader, suffix: str, node: yaml.Node) -> Json:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    else:
        assert isinstance(node, yaml.SequenceNode)
        value = loader.construct_sequence(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


yaml.add_multi_constructor("!", _construct, Loader=_Loader)


@cache
def parsed() -> Json:
    """The template itself."""
    found: Json = yaml.load(TEMPLATE, Loader=_Loader)
    return found


class Resolved:
    """Resources and outputs that the template has with these parameters."""

    def __init__(self, site: Site, parameters: Mapping[str, str]) -> None:
        found, account = parsed(), site.account
        self._kinds = {name: each["Type"] for name, each in found["Parameters"].items()}
        self._values = {
            **parameters,
            "AWS::StackName": site.spec.name,
            "AWS::Region": account.region,
            "AWS::AccountId": account.id,
            "AWS::Partition": account.partition,
            "Repository.RepositoryUri": f"{site.registry}/{site.spec.repository}",
            "JobRole.Arn": site.role_arn(),
            "Bucket": parameters["BucketName"],
            "Repository": parameters["RepositoryName"],
            "Application": "00f1",
        }
        self._conditions = found["Conditions"]
        self.resources = self._section(found["Resources"])
        self.outputs = {name: each["Value"] for name, each in self._section(found["Outputs"]).items()}

    def properties(self, name: str) -> Json:
        found: Json = self.resources[name]["Properties"]
        return found

    def policy(self) -> Json:
        """What a run may do."""
        (inline,) = self.properties("JobRole")["Policies"]
        found: Json = inline["PolicyDocument"]
        return found

    def _section(self, entries: Json) -> Json:
        return {
            name: self._value({key: value for key, value in each.items() if key != "Condition"})
            for name, each in entries.items()
            if "Condition" not in each or self._holds({"Condition": each["Condition"]})
        }

    def _value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for each in node if (value := self._value(each)) is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1 and (name := next(iter(node))) in ("Ref", *(f"Fn::{each}" for each in self._functions)):
            return self._ref(node[name]) if name == "Ref" else self._functions[name[4:]](self, node[name])
        values = {name: self._value(value) for name, value in node.items()}
        return {name: value for name, value in values.items() if value is not _NOTHING}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        value = self._values[name]
        return value.split(",") if self._kinds.get(name) == "CommaDelimitedList" else value

    def _sub(self, text: str) -> str:
        return re.sub(r"\$\{([\w:.]+)\}", lambda found: self._values[found[1]], text)

    def _if(self, node: list[Any]) -> Any:
        return self._value(node[1] if self._holds({"Condition": node[0]}) else node[2])

    def _holds(self, node: Json) -> bool:
        ((name, inner),) = node.items()
        if name == "Condition":
            return self._holds(self._conditions[inner])
        if name == "Fn::Equals":
            one, other = self._value(inner)
            return bool(one == other)
        holding = [self._holds(each) for each in inner]
        return not holding[0] if name == "Fn::Not" else all(holding)

    _functions: ClassVar[Json] = {
        "Sub": _sub,
        "If": _if,
        "GetAtt": lambda self, name: self._values[name],
        "Join": lambda self, node: node[0].join(self._value(node[1])),
    }


def allows(policy: Json, action: str, resource: str) -> bool:
    """Whether a statement allows an action on a resource, conditions apart."""
    return any(
        action in _listed(statement["Action"])
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in _listed(statement["Resource"]))
        for statement in policy["Statement"]
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
