"""The Spark properties that follow from a specification. Pure.

The cap is one number, `executors`. `spark.dynamicAllocation.maxExecutors` alone is no cap: Spark asks for
max(minExecutors, initialExecutors, executor.instances) at the start without comparing it with the maximum, and the
service sets the latter two to 3. So every one of them is set, and dynamic allocation is off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchard_deploy.errors import SpecError
from orchard_deploy.spec import Spec, Worker
from orchard_deploy.targets import SERVERLESS, Target

PYTHON = "/opt/orchard/venv/bin/python"


def spark_properties(spec: Spec, target: Target = SERVERLESS) -> dict[str, str]:
    """Every property of a run in the cloud: cap, worker sizes, interpreter, and the specification's own.

    Raises:
        SpecError: a property of the specification contradicts one that follows from its numbers, or does nothing or
            harm.
    """
    own = spec.spark_properties
    derived = {**cap_properties(spec), **size_properties(spec, target), **dict.fromkeys(target.interpreter, PYTHON)}
    for name, value in own.items():
        if instead := _mistake(name):
            raise SpecError(f"sparkProperties: {name}: {instead}")
        if derived.get(name, value) != value:
            raise SpecError(
                f"sparkProperties: {name}={value} contradicts {derived[name]}, which follows from "
                "executors, driver and executor: remove it, or change those"
            )
    return {**own, **derived}


def cap_properties(spec: Spec) -> dict[str, str]:
    """What keeps a run at its number of executors from its first second to its last, whoever gives them out.

    A standalone cluster does not look at the number of instances: it stops at a number of cores.
    """
    count, cores = str(spec.executors), str(spec.executors * spec.executor.cpu)
    return {
        "spark.cores.max": cores,
        # What the work is cut for: otherwise it would be the executors that are there already when the job begins.
        "spark.default.parallelism": cores,
        "spark.dynamicAllocation.enabled": "false",
        "spark.executor.instances": count,
        "spark.dynamicAllocation.initialExecutors": count,
        "spark.dynamicAllocation.minExecutors": count,
        "spark.dynamicAllocation.maxExecutors": count,
    }


def size_properties(spec: Spec, target: Target = SERVERLESS) -> dict[str, str]:
    """Cores, memory and disk of driver and executors.

    Half of a worker's memory is the JVM's heap, the other half is the overhead, where the Python workers and the
    network live.
    """
    workers = {"driver": spec.driver, "executor": spec.executor}
    return dict(pair for role, worker in workers.items() for pair in _worker_properties(role, worker, target))


def _worker_properties(role: str, worker: Worker, target: Target) -> Iterator[tuple[str, str]]:
    heap = worker.memory // 2
    yield f"spark.{role}.cores", str(worker.cpu)
    yield f"spark.{role}.memory", f"{heap}g"
    yield f"spark.{role}.memoryOverhead", f"{worker.memory - heap}g"
    if target.disk:
        yield target.disk.format(role=role), f"{worker.disk}g"


def _mistake(name: str) -> str | None:
    """What to do instead of a property that would do nothing, or harm."""
    if any(letter.isspace() or letter == "=" for letter in name):
        return "a property's name has no blanks and no =: it would be read as another property: mend it"
    return next(
        (text for key, text in _MISTAKEN.items() if name == key or (key.endswith(".") and name.startswith(key))), None
    )


# Seen in the wild, some in AWS's own examples: Spark and the service ignore them without a word, or the run fails.
_BEYOND = "it comes on top of the executor's memory, beyond the cap: remove it"
_DISK = "other disks have another price, which no bill or estimate here knows: remove it"
_IMAGE = "driver and executors take the source tree's image, by its digest: remove it"
_SET = "the service sets it: remove it"
_MISTAKEN: Mapping[str, str] = {
    "spark.emr-serverless.executorEnv.": "there is no such property: executors take spark.executorEnv.NAME",
    **{
        f"spark.emr-serverless.{role}.{name}": f"there is no such property: set the {role}'s {field}"
        for role in ("driver", "executor")
        for name, field in (("cores", "cpu"), ("memory", "memory"))
    },
    "spark.dynamicAllocation.enable": "there is no such property: it is spark.dynamicAllocation.enabled, which the cap "
    "sets",
    "spark.shuffle.service.enabled": "EMR Serverless has no external shuffle service, a run with it fails: remove it",
    "spark.kubernetes.container.image": _IMAGE,
    "spark.kubernetes.driver.container.image": _IMAGE,
    "spark.kubernetes.executor.container.image": _IMAGE,
    "spark.emr-serverless.driver.disk.type": _DISK,
    "spark.emr-serverless.executor.disk.type": _DISK,
    "spark.executor.pyspark.memory": _BEYOND,
    "spark.memory.offHeap.": _BEYOND,
    "spark.master": _SET,
    "spark.submit.deployMode": _SET,
}
