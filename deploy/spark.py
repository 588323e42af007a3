"""The Spark properties that follow from a specification. Pure.

The cap is one number, `executors`. `spark.dynamicAllocation.maxExecutors` alone is no cap: Spark asks for
max(minExecutors, initialExecutors, executor.instances) at the start without comparing it with the maximum, and the
service sets the latter two to 3. So every one of them is set, and dynamic allocation is off.
"""

from __future__ import annotations

from collections.abc import Mapping

from deploy.errors import SpecError
from deploy.spec import Spec, Worker
from deploy.targets import SERVERLESS, Target

PYTHON = "/opt/orchard/venv/bin/python"


def spark_properties(spec: Spec, target: Target = SERVERLESS) -> dict[str, str]:
    """Every property of a run in the cloud: cap, worker sizes, interpreter, and the specification's own.

    Raises:
        SpecError: a property of the specification contradicts one that follows from its numbers, or does nothing or
            harm.
    """
    _refuse_mistaken(spec.spark_properties)
    python = dict.fromkeys(target.interpreter, PYTHON)
    return _merge(spec.spark_properties, {**cap_properties(spec), **size_properties(spec, target), **python})


def cap_properties(spec: Spec) -> dict[str, str]:
    """What keeps a run at its number of executors from its first second to its last, whoever gives them out.

    A standalone cluster does not look at the number of instances: it stops at a number of cores.
    """
    count = str(spec.executors)
    return {
        "spark.cores.max": str(spec.executors * spec.executor.cpu),
        # What the work is cut for: otherwise it would be the executors that happen to be there already when the job
        # begins.
        "spark.default.parallelism": str(spec.executors * spec.executor.cpu),
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
    return {
        **_worker_properties("driver", spec.driver, target),
        **_worker_properties("executor", spec.executor, target),
    }


def _worker_properties(role: str, worker: Worker, target: Target) -> dict[str, str]:
    heap = worker.memory // 2
    disk = {target.disk.format(role=role): f"{worker.disk}g"} if target.disk else {}
    return {
        f"spark.{role}.cores": str(worker.cpu),
        f"spark.{role}.memory": f"{heap}g",
        f"spark.{role}.memoryOverhead": f"{worker.memory - heap}g",
        **disk,
    }


def _merge(own: Mapping[str, str], derived: Mapping[str, str]) -> dict[str, str]:
    for name in sorted(own.keys() & derived.keys()):
        if own[name] != derived[name]:
            raise SpecError(
                f"sparkProperties: {name}={own[name]} contradicts {derived[name]}, which follows from "
                "executors, driver and executor: remove it, or change those"
            )
    return {**own, **derived}


def _refuse_mistaken(own: Mapping[str, str]) -> None:
    for name in own:
        for mistaken, instead in _MISTAKEN.items():
            if name == mistaken or (mistaken.endswith(".") and name.startswith(mistaken)):
                raise SpecError(f"sparkProperties: {name}: {instead}")


# Seen in the wild, some in AWS's own examples: Spark and the service ignore them without a word, or the run fails.
_MISTAKEN: Mapping[str, str] = {
    "spark.emr-serverless.executorEnv.": "there is no such property: executors take spark.executorEnv.NAME",
    "spark.emr-serverless.driver.cores": "there is no such property: set the driver's cpu",
    "spark.emr-serverless.executor.cores": "there is no such property: set the executor's cpu",
    "spark.emr-serverless.driver.memory": "there is no such property: set the driver's memory",
    "spark.emr-serverless.executor.memory": "there is no such property: set the executor's memory",
    "spark.dynamicAllocation.enable": "there is no such property: it is spark.dynamicAllocation.enabled, and the cap "
    "sets it",
    "spark.shuffle.service.enabled": "EMR Serverless has no external shuffle service, a run with it fails: remove it",
    "spark.kubernetes.container.image": "a run takes the source tree's image, by its digest: remove it",
    "spark.kubernetes.driver.container.image": "driver and executors take the source tree's image, by its digest: "
    "remove it",
    "spark.kubernetes.executor.container.image": "driver and executors take the source tree's image, by its digest: "
    "remove it",
    "spark.emr-serverless.driver.disk.type": "other disks have another price, which no bill or estimate here knows: "
    "remove it",
    "spark.emr-serverless.executor.disk.type": "other disks have another price, which no bill or estimate here knows: "
    "remove it",
    "spark.executor.pyspark.memory": "it comes on top of the executor's memory, beyond the cap: remove it",
    "spark.memory.offHeap.": "it comes on top of the executor's memory, beyond the cap: remove it",
    "spark.master": "the service sets it: remove it",
    "spark.submit.deployMode": "the service sets it: remove it",
}
