"""The inputs that the rehearsal acts on or gives back, as data.

Whatever else a call may bring is refused, at any depth.

A name stands for a member with all that is below it where nothing of that is named itself; `name=VALUE` for this one
value of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import ListShape, Shape, StructureShape

# Path of a member -> the one value that it may have, if there is but one.
Known = Mapping[str, str | None]

_SETTINGS = """
    releaseLabel architecture
    imageConfiguration.imageUri imageConfiguration.applicationLevelDigestResolution
    maximumCapacity.cpu maximumCapacity.memory maximumCapacity.disk
    autoStartConfiguration.enabled autoStopConfiguration.enabled autoStopConfiguration.idleTimeoutMinutes
    schedulerConfiguration.maxConcurrentRuns schedulerConfiguration.queueTimeoutMinutes
"""
_OVERRIDES = """
    configurationOverrides.applicationConfiguration.classification=spark-defaults
    configurationOverrides.applicationConfiguration.properties
    configurationOverrides.monitoringConfiguration.s3MonitoringConfiguration.logUri
"""
# Service -> operation -> members. An operation that is not here is refused as a whole.
INPUTS: Mapping[str, Mapping[str, str]] = {
    "emr-serverless": {
        "CreateApplication": f"name type=SPARK clientToken tags {_SETTINGS}",
        "UpdateApplication": f"applicationId clientToken {_SETTINGS}",
        "GetApplication": "applicationId",
        "ListApplications": "states nextToken maxResults",
        "StartApplication": "applicationId",
        "StopApplication": "applicationId",
        "DeleteApplication": "applicationId",
        "TagResource": "resourceArn tags",
        "StartJobRun": f"""
            applicationId clientToken name tags executionRoleArn executionTimeoutMinutes mode=BATCH
            retryPolicy.maxAttempts jobDriver.sparkSubmit.entryPoint jobDriver.sparkSubmit.entryPointArguments
            jobDriver.sparkSubmit.sparkSubmitParameters
            {_OVERRIDES}
        """,
        "GetJobRun": "applicationId jobRunId",
        "ListJobRuns": "applicationId states nextToken maxResults",
        "CancelJobRun": "applicationId jobRunId",
    },
    "emr-containers": {
        "StartJobRun": f"""
            virtualClusterId clientToken name tags executionRoleArn releaseLabel retryPolicyConfiguration.maxAttempts
            jobDriver.sparkSubmitJobDriver.entryPoint jobDriver.sparkSubmitJobDriver.entryPointArguments
            jobDriver.sparkSubmitJobDriver.sparkSubmitParameters
            {_OVERRIDES}
        """,
        "DescribeJobRun": "virtualClusterId id",
        "ListJobRuns": "virtualClusterId states nextToken maxResults",
        "CancelJobRun": "virtualClusterId id",
    },
}


def known_inputs(service: str) -> dict[str, Known]:
    """The members of each operation of a service, by their paths, with those that they are part of."""
    return {operation: _known(text) for operation, text in INPUTS[service].items()}


def _known(text: str) -> Known:
    found: dict[str, str | None] = {}
    for word in text.split():
        path, _, only = word.partition("=")
        parts = path.split(".")
        found |= {".".join(parts[:length]): None for length in range(1, len(parts))}
        found[path] = only or None
    return found


def strangers(shape: Shape, value: Any, known: Known, where: str = "") -> Iterator[str]:
    """Every member of an input that is not among the known ones, by its path.

    The same for every value that is not the one that is known.
    """
    if isinstance(shape, StructureShape):
        for name, item in value.items():
            path = f"{where}.{name}".lstrip(".")
            yield from strangers(shape.members[name], item, known, path) if path in known else [path]
    elif isinstance(shape, ListShape):
        for item in value:
            yield from strangers(shape.member, item, known, where)
    elif known.get(where) not in (None, value):
        yield f"{where} {value}"
