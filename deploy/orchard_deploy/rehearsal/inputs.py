"""Calls: their inputs, of which what the rehearsal does not act on or give back is refused; and a run's workers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from moto import backends
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from orchard_deploy.capacity import fitting_memory, problem
from orchard_deploy.rehearsal.settings import invalid, not_rehearsed
from orchard_deploy.spec import Worker

# Members of inputs by their paths, for all calls of both services; `name=VALUE` for this one value of it.
INPUTS = """
    clientToken name type=SPARK mode=BATCH tags states
    applicationId jobRunId virtualClusterId id executionRoleArn executionTimeoutMinutes releaseLabel architecture
    retryPolicy.maxAttempts retryPolicyConfiguration.maxAttempts
    imageConfiguration.imageUri
    maximumCapacity.cpu maximumCapacity.memory maximumCapacity.disk
    autoStartConfiguration.enabled autoStopConfiguration.enabled autoStopConfiguration.idleTimeoutMinutes
    schedulerConfiguration.maxConcurrentRuns schedulerConfiguration.queueTimeoutMinutes
    jobDriver.sparkSubmit.entryPoint jobDriver.sparkSubmitJobDriver.entryPoint
    jobDriver.sparkSubmit.entryPointArguments jobDriver.sparkSubmitJobDriver.entryPointArguments
    jobDriver.sparkSubmit.sparkSubmitParameters jobDriver.sparkSubmitJobDriver.sparkSubmitParameters
    configurationOverrides.applicationConfiguration.classification=spark-defaults
    configurationOverrides.applicationConfiguration.properties
    configurationOverrides.monitoringConfiguration.s3MonitoringConfiguration.logUri
"""
KNOWN = dict(word.partition("=")[::2] for word in INPUTS.split())
KNOWN |= {path[: dot.start()]: "" for path in list(KNOWN) for dot in re.finditer(r"\.", path)}

# What the service sets where nobody does.
_DEFAULTS = {"cores": "4", "memory": "14g", "disk": "20g", "instances": "3"}
_MB = {"": 1, "m": 1, "g": 1024, "t": 1024 * 1024}


class Response(BaseResponse):
    """A call of one of the services: parsed and answered by botocore's model of it."""

    def __init__(self, service: str) -> None:
        super().__init__(service_name=service)
        self.automated_parameter_parsing = True

    def call_action(self) -> Any:
        """Let the backend answer."""
        operation = self._get_action()
        backend: Any = backends.get_backend(self.service_name)[self.current_account][self.region]  # type: ignore[call-overload]
        try:
            if not operation:
                raise not_rehearsed(f"{self.method} {self.path}")
            # An absent list in the query is parsed as an empty one.
            asked = {name: value for name, value in self.params.items() if value not in ([], None)}
            return self.serialized(ActionResult(backend.answer(operation, asked)))
        except ServiceException as refusal:
            body = json.dumps({"__type": refusal.code, "message": refusal.message})
            return 400, {"Content-Type": "application/json", "x-amzn-ErrorType": refusal.code}, body


def check_input(operation: OperationModel, asked: Mapping[str, Any]) -> None:
    """Raise `ServiceException` for an input that the service refuses, or that the rehearsal does not act on.

    botocore checks less on the client's side: neither patterns nor enumerations.
    """
    if found := next(problems(operation.input_shape, asked), None):
        raise invalid(found)
    if strangers := sorted(set(_strangers(operation.input_shape, asked))):
        raise not_rehearsed(f"{operation.name}: {', '.join(strangers)}")


def problems(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """Everything in which a value is not what a shape asks for: required members, patterns, enumerations, ranges."""
    if isinstance(shape, StructureShape):
        yield from (f"{where}{name}: required" for name in shape.required_members if name not in value)
        for name, item in value.items():
            yield from problems(shape.members[name], item, f"{where}{name}.")
    elif isinstance(shape, ListShape):
        for item in value:
            yield from problems(shape.member, item, where)
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from [*problems(shape.key, key, where), *problems(shape.value, item, f"{where}{key}.")]
    elif isinstance(value, str):
        allowed, pattern = getattr(shape, "enum", None) or [value], shape.metadata.get("pattern", ".*")
        if value not in allowed or not re.fullmatch(pattern, value, re.DOTALL):
            yield f"{where[:-1]}: {value!r} is none of {', '.join(allowed)}, or does not match {pattern}"
    size = value if isinstance(value, int) else len(value) if isinstance(value, (str, list, dict)) else 0
    low, high = shape.metadata.get("min", size), shape.metadata.get("max", size)
    if not low <= size <= high:
        yield f"{where[:-1]}: {size} is outside {low} to {high}"


def _strangers(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """The members of an input, by their paths, that are not known, or not with this value."""
    if isinstance(shape, StructureShape):
        for name, item in value.items():
            path = f"{where}.{name}".lstrip(".")
            yield from _strangers(shape.members[name], item, path) if path in KNOWN else [path]
    elif isinstance(shape, ListShape):
        for item in value:
            yield from _strangers(shape.member, item, where)
    elif KNOWN.get(where, "") not in ("", value):
        yield f"{where} {value}"


def properties_of(asked: Mapping[str, Any], driver: str) -> dict[str, str]:
    """The Spark properties of a StartJobRun: those of the submit parameters win over those of the configuration."""
    if driver not in asked.get("jobDriver", {}):
        raise invalid(f"jobDriver.{driver}: required")
    found: dict[str, str] = {}
    for part in asked.get("configurationOverrides", {}).get("applicationConfiguration", ()):
        found.update(part.get("properties", {}))
    words = iter(shlex.split(asked["jobDriver"][driver].get("sparkSubmitParameters", "")))
    for word in words:
        if word != "--conf":
            raise not_rehearsed(f"sparkSubmitParameters: {word}")
        name, _, value = next(words, "").partition("=")
        found[name] = value
    return found


def workers(properties: Mapping[str, str]) -> list[Worker]:
    """The driver and the executors that these properties start with.

    As in Spark, the start is the greatest of three numbers, and maxExecutors does not limit it.

    Raises:
        Refusal: there are no such workers.
    """
    count = int(properties.get("spark.executor.instances", _DEFAULTS["instances"]))
    if properties.get("spark.dynamicAllocation.enabled", "true").lower() == "true":
        least = properties.get("spark.dynamicAllocation.minExecutors", "0")
        start = properties.get("spark.dynamicAllocation.initialExecutors", _DEFAULTS["instances"])
        count = max(count, int(start), int(least))
    return [_worker("driver", properties), *[_worker("executor", properties)] * count]


def _worker(role: str, properties: Mapping[str, str]) -> Worker:
    def read(name: str) -> str:
        return properties.get(name, _DEFAULTS.get(name.rpartition(".")[2], ""))

    cpu, heap = int(read(f"spark.{role}.cores")), _megabytes(read(f"spark.{role}.memory"))
    disk, overhead = _megabytes(read(f"spark.emr-serverless.{role}.disk")), read(f"spark.{role}.memoryOverhead")
    memory = fitting_memory(cpu, heap, _megabytes(overhead) if overhead else None)
    found = Worker(cpu=cpu, memory=memory or 10**6, disk=disk // 1024)
    if reason := problem(found):
        raise invalid(f"{role}: {cpu} cores with {heap} MB and overhead: no supported worker configuration ({reason})")
    return found


def _megabytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([mgt]?)b?", text.strip().lower())
    if not match:
        raise invalid(f"{text!r} is no amount of memory or disk")
    return int(match[1]) * _MB[match[2]]
