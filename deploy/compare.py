"""Whether what AWS has is what is wanted, whatever form it gives it in. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def differences(wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """The names of the settings that are not as wanted; what AWS adds of its own does not count."""
    return [name for name, value in wanted.items() if not _holds(value, actual.get(name))]


def same_policy(wanted: Mapping[str, Any], actual: Mapping[str, Any] | None) -> bool:
    """Whether two policies say the same: one thing and a list of it are equal."""
    return actual is not None and _listed(wanted) == _listed(actual)


def includes(policy: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether a policy has every statement of another one, by whatever name."""
    there = [_unnamed(statement) for statement in (policy or {}).get("Statement", ())]
    return all(_unnamed(statement) in there for statement in wanted["Statement"])


def _holds(wanted: Any, actual: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(_holds(value, actual.get(name)) for name, value in wanted.items())
    return bool(_amount(wanted) == _amount(actual))


def _amount(value: Any) -> Any:
    """`12vCPU` and `12 vCPU` are the same."""
    match = re.fullmatch(r"(\d+)\s*(vCPU|GB)", value, re.IGNORECASE) if isinstance(value, str) else None
    return (int(match[1]), match[2].lower()) if match else value


def _unnamed(statement: Mapping[str, Any]) -> Any:
    return _listed({name: value for name, value in statement.items() if name != "Sid"})


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _listed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        inner = [_listed(each) for each in value]
        return sorted(inner, key=json.dumps) if len(inner) > 1 else (inner[0] if inner else [])
    return value
