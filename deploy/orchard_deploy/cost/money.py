"""What a run may cost, before anything is spent: prices, the worst case, an estimate, the budget.

EMR Serverless bills vCPU, memory and the disk beyond 20 GB of each worker by the second, one minute at least. Storage
in S3 and ECR is billed by those. On EMR on EKS these prices are what EMR adds; the nodes are billed by EC2 or Fargate.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchard.options import JobOptions

from orchard_deploy import s3
from orchard_deploy.capacity import capacity
from orchard_deploy.emr import Utilization
from orchard_deploy.errors import AwsError, RefusedError, SpecError
from orchard_deploy.job_commands import Options
from orchard_deploy.site import Site
from orchard_deploy.spec import Spec
from orchard_deploy.targets import SERVERLESS, Target

if TYPE_CHECKING:
    from orchard_deploy.context import Context

PRICES_FILE = Path(__file__).with_name("prices.json")
RATES_FILE = Path(__file__).with_name("rates.json")
# GB of each worker's disk that cost nothing, and seconds that a worker is billed at least.
FREE_DISK, LEAST_SECONDS = 20, 60
# Photos that an estimate is made for where the real number is not known.
_EXAMPLE = 1000


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
    """How fast one vCPU of an executor is, and seconds that a run takes beside, and AWS until it has the workers."""

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


@dataclass(frozen=True, kw_only=True)
class Money:
    """What a run may cost; an example is estimated where its photos were not counted."""

    site: Site
    target: Target
    prices: Prices
    rates: Rates
    photos: int | None

    @property
    def worst(self) -> float:
        """The most that it can cost."""
        return worst_case(self.site.spec, self.prices)

    @property
    def estimate(self) -> Estimate | None:
        """What it should take; None for commands that take no photos: how long those take was not measured."""
        photos = _EXAMPLE if self.photos is None else self.photos
        return estimate(self.site.spec, self.prices, self.rates, photos) if self.site.command.photos else None

    def facts(self) -> dict[str, Any]:
        """The same as plain data."""
        guess = self.estimate
        return {
            "currency": self.prices.currency,
            "worst_case": self.worst,
            "estimate": {**asdict(guess), "photos_counted": self.photos is not None} if guess else None,
            "prices": self.prices.source,
            "measured": self.rates.measured,
        }


def whole(text: str) -> int:
    """A number of photos on the command line."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no number of photos")
    return int(text)


def add_money(parser: argparse.ArgumentParser) -> None:
    """Give a command the flags about money."""
    photos = "photos to estimate for (default: those that the run takes of the input)"
    parser.add_argument("--photos", type=whole, metavar="N", help=photos)
    add_prices(parser)


def add_prices(parser: argparse.ArgumentParser) -> None:
    """Give a command `--prices`."""
    prices = "prices to use instead of Orchard's own"
    parser.add_argument("--prices", type=Path, default=PRICES_FILE, metavar="FILE", help=prices)


