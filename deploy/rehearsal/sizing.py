"""Which workers a run asks for, read off its Spark properties as the service does. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.rehearsal.protocol import invalid, not_rehearsed
from deploy.spec import Worker
from deploy.workers import Capacity, fitting_memory, problem, total

# What the service sets where nobody does.
_DEFAULTS: Mapping[str, str] = {
    "spark.driver.cores": "4",
    "spark.driver.memory": "14g",
    "spark.emr-serverless.driver.disk": "20g",
    "spark.executor.cores": "4",
    "spark.executor.memory": "14g",
    "spark.emr-serverless.executor.disk": "20g",
    "spark.executor.instances": "3",
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.initialExecutors": "3",
    "spark.dynamicAllocation.minExecutors": "0",
}
_MB = {"": 1, "m": 1, "g": 1024, "t": 1024 * 1024}


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """The workers of a run: the driver's size, the executors' size, and how many executors it starts with."""

    driver: Worker
    executor: Worker
    executors: int

    @property
    def total(self) -> Capacity:
        """What they take together."""
        return total(self.driver, self.executor, self.executors)


def properties_of(submit: Mapping[str, Any], configuration: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The properties that a run gets: those of the submit parameters win over those of the configuration."""
    found: dict[str, str] = {}
    for part in configuration:
        found.update(part.get("properties", {}))
    words = iter(shlex.split(submit.get("sparkSubmitParameters", "")))
    for word in words:
        if word != "--conf":
            raise not_rehearsed(f"sparkSubmitParameters: {word}")
        name, _, value = next(words, "").partition("=")
        found[name] = value
    return found


def sizing(properties: Mapping[str, str]) -> Sizing:
    """The workers that these properties ask for.

    Raises:
        RefusalError: there are no such workers.
    """
    known = {**_DEFAULTS, **properties}
    return Sizing(driver=_worker("driver", known), executor=_worker("executor", known), executors=_executors(known))


def _executors(known: Mapping[str, str]) -> int:
    """As Spark does it: the start is the greatest of the three, and maxExecutors does not cut it off."""
    instances = int(known["spark.executor.instances"])
    if known["spark.dynamicAllocation.enabled"].lower() != "true":
        return instances
    return max(
        instances,
        int(known["spark.dynamicAllocation.initialExecutors"]),
        int(known["spark.dynamicAllocation.minExecutors"]),
    )


def _worker(role: str, known: Mapping[str, str]) -> Worker:
    cpu, heap = int(known[f"spark.{role}.cores"]), _megabytes(known[f"spark.{role}.memory"])
    overhead = known.get(f"spark.{role}.memoryOverhead")
    disk = _megabytes(known[f"spark.emr-serverless.{role}.disk"]) // 1024
    memory = fitting_memory(cpu, heap, _megabytes(overhead) if overhead else None)
    reason = problem(Worker(cpu=cpu, memory=memory or 10**6, disk=disk))
    if memory is None or reason:
        raise invalid(
            f"{role}: {cpu} cores with {heap} MB and its overhead: no supported worker configuration ({reason})"
        )
    return Worker(cpu=cpu, memory=memory, disk=disk)


def _megabytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([mgt]?)b?", text.strip().lower())
    if not match:
        raise invalid(f"{text!r} is no amount of memory or disk")
    return int(match[1]) * _MB[match[2]]
