"""What tells EMR Serverless and EMR on EKS apart, as data: targets.toml. Pure but for reading that."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchard_deploy.errors import SpecError
from orchard_deploy.spec import Spec

# The phases of a run after which nothing comes; one that is being cancelled still costs.
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A service that runs the job; the head of targets.toml describes the fields, `phases` are of each state."""

    name: str
    service: str
    place: str
    place_key: str
    run_key: str
    describe: str
    driver_key: str
    retry_key: str
    interpreter: list[str]
    logs: str
    log: str
    phases: Mapping[str, str]
    image_property: str | None = None
    has_application: bool = False
    disk: str | None = None
    flag: str = ""

    def active_states(self) -> list[str]:
        """The states of a run that is not over."""
        return [state for state, phase in self.phases.items() if phase not in FINAL]


def _read() -> Iterator[Target]:
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    for name, table in tables.items():
        phases = {state: phase for phase, states in table.pop("phases").items() for state in states}
        yield Target(name=name, phases=phases, **table)


TARGETS: Mapping[str, Target] = {target.name: target for target in _read()}
SERVERLESS, EKS = TARGETS["serverless"], TARGETS["eks"]


def spec_for(spec: Spec, target: Target) -> Spec:
    """The specification with the base image of the target, for an image of its own; `SpecError` if it has no `eks`."""
    if target is SERVERLESS:
        return spec
    if spec.eks is None:
        raise SpecError('eks: the specification has none: add "eks": {"virtualCluster": …, "executionRole": …}')
    return replace(spec, base=spec.eks.base or f"public.ecr.aws/emr-on-eks/spark/{spec.release_label}:latest")