def load_prices(path: Path, *, region: str, architecture: str, target: Target = SERVERLESS) -> Prices:
    """The prices of a region; `SpecError` if the file cannot be read, or does not have them, says what to add."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content[target.name][region][architecture]
        return Prices(**found, currency=content["currency"], source=f"{content['source']} ({content['date']})")
    except (OSError, ValueError) as exc:
        raise SpecError(f"--prices {path}: not to be read as JSON: {exc}") from exc
    except (KeyError, TypeError) as exc:
        raise SpecError(
            f"{path}: no price of EMR {target.name} in {region} on {architecture} ({exc}): copy {PRICES_FILE}, add "
            f'"{region}": {{"{architecture}": {{"vcpu_hour": …, "gb_hour": …, "storage_gb_hour": …}}}} '
            "from aws.amazon.com/emr/pricing, and name the copy with --prices"
        ) from exc


def load_rates() -> Rates:
    """The measured rates."""
    return Rates(**json.loads(RATES_FILE.read_text(encoding="utf-8")))


def money_of(site: Site, target: Target, arguments: argparse.Namespace, photos: int | None) -> Money:
    """What a run may cost; `SpecError` without prices of the region, or for photos of a command that takes none."""
    spec = site.spec
    if arguments.photos is not None and not site.command.photos:
        raise SpecError(f"--photos: {spec.command} takes no photos, and no estimate is made of it: leave it out")
    prices = load_prices(arguments.prices, region=site.account.region, architecture=spec.architecture, target=target)
    return Money(site=site, target=target, prices=prices, rates=load_rates(), photos=photos)


def amount(used: Utilization, prices: Prices) -> float:
    """What was used, in money."""
    return used.cpu * prices.vcpu_hour + used.memory * prices.gb_hour + used.storage * prices.storage_gb_hour


def utilization(spec: Spec, seconds: float) -> Utilization:
    """What driver and executors take when all of them are there for so long."""
    most, hours = capacity(spec), max(seconds, LEAST_SECONDS) / 3600
    storage = most.disk - FREE_DISK * (1 + spec.executors)
    return Utilization(cpu=most.cpu * hours, memory=most.memory * hours, storage=storage * hours)


def worst_case(spec: Spec, prices: Prices) -> float:
    """The most a run can cost: every worker up to the time-out, at every attempt."""
    return amount(utilization(spec, spec.timeout_minutes * 60.0), prices) * spec.max_attempts


def estimate(spec: Spec, prices: Prices, rates: Rates, photos: int) -> Estimate:
    """What a run over so many photos should take, by the measured rates."""
    slots = spec.executors * spec.executor.cpu
    seconds = rates.provision_seconds + rates.fixed_seconds + photos / (rates.photos_per_second_per_vcpu * slots)
    return Estimate(photos=photos, seconds=seconds, amount=amount(utilization(spec, seconds), prices))


def taken(labels: Iterable[str], job: Options) -> int:
    """Photos that a job takes of those with these labels: `run` as `orchard.photos.photo.arrange`, `predict` all."""
    photos = Counter(labels)
    if not isinstance(job, JobOptions):
        return photos.total()
    return sum(min(photos[label], job.per_variety or photos[label]) for label in sorted(photos)[: job.varieties])


def count_photos(context: Context, asked: int | None, extra: Sequence[str]) -> int | None:
    """Photos that a run takes: as asked, else counted in the input; None where there is no input yet, or no photos."""
    if asked is not None or not context.site.command.photos:
        return asked
    try:
        return taken(s3.labels(context.aws, context.site.input), context.site.job(*extra))
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return None
        raise


def check_budget(money: Money, budget: float | None, *, stays: bool) -> None:
    """Raise `RefusedError` if the worst case is above the budget, or nobody `stays` to end a run that AWS does not."""
    if budget is None:
        return
    if money.worst > budget:
        spec = money.site.spec
        raise RefusedError(
            f"--budget {budget:.2f}: the worst case is {money.worst:.2f} {money.prices.currency} "
            f"({spec.timeout_minutes} minutes x {spec.max_attempts} attempts of every worker): lower timeoutMinutes, "
            "or the workers"
        )
    if not (money.target.ends_runs or stays):
        raise RefusedError(
            "--budget: nothing ends a run on EKS at its time-out but `submit --wait` without --detach: add or remove "
            "those"
        )


def money_lines(money: Money) -> Iterator[str]:
    """The same for a person."""
    spec, guess, currency = money.site.spec, money.estimate, money.prices.currency
    attempts = f" x {spec.max_attempts} attempts" if spec.max_attempts > 1 else ""
    yield f"worst case  {money.worst:.2f} {currency}: every worker for {spec.timeout_minutes} minutes{attempts}"
    if guess:
        whose = " (an example: the input was not counted)" if money.photos is None else ""
        figure = f"{guess.amount:.2f} {currency}, {guess.seconds / 60:.1f} minutes for {guess.photos:,} photos"
        yield f"estimate    {figure}{whose}"
        yield f"            from: {money.rates.measured}"
    else:
        yield f"estimate    none: how long {spec.command} takes was not measured"
    yield f"prices      {money.prices.source}"
    if not money.target.bills_runs:
        yield "            EMR's part alone; the nodes are billed by EC2 or Fargate"
    if not money.target.ends_runs:
        yield "            nothing ends a run at its time-out but `submit --wait`, as long as it is there"
