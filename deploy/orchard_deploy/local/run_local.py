"""A run of the image on this machine by the job specification.

What the cloud would get, but for master, sizes and paths.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import COMMANDS, Options, further_places, own_backbone, to_words
from orchard_deploy.local.container import ContainerRun, Mount
from orchard_deploy.spec import Spec

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
        input, output: folders, or s3:// addresses, which the container then reaches through `network`; None where the
            command gets none.
        slots: task slots of the local master.
        cpus, memory, user, network: see `ContainerRun`.
        variables, files: what the job gets of its caller, for s3://; see `orchard_deploy.local.caller`.
        names: the container's /etc/passwd; None for the image's own.
        extra: further arguments of the job.

    Raises:
        SpecError: a size that no run can work with.
    """

    image: str
    input: str | None
    output: str | None
    slots: int
    cpus: float | None = None
    memory: int
    user: tuple[int, int]
    network: str = "none"
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    names: Path | None = None
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise SpecError(f"--slots {self.slots}: the job needs at least 1")
        if self.cpus is not None and not _LEAST_CPUS <= self.cpus < math.inf:
            raise SpecError(f"--cpus {self.cpus:g}: at least {_LEAST_CPUS:g} of a core: leave it out for all there are")


def parse_memory(text: str) -> int:
    """Bytes in `6g`, `512m`, `1.5GB`.

    Raises:
        SpecError: no such amount, or too little for anything.
    """
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([kmg]?)i?b?", text.strip().lower())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size < _LEAST_MEMORY:
        raise SpecError(f"--memory {text}: give an amount of at least {_LEAST_MEMORY >> 20}m, such as 6g or 1500m")
    return size


def plan_run(spec: Spec, asked: Locally) -> ContainerRun:
    """The container that does the run. Pure but for the folders' real paths.

    Raises:
        SpecError: the output is the input or inside it; arguments that the job refuses.
    """
    job, mounts = _moved(spec.command, job_of(spec, asked.extra, input=asked.input, output=asked.output))
    _check_apart(spec, asked)
    heap = max(_LEAST_HEAP, asked.memory // 4)
    properties = {**spec.spark_properties, "spark.driver.memory": f"{heap >> 20}m"}
    settings = [word for name, value in sorted(properties.items()) for word in ("--conf", f"{name}={value}")]
    submit = ("--master", f"local[{asked.slots}]", "--properties-file", LOCAL_CONF, *settings)
    inside = {variable: f"/caller/{variable.lower()}" for variable in asked.files}
    mounts += [Mount(source=path, target=inside[variable]) for variable, path in asked.files.items()]
    mounts += [Mount(source=asked.names, target="/etc/passwd")] if asked.names else []
    return ContainerRun(
        image=asked.image,
        entrypoint=SPARK_SUBMIT,
        command=(*submit, spec.entry_point, *to_words(spec.command, job)),
        mounts=tuple(dict.fromkeys(mounts)),
        memory=asked.memory,
        cpus=asked.cpus,
        network=asked.network,
        user=asked.user,
        # The user's own home in the image, if there is one, is read-only.
        environment={"HOME": "/tmp", **inside},
        handed_on=asked.variables,
    )


def job_of(spec: Spec, extra: tuple[str, ...], *, input: str | None, output: str | None) -> Options:
    """The options of a run on this machine, with this machine's own locations.

    Raises:
        SpecError: a location is missing, or nothing that the command reads; an argument that it refuses.
    """
    command = COMMANDS[spec.command]
    if command.input is None and input is not None:
        raise SpecError(f"--input {input}: {spec.command} reads none: leave it out")
    for name, location in (("--input", input if command.input else "none"), ("--output", output)):
        if location is None and "photos" not in command.files:  # only `predict` can do without
            raise SpecError(f"{name}: {spec.command} needs one: add it")
    return spec.job(*extra, input=input, output=output)


def locations(name: str, job: Options) -> Iterator[tuple[str, str]]:
    """Option and location of everything that a command reads and writes."""
    for option in (COMMANDS[name].input, "output"):
        if option and (where := getattr(job, option)):
            yield option, where
    yield from further_places(name, job)
    yield from own_backbone(job)


def _check_apart(spec: Spec, asked: Locally) -> None:
    """The job's own check, which in the container sees two folders of other names."""
    source, output = asked.input, asked.output
    if not (source and output and COMMANDS[spec.command].photos) or "://" in source + output:
        return
    if Path(output).expanduser().resolve().is_relative_to(Path(source).expanduser().resolve()):
        raise SpecError(f"--output {output}: is inside --input {source}, which is never written to: choose another")


def _moved(name: str, job: Options) -> tuple[Options, list[Mount]]:
    """The job with the locations that it has in the container, and their mounts, below folders named after options."""
    moved: dict[str, Any] = {"master": None} if hasattr(job, "master") else {}  # that is spark-submit's here
    mounts = []
    for option, where in locations(name, job):
        several, is_file = isinstance(getattr(job, option), tuple), option in COMMANDS[name].files
        target = where
        if "://" not in where:
            source = Path(os.path.abspath(os.path.expanduser(where)))
            folder = f"/{option}{source.parent}" if several else f"/{option}"  # several may have the same name
            target = f"{folder}/{source.name}" if is_file else folder
            if option == "output":  # a file is yet to be made, so its folder is mounted
                mounts.append(Mount(source=source.parent if is_file else source, target=folder, read_only=False))
            else:
                mounts.append(Mount(source=source, target=target))
        moved[option] = (*moved.get(option, ()), target) if several else target
    return replace(job, **moved), mounts
