"""A run of the image on this machine by the job specification.

What the cloud would get, but for master, sizes and paths.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.container import ContainerRun, Mount
from deploy.errors import SpecError
from deploy.spec import Spec

INPUT, OUTPUT, AWS = "/input", "/output", "/aws"
SPARK_SUBMIT = "/usr/lib/spark/bin/spark-submit"
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# In the image: quiet logs, no UI, and the archive of Spark's classes, for a JVM of this machine's own. It stands in for
# the base image's defaults, which on EMR name its own resource manager.
LOCAL_CONF = "/opt/orchard/local.conf"
# The JVM's heap is a quarter, at least this much; the Python workers and the network have the rest.
_LEAST_HEAP = 512 << 20
# With less not even the JVM starts, and to Docker none at all means without limit.
_LEAST_MEMORY = 64 << 20
_LEAST_CPUS = 0.01  # Docker's own


@dataclass(frozen=True, kw_only=True)
class Locally:
    """What a run on this machine is asked for, beside the specification.

    Attributes:
        input, output: folders, or s3:// addresses, which the container then reaches through `network`.
        slots: task slots of the local master.
        cpus: cores the container may use; None for all that the engine has.
        memory: bytes it may use.
        user: uid and gid that it runs as.
        network: of the container.
        aws_profile: which of the credentials to use for s3://.
        aws_files: variable that names an AWS file -> the caller's, for s3://.
        aws_variables: AWS variables of the caller's, for s3://.
        extra: further arguments of the job.

    Raises:
        SpecError: a size that no run can work with.
    """

    image: str
    input: str
    output: str
    slots: int
    cpus: float | None = None
    memory: int
    user: tuple[int, int]
    network: str = "none"
    aws_profile: str | None = None
    aws_files: Mapping[str, Path] = field(default_factory=dict)
    aws_variables: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise SpecError(f"--slots {self.slots}: the job needs at least 1")
        if self.cpus is not None and not (math.isfinite(self.cpus) and self.cpus >= _LEAST_CPUS):
            raise SpecError(f"--cpus {self.cpus:g}: at least {_LEAST_CPUS:g} of a core: leave it out for all there are")


def parse_memory(text: str) -> int:
    """Bytes in `6g`, `512m`, `1.5GB`.

    Raises:
        SpecError: no such amount, or too little for anything.
    """
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([kmg]?)i?b?", text.strip().lower())
    if not match:
        raise SpecError(f"--memory {text}: not an amount of memory, such as 6g or 1500m")
    size = int(float(match[1]) * _UNITS[match[2]])
    if size < _LEAST_MEMORY:
        raise SpecError(f"--memory {text}: nothing starts with less than {_LEAST_MEMORY >> 20}m: give it more")
    return size


def plan_run(spec: Spec, asked: Locally) -> ContainerRun:
    """The container that does the run. Pure but for the folders' real paths.

    Raises:
        UsageError: the output is the input or inside it. SpecError: arguments that the job refuses.
    """
    _check_place(asked)
    places = [_place(asked.input, INPUT, read_only=True), _place(asked.output, OUTPUT, read_only=False)]
    job = replace(spec.job(*asked.extra, input=places[0].uri, output=places[1].uri), master=None)
    heap = max(_LEAST_HEAP, asked.memory // 4)
    properties = {**spec.spark_properties, "spark.driver.memory": f"{heap >> 20}m"}
    return ContainerRun(
        image=asked.image,
        entrypoint=SPARK_SUBMIT,
        command=(
            "--master",
            f"local[{asked.slots}]",
            "--properties-file",
            LOCAL_CONF,
            *_conf(properties),
            spec.entry_point,
            *job.to_args(),
        ),
        mounts=(*(place.mount for place in places if place.mount),),
        memory=asked.memory,
        cpus=asked.cpus,
        network=asked.network,
        # A container without a network cannot look any other name up.
        hostname="localhost" if asked.network == "none" else None,
        user=asked.user,
        environment=_aws_environment(asked),
        handed_on=asked.aws_variables,
        files={"/etc/passwd": _passwd(*asked.user)},
        copies={_in_container(variable): path for variable, path in asked.aws_files.items()},
    )


def _check_place(asked: Locally) -> None:
    """The job's own check, which in the container sees two folders of other names."""
    from orchard.tables.output import check_apart

    check_apart(asked.output, asked.input)


@dataclass(frozen=True)
class _Place:
    uri: str
    mount: Mount | None


def _place(where: str, target: str, *, read_only: bool) -> _Place:
    if "://" in where:
        return _Place(where, None)
    return _Place(target, Mount(source=Path(where).expanduser().absolute(), target=target, read_only=read_only))


def _conf(properties: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(properties.items()):
        yield from ("--conf", f"{name}={value}")


def _aws_environment(asked: Locally) -> dict[str, str]:
    files = {variable: _in_container(variable) for variable in asked.aws_files}
    return {**files, **({"AWS_PROFILE": asked.aws_profile} if asked.aws_profile else {})}


def _in_container(variable: str) -> str:
    return f"{AWS}/{variable.lower()}"


def _passwd(uid: int, gid: int) -> str:
    """Names for the ids in the container, the job's as in the cloud: Hadoop does not work for a user without one."""
    return f"root:x:0:0::/tmp:/bin/sh\nhadoop:x:{uid}:{gid}::/tmp:/bin/sh\n"
