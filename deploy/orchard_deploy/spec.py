"""The job specification, `emr-serverless.json`: read, checked against its schema, and held as one frozen object."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchard.errors import UsageError
from orchard.network.backbones import MOBILENET_V2, get_backbone
from orchard.network.choice import is_folder

from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import RUN, Options, join, parse

SPEC_FILE = "emr-serverless.json"
SCHEMA_FILE = Path(__file__).with_name("emr-serverless.schema.json")


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
    backbones: tuple[str, ...] = (MOBILENET_V2.name,)
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
    arguments: tuple[str, ...] = ()
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
        """The options of the job with these locations, and `extra` arguments behind those of the specification.

        Raises:
            SpecError: an argument that the command does not know, or a value that it refuses; a backbone that the image
                lacks.
        """
        try:
            job = parse(self.command, join(self.command, self.arguments, extra), input=input, output=output)
        except UsageError as exc:
            raise SpecError(
                f"arguments of the job: {exc}: mend `arguments` in the specification or the command line"
            ) from exc
        named = getattr(job, "backbone", None)
        if named and not is_folder(named) and named not in self.backbones:  # of a folder only the job can say
            raise SpecError(
                f"arguments of the job: --backbone {named}: the image has {', '.join(self.backbones)}: add it to "
                "image.backbones in the specification, or name another"
            )
        return job


def load_spec(path: Path) -> Spec:
    """Read a specification.

    Raises:
        SpecError: no such file, no JSON, or not what the schema asks for; names the key in the file.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    content = _read(path)
    if error := best_match(Draft202012Validator(_read(SCHEMA_FILE)).iter_errors(content)):
        key = error.json_path.removeprefix("$").removeprefix(".") or "the top level"
        raise SpecError(f"{path}: {key}: {error.message}")
    try:
        return parse_spec(content)
    except UsageError as exc:
        raise SpecError(f"{path}: image.backbones: {exc}") from exc


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SpecError(
            f"{path}: {exc.strerror}: name the job specification with --spec, or call from the folder that holds it"
        ) from exc
    except ValueError as exc:
        raise SpecError(f"{path}: not JSON ({exc})") from exc


def parse_spec(content: Mapping[str, Any]) -> Spec:
    """The specification in a parsed file that fits the schema; `UsageError` for an unknown backbone."""
    # JSON's 2.0 is a whole number, too.
    whole = {name: int(value) for name, value in content.items() if isinstance(value, float)}
    content = {**content, **whole}
    values = {_snake(name): value for name, value in content.items() if name not in ("$schema", "image", "eks")}
    image = content["image"]
    backbones = image.get("backbones", (MOBILENET_V2.name,))
    values |= {
        "repository": image["repository"],
        "base": image.get("base"),
        "backbones": tuple(get_backbone(name).name for name in backbones),
        **{role: Worker(**{key: int(size) for key, size in content[role].items()}) for role in ("driver", "executor")},
        "arguments": tuple(content.get("arguments", ())),
        "eks": Eks(**{_snake(name): value for name, value in content["eks"].items()}) if "eks" in content else None,
    }
    return Spec(**values)


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
