"""The Spark properties that follow from a specification. Pure but for reading spark.toml.

The cap is one number, `executors`. `spark.dynamicAllocation.maxExecutors` alone is no cap: Spark asks for
max(minExecutors, initialExecutors, executor.instances) at the start without comparing it with the maximum, and the
service sets the latter two to 3. So every one of them is set, and dynamic allocation is off.
"""

import re
import tomllib
from pathlib import Path

from orchard_deploy.errors import SpecError
from orchard_deploy.spec import Spec
from orchard_deploy.targets import SERVERLESS, Target

PYTHON = "/opt/orchard/venv/bin/python"
_MISTAKES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def spark_properties(spec: Spec, target: Target = SERVERLESS) -> dict[str, str]:
    """Every property of a run in the cloud: cap, worker sizes, interpreter, and the specification's own.

    `SpecError` for one that contradicts what follows from the specification's numbers, or does nothing, or harm.
    """
    derived = {**_cap(spec), **_sizes(spec, target), **dict.fromkeys(target.interpreter, PYTHON)}
    for name, value in spec.spark_properties.items():
        if instead := _mistake(name):
            raise SpecError(f"sparkProperties: {name}: {instead}")
        if derived.get(name, value) != value:
            raise SpecError(
                f"sparkProperties: {name}={value} contradicts {derived[name]}, which follows from "
                "executors, driver and executor: remove it, or change those"
            )
    return {**spec.spark_properties, **derived}


def _cap(spec: Spec) -> dict[str, str]:
    """What keeps a run at its number of executors; a standalone cluster stops at a number of cores instead."""
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


def _sizes(spec: Spec, target: Target) -> dict[str, str]:
    """Half of a worker's memory is the JVM's heap; the other half is for the Python workers and the network."""
    found = {}
    for role, worker in (("driver", spec.driver), ("executor", spec.executor)):
        heap = worker.memory // 2
        found[f"spark.{role}.cores"] = str(worker.cpu)
        found[f"spark.{role}.memory"] = f"{heap}g"
        found[f"spark.{role}.memoryOverhead"] = f"{worker.memory - heap}g"
        if target.disk:
            found[target.disk.format(role=role)] = f"{worker.disk}g"
    return found


def _mistake(name: str) -> str | None:
    """What to do instead of a property that would do nothing, or harm."""
    if re.search(r"[\s=]", name):
        return "a property's name has no blanks and no =: it would be read as another property: mend it"
    fits = (key for key in _MISTAKES if name == key or (key.endswith(".") and name.startswith(key)))
    return _MISTAKES.get(next(fits, ""))
