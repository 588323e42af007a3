"""The job specification, `emr-serverless.json`: read, checked against its schema, and held as one frozen object."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
from orchard.errors import UsageError
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.network.choice import is_folder
from orchard.options import Options

from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import RUN, parse

SPEC_FILE = "emr-serverless.json"
SCHEMA_FILE = Path(__file__).with_name("emr-serverless.schema.json")
SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
# The file itself cannot know the backbones of an installed version.
SCHEMA["properties"]["image"]["properties"]["backbones"]["items"] = {"enum": list(BACKBONES)}
DISK = range(20, 201)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The size of one worker, or of several together: vCPU, GB of memory with the JVM's overhead in it, GB of disk."""

    cpu: int
    memory: int
    disk: int

    def __str__(self) -> str:
        return f"{self.cpu} vCPU, {self.memory} GB of memory, {self.disk} GB of disk"


@dataclass(frozen=True, kw_only=True)
class Eks:
    """Where EMR on EKS runs the job: a virtual cluster, the role that its pods take, and the base image there."""

    virtual_cluster: str
    execution_role: str
    base: str | None = None


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What runs, where its image comes from, how large it may get, what it is given: `SCHEMA_FILE` has each field."""

    name: str
    release_label: str
    architecture: str
    repository: str
    base: str | None = None
    backbones: Sequence[str] = (MOBILENET_V2.name,)
    executors: int
    driver: Worker
    executor: Worker
    entry_point: str
    command: str = RUN
    input: str | None = None
    output: str
    region: str | None = None
    bucket: str | None = None
    logs: str | None = None
    arguments: Sequence[str] = ()
    spark_properties: Mapping[str, str] = field(default_factory=dict)
    timeout_minutes: int = 60
    max_attempts: int = 1
    auto_stop_minutes: int = 5
    vcpu_quota: int = 16
    tags: Mapping[str, str] = field(default_factory=dict)
    eks: Eks | None = None

    @property
    def base_image(self) -> str:
        """The image that Orchard's is built on: the release's own unless the specification names another."""
        return self.base or f"public.ecr.aws/emr-serverless/spark/{self.release_label}:latest"

    @property
    def platform(self) -> str:
        """The architecture in the words of container images."""
        return {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}[self.architecture]

    def job(self, *extra: str, input: str | None, output: str | None) -> Options:
        """The job's options, `extra` arguments last; `SpecError` for what the command refuses, or the image lacks."""
        try:
            job = parse(self.command, self.arguments, *extra, input=input, output=output)
            named = getattr(job, "backbone", None)
            if named and not is_folder(named) and named not in self.backbones:  # of a folder only the job can say
                raise UsageError(f"--backbone {named}: the image has {', '.join(self.backbones)} of image.backbones")
            return job
        except UsageError as exc:
            raise SpecError(f"arguments of the job: {exc}: mend them in the specification or the command line") from exc


def load_spec(path: Path) -> Spec:
    """Read a specification; `SpecError`, with the key in the file, if it is not what the schema asks for."""
    try:
        # The schema has no number with a fraction: one that is written with it, 2.0 too, is refused as the text it is.
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=str)
        jsonschema.validate(content, SCHEMA)
        return parse_spec(content)
    except OSError as exc:
        raise SpecError(f"{path}: {exc.strerror}: name it with --spec, or call from the folder that holds it") from exc
    except ValueError as exc:
        raise SpecError(f"{path}: not JSON ({exc})") from exc
    except jsonschema.ValidationError as exc:
        key = exc.json_path.removeprefix("$").removeprefix(".") or "the top level"
        raise SpecError(f"{path}: {key}: {exc.message}") from exc


def parse_spec(content: Mapping[str, Any]) -> Spec:
    """The specification in a parsed file that fits the schema."""
    made: dict[str, Any] = {"driver": Worker(**content["driver"]), "executor": Worker(**content["executor"])}
    if "eks" in content:
        made["eks"] = Eks(**_snake(content["eks"]))
    values = {**content, **content["image"], **made}
    return Spec(**_snake({name: value for name, value in values.items() if name not in ("$schema", "image")}))


def _snake(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same, by names as Python has them."""
    return {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name): content[name] for name in content}


def capacity(spec: Spec) -> Worker:
    """What the runs of a specification may take at once: the application's maximum, and what is billed at most."""
    sizes = vars(spec.executor).items()
    return Worker(**{name: getattr(spec.driver, name) + spec.executors * size for name, size in sizes})


def check_workers(spec: Spec) -> None:
    """Raise `SpecError` for more vCPU than the account's quota lets run at once."""
    wanted = capacity(spec).cpu
    if wanted > spec.vcpu_quota:
        raise SpecError(
            f"driver and executors: {spec.driver.cpu} + {spec.executors} x {spec.executor.cpu} = {wanted} vCPU at "
            f"once, and the account's quota is {spec.vcpu_quota}: a run would wait for workers that never come: "
            "name fewer or smaller ones, or have the quota L-D05C8A75 raised and write the new one into vcpuQuota"
        )


def fitting_memory(cpu: int, heap: int, overhead: int | None) -> int | None:
    """GB of the smallest worker that holds a JVM with so many MB, or None; Spark's own overhead where none is given."""
    needed = heap + (max(384, math.ceil(heap * 0.1)) if overhead is None else overhead)
    is_valid = jsonschema.Draft202012Validator(SCHEMA["$defs"]["worker"]).is_valid
    sizes = range(math.ceil(needed / 1024), 121)
    return next((size for size in sizes if is_valid({"cpu": cpu, "memory": size, "disk": DISK[0]})), None)
