"""What a run costs: at worst, by estimate, and by what was billed. Pure but for reading the two tables.

EMR Serverless bills vCPU, memory and the disk beyond 20 GB of each worker by the second, one minute at least. Storage
in S3 and ECR is billed by those. On EMR on EKS these prices are what EMR adds; the nodes are billed by EC2 or Fargate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import RefusedError, SpecError
from deploy.observed import Utilization
from deploy.spec import Spec, Worker
from deploy.targets import SERVERLESS, Target

PRICES_FILE = Path(__file__).with_name("prices.json")
RATES_FILE = Path(__file__).with_name("rates.json")
# GB of each worker's disk that cost nothing, and seconds that a worker is billed at least.
FREE_DISK, LEAST_SECONDS = 20, 60


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of one service, region and architecture an hour; `source` with its date."""

    vcpu_hour: float
    gb_hour: float
    storage_gb_hour: float
    currency: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How fast photos go through one vCPU of an executor, and what a run takes beside them.

    Attributes:
        fixed_seconds: of the run itself, however few photos it has.
        provision_seconds: until AWS has the workers ready.
        measured: on what, and when.
    """

    photos_per_second_per_vcpu: float
    fixed_seconds: float
    provision_seconds: float
    measured: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Photos, seconds, and what they come to."""

    photos: int
    seconds: float
    amount: float


def load_prices(path: Path, *, region: str, architecture: str, target: Target = SERVERLESS) -> Prices:
    """The prices of a region.

    Raises:
        SpecError: the file cannot be read, or does not know the region; says what to add.
    """
    content = _load(path)
    try:
        found = content[target.name][region][architecture]
    except KeyError as exc:
        known = ", ".join(f"{name} ({'/'.join(kinds)})" for name, kinds in content.get(target.name, {}).items())
        raise SpecError(
            f"{path}: no price of EMR {target.name} in {region} on {architecture} (there are {known}): copy the file, "
            "add "
            f'"{region}": {{"{architecture}": {{"vcpu_hour": …, "gb_hour": …, "storage_gb_hour": …}}}} '
            "from aws.amazon.com/emr/pricing, and name the copy with --prices"
        ) from exc
    try:
        return Prices(**found, currency=content["currency"], source=f"{content['source']} ({content['date']})")
    except (KeyError, TypeError) as exc:
        raise SpecError(f"{path}: {region}, {architecture}: {exc}: it must have what {PRICES_FILE.name} has") from exc


def load_rates(path: Path = RATES_FILE) -> Rates:
    """The measured rates.

    Raises:
        SpecError: the file cannot be read.
    """
    content = _load(path)
    try:
        rates = Rates(**content)
    except TypeError as exc:
        raise SpecError(f"{path}: {exc}: it must have what {RATES_FILE.name} has") from exc
    if rates.photos_per_second_per_vcpu <= 0:
        raise SpecError(f"{path}: photos_per_second_per_vcpu must be above 0")
    return rates


def _load(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SpecError(f"{path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise SpecError(f"{path}: not JSON ({exc})") from exc
    return content


def amount(used: Utilization, prices: Prices) -> float:
    """What was used, in money."""
    return used.cpu * prices.vcpu_hour + used.memory * prices.gb_hour + used.storage * prices.storage_gb_hour


def utilization(spec: Spec, seconds: float) -> Utilization:
    """What driver and executors take when all of them are there for so long."""
    workers = (spec.driver, *[spec.executor] * spec.executors)
    hours = max(seconds, LEAST_SECONDS) / 3600
    return Utilization(
        cpu=sum(worker.cpu for worker in workers) * hours,
        memory=sum(worker.memory for worker in workers) * hours,
        storage=sum(_billed_disk(worker) for worker in workers) * hours,
    )


def _billed_disk(worker: Worker) -> int:
    return max(0, worker.disk - FREE_DISK)


def worst_case(spec: Spec, prices: Prices) -> float:
    """The most a run can cost: every worker up to the time-out, at every attempt."""
    return amount(utilization(spec, spec.timeout_minutes * 60.0), prices) * spec.max_attempts


def estimate(spec: Spec, prices: Prices, rates: Rates, photos: int) -> Estimate:
    """What a run over so many photos should take, by the measured rates."""
    slots = spec.executors * spec.executor.cpu
    seconds = rates.provision_seconds + rates.fixed_seconds + photos / (rates.photos_per_second_per_vcpu * slots)
    return Estimate(photos=photos, seconds=seconds, amount=amount(utilization(spec, seconds), prices))


def check_budget(worst: float, budget: float | None, prices: Prices, spec: Spec) -> None:
    """Raise `RefusedError` if the worst case is above the budget."""
    if budget is not None and worst > budget:
        raise RefusedError(
            f"--budget {budget:.2f}: the worst case is {worst:.2f} {prices.currency} ({spec.timeout_minutes} minutes x "
            f"{spec.max_attempts} attempts of every worker): lower timeoutMinutes, or the workers"
        )
