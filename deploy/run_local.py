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

from deploy.container import ContainerRun, Mount
from deploy.errors import SpecError
from deploy.job_commands import COMMANDS, Options, further_places, own_backbone, shown, to_words
from deploy.spec import Spec

OUTPUT, AWS = "/output", "/aws"
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
    input: str | None
    output: str | None
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
    job = job_of(spec, asked.extra, input=asked.input, output=asked.output)
    _check_place(spec, asked)
    places = list(_places(spec.command, job))
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
            *to_words(spec.command, _moved(job, places)),
        ),
        mounts=tuple(dict.fromkeys(place.mount for place in places if place.mount)),
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


def job_of(spec: Spec, extra: tuple[str, ...], *, input: str | None, output: str | None) -> Options:
    """The options of a run on this machine, with this machine's own places.

    Raises:
        SpecError: a place is missing, or nothing that the command reads; an argument that it refuses.
    """
    command = COMMANDS[spec.command]
    if command.input is None and input is not None:
        raise SpecError(f"--input {input}: {spec.command} reads none: leave it out")
    for name, place in (("--input", input if command.input else "none"), ("--output", output)):
        if place is None and "photos" not in command.files:  # only `predict` can do without
            raise SpecError(f"{name}: {spec.command} needs one: add it")
    return spec.job(*extra, input=input, output=output)


def local_places(spec: Spec, job: Options) -> Iterator[tuple[str, str]]:
    """What a run reads: each flag or argument, as a person gives it, and its place."""
    name = COMMANDS[spec.command].input
    if name and (source := getattr(job, name)):
        yield "--input", source
    for option, place in (*further_places(spec.command, job), *own_backbone(job)):
        yield shown(job, option), place


def writes_file(spec: Spec) -> bool:
    """Whether the output names one file."""
    return "output" in COMMANDS[spec.command].files


def written_folder(spec: Spec, output: str | None) -> str | None:
    """The folder or address that a run writes to: of a file the one that it is in."""
    return str(Path(output).parent) if output and "://" not in output and writes_file(spec) else output


def _check_place(spec: Spec, asked: Locally) -> None:
    """The job's own check, which in the container sees two folders of other names."""
    if COMMANDS[spec.command].photos and asked.input and asked.output:
        from orchard.tables.output import check_apart

        check_apart(asked.output, asked.input)


@dataclass(frozen=True, kw_only=True)
class _Place:
    option: str
    uri: str
    mount: Mount | None


def _places(name: str, job: Options) -> Iterator[_Place]:
    """What of the job are places, as the container sees them: each below a folder named after its option."""
    command = COMMANDS[name]
    own = [(option, getattr(job, option)) for option in (command.input, "output") if option]
    named = [*((option, place) for option, place in own if place), *further_places(name, job), *own_backbone(job)]
    for option, where in named:
        folder = f"/{option}"
        if isinstance(getattr(job, option), tuple):  # several, whose names may be the same, and which the job prints
            folder += os.path.dirname(os.path.abspath(os.path.expanduser(where)))
        yield _place(option, where, folder, is_file=option in command.files)


def _place(option: str, where: str, folder: str, *, is_file: bool) -> _Place:
    if "://" in where:
        return _Place(option=option, uri=where, mount=None)
    source, read_only = Path(where).expanduser().absolute(), option != "output"
    uri = f"{folder}/{source.name}" if is_file else folder
    mounted = (source, uri) if read_only or not is_file else (source.parent, folder)  # a file that is yet to be made
    return _Place(option=option, uri=uri, mount=Mount(source=mounted[0], target=mounted[1], read_only=read_only))


def _moved(job: Options, places: list[_Place]) -> Options:
    """The job with the container's own places, and the master that spark-submit gets."""
    found: dict[str, list[str]] = {}
    for place in places:
        found.setdefault(place.option, []).append(place.uri)
    moved: dict[str, Any] = {"master": None} if hasattr(job, "master") else {}
    for option, uris in found.items():
        moved[option] = tuple(uris) if isinstance(getattr(job, option), tuple) else uris[0]
    return replace(job, **moved)


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
