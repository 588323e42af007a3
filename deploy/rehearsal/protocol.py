"""The REST protocol of the EMR services, by botocore's own models.

It says which call a request is, whether its input holds, how answers look.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape


class RefusalError(Exception):
    """An answer that is an error, in AWS's words."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


def invalid(message: str) -> RefusalError:
    """The input is refused."""
    return RefusalError("ValidationException", message)


def not_rehearsed(what: str) -> RefusalError:
    """Something that AWS may know, and the rehearsal does not."""
    return RefusalError("NotRehearsed", f"{what}: the rehearsal does not know this; Orchard does not use it")


@dataclass(frozen=True)
class Call:
    """One call: its name as in the API, and its input."""

    operation: str
    parameters: dict[str, Any]


@cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


class Protocol:
    """The protocol of one service."""

    def __init__(self, service: str) -> None:
        self.model = _model(service)
        self._routes = [self._route(self.model.operation_model(name)) for name in self.model.operation_names]

    def parse(self, method: str, path: str, query: str, body: bytes) -> Call:
        """The call that a request is.

        Raises:
            RefusalError: no such call, or an input that the service's model refuses.
        """
        for operation, pattern in self._routes:
            match = pattern.fullmatch(path)
            if match and operation.http["method"] == method:
                parameters = self._parameters(operation, match.groupdict(), query, body)
                if operation.input_shape and (problem := next(problems(operation.input_shape, parameters), None)):
                    raise invalid(problem)
                return Call(operation.name, parameters)
        raise not_rehearsed(f"{method} {path}")

    def encode(self, operation: str, answer: Mapping[str, Any]) -> bytes:
        """An answer as the service sends it.

        Raises:
            ValueError: it is not what the model says that the service answers.
        """
        shape = self.model.operation_model(operation).output_shape
        if shape and (problem := next(problems(shape, answer), None)):
            raise ValueError(f"{operation}: the rehearsal's own answer is wrong: {problem}")
        return json.dumps(answer, default=_seconds).encode()

    @staticmethod
    def _route(operation: OperationModel) -> tuple[OperationModel, re.Pattern[str]]:
        path = operation.http["requestUri"].partition("?")[0]
        return operation, re.compile(re.sub(r"\{(\w+)\+?\}", r"(?P<\1>[^/]+)", path))

    @staticmethod
    def _parameters(operation: OperationModel, path: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
        if operation.input_shape is None:
            return {}
        parameters: dict[str, Any] = json.loads(body) if body else {}
        asked = parse_qs(query)
        for name, shape in operation.input_shape.members.items():
            place, label = shape.serialization.get("location"), shape.serialization.get("name", name)
            if place == "uri":
                parameters[name] = unquote(path[label])
            elif place == "querystring" and label in asked:
                parameters[name] = _from_query(shape, asked[label])
        return parameters


def _from_query(shape: Shape, values: list[str]) -> Any:
    if shape.type_name == "list":
        return values
    if shape.type_name in ("integer", "long"):
        return int(values[0])
    return values[0]


def problems(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """Everything in which a value is not what a shape asks for.

    Types, required and unknown members, ranges, patterns, enumerations.

    botocore itself checks less on the client's side; the services check all of it.
    """
    if isinstance(shape, StructureShape):
        yield from _structure_problems(shape, value, where)
    elif isinstance(shape, ListShape):
        yield from _size_problems(shape, value, where)
        for number, item in enumerate(value):
            yield from problems(shape.member, item, f"{where}[{number}]")
    elif isinstance(shape, MapShape):
        yield from _size_problems(shape, value, where)
        for key, item in value.items():
            yield from problems(shape.key, key, f"{where}.{key}")
            yield from problems(shape.value, item, f"{where}.{key}")
    else:
        yield from _scalar_problems(shape, value, where)


def _structure_problems(shape: StructureShape, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where or 'input'}: expected an object"
        return
    for name in shape.required_members:
        if name not in value:
            yield f"{where}.{name}: required".lstrip(".")
    for name, item in value.items():
        if name not in shape.members:
            yield f"{where}.{name}: unknown".lstrip(".")
        else:
            yield from problems(shape.members[name], item, f"{where}.{name}".lstrip("."))


def _size_problems(shape: Shape, value: Any, where: str) -> Iterator[str]:
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
    if len(value) < low or (high is not None and len(value) > high):
        yield f"{where}: {len(value)} members, outside {low} to {high}"


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str, datetime),
}


def _scalar_problems(shape: Shape, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, _TYPES[shape.type_name]) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"{where}: expected a {shape.type_name}"
    elif isinstance(value, str) and shape.type_name == "string":
        yield from _text_problems(shape, value, where)
    elif shape.type_name in ("integer", "long"):
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if (low is not None and value < low) or (high is not None and value > high):
            yield f"{where}: {value} is outside {low} to {high}"


def _text_problems(shape: Shape, value: str, where: str) -> Iterator[str]:
    yield from _size_problems(shape, value, where)
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        yield f"{where}: {value!r} is none of {', '.join(allowed)}"
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value, re.DOTALL):
        yield f"{where}: {value!r} does not match {pattern}"


def _seconds(moment: object) -> float:
    if isinstance(moment, datetime):
        return moment.timestamp()
    raise TypeError(f"{moment!r} in an answer")
