"""What a run may cost, before anything is spent: the worst case, an estimate, the budget; and what it did cost.

EMR Serverless bills vCPU, memory and the disk beyond 20 GB of each worker by the second, one minute at least. Storage
in S3 and ECR is billed by those. On EMR on EKS these prices are what EMR adds; the nodes are billed by EC2 or Fargate.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchard.options import Options

from orchard_deploy import emr, s3
from orchard_deploy.context import Context
from orchard_deploy.emr import Run, Utilization
from orchard_deploy.errors import AwsError, RefusedError, SpecError
from orchard_deploy.site import Site
from orchard_deploy.spec import Spec, capacity
from orchard_deploy.targets import SERVERLESS, Target

PRICES_FILE = Path(__file__).with_name("prices.json")
# How fast one vCPU of an executor is, and seconds that a run takes beside, and AWS until it has the workers: measured.
RATES: Mapping[str, Any] = json.loads(Path(__file__).with_name("rates.json").read_text(encoding="utf-8"))
_ON_EKS = [
    "EMR's part alone; the nodes are billed by EC2 or Fargate",
    "nothing ends a run at its time-out but `submit --wait`, as long as it is there",
]


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of one service, region and architecture an hour; `source` with its date."""

    vcpu_hour: float
    gb_hour: float
    storage_gb_hour: float
    currency: str
    source: str


def load_prices(path: Path, site: Site, target: Target = SERVERLESS) -> Prices:
    """The prices where a run is; `SpecError` if the file cannot be read, or does not have them."""
    region, architecture = site.account.region, site.spec.architecture
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content[target.name][region][architecture]
        numbers = {name: float(number) for name, number in found.items()}
        return Prices(**numbers, currency=content["currency"], source=f"{content['source']} ({content['date']})")
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SpecError(
            f"{path}: no price of EMR {target.name} in {region} on {architecture} ({exc}): copy {PRICES_FILE}, add "
            "those of aws.amazon.com/emr/pricing like the others in it, and name the copy with --prices"
        ) from exc


def money_facts(site: Site, target: Target, prices_file: Path, photos: int | None) -> dict[str, Any]:
    """What a run may cost, as plain data; the estimate is of 1,000 photos, as an example, where none were counted."""
    spec, prices, count = site.spec, load_prices(prices_file, site, target), 1000 if photos is None else photos
    seconds = run_seconds(spec, count)
    guess = {"photos": count, "seconds": seconds, "amount": price(spec, prices, seconds)}
    return {
        "currency": prices.currency,
        "worst_case": price(spec, prices, spec.timeout_minutes * 60.0) * spec.max_attempts,
        "minutes": spec.timeout_minutes,
        "attempts": spec.max_attempts,
        "estimate": {**guess, "photos_counted": photos is not None} if site.command.photos else None,
        "prices": prices.source,
        "measured": RATES["measured"],
        "notes": [] if target.has_application else _ON_EKS,
    }


def money_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The same for a person."""
    currency, guess = facts["currency"], facts["estimate"]
    attempts = f" x {facts['attempts']} attempts" if facts["attempts"] > 1 else ""
    yield f"worst case  {facts['worst_case']:.2f} {currency}: every worker for {facts['minutes']} minutes{attempts}"
    if guess:
        whose = "" if guess["photos_counted"] else " (an example: the input was not counted)"
        figure = f"{guess['amount']:.2f} {currency}, {guess['seconds'] / 60:.1f} minutes for {guess['photos']:,} photos"
        yield f"estimate    {figure}{whose}"
        yield f"            from: {facts['measured']}"
    else:
        yield "estimate    none: how long this command takes was not measured"
    yield f"prices      {facts['prices']}"
    yield from (f"            {note}" for note in facts["notes"])


def check_budget(facts: Mapping[str, Any], budget: float | None, *, ends: bool) -> None:
    """Raise `RefusedError` if the worst case is above the budget, or nothing `ends` a run at its time-out."""
    if budget is not None and facts["worst_case"] > budget:
        worst = f"the worst case is {facts['worst_case']:.2f} {facts['currency']}"
        raise RefusedError(f"--budget {budget:.2f}: {worst}: lower timeoutMinutes, maxAttempts or the workers")
    if budget is not None and not ends:
        raise RefusedError("--budget: only `submit --wait` without --detach ends a run on EKS at its time-out")


def amount(used: Utilization, prices: Prices) -> float:
    """What was used, in money."""
    return used.cpu * prices.vcpu_hour + used.memory * prices.gb_hour + used.storage * prices.storage_gb_hour


def price(spec: Spec, prices: Prices, seconds: float) -> float:
    """What driver and executors cost when all of them are there for so long."""
    most, hours = capacity(spec), max(seconds, 60) / 3600
    storage = most.disk - 20 * (1 + spec.executors)
    return amount(Utilization(cpu=most.cpu * hours, memory=most.memory * hours, storage=storage * hours), prices)


def run_seconds(spec: Spec, photos: int, rates: Mapping[str, Any] = RATES) -> float:
    """How long a run over so many photos should take, by the measured rates."""
    work = photos / (rates["photos_per_second_per_vcpu"] * spec.executors * spec.executor.cpu)
    return float(rates["provision_seconds"] + rates["fixed_seconds"] + work)


def taken(labels: Iterable[str], job: Options) -> int:
    """Photos that a job takes of those with these labels: `run` as `orchard.photos.photo.arrange`, `predict` all."""
    photos = Counter(labels)
    varieties, most = getattr(job, "varieties", None), getattr(job, "per_variety", None)
    return sum(min(photos[label], most or photos[label]) for label in sorted(photos)[:varieties])


def count_photos(context: Context, asked: int | None, extra: Sequence[str]) -> int | None:
    """Photos that a run takes: as asked, else counted in the input; None where there is no input yet, or no photos."""
    if asked is not None and not context.site.command.photos:
        raise SpecError(f"--photos: {context.site.spec.command} takes no photos: leave it out")
    if asked is not None or not context.site.command.photos:
        return asked
    try:
        return taken(s3.labels(context.aws, context.site.input), context.site.job(*extra))
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return None
        raise


def bill_facts(context: Context, run: Run, prices_file: Path, *, photos: int | None = None) -> dict[str, Any]:
    """The bill as plain data; `RefusedError` if the run is not over, `WaitError` if its bill does not arrive."""
    prices = load_prices(prices_file, context.site)
    now = context.wait(
        lambda: emr.get_run(context.aws, run),
        # One that was over before it had workers costs nothing.
        lambda now: now.billed is not None or now.started is None or not now.over,
        what=f"the bill of run {run.id}, to be asked for again later",
        seconds=120.0,
    )
    if not now.over:
        raise RefusedError(f"run {run.id}: {now.state}: EMR Serverless bills a run at its end: call again then")
    used = now.billed or Utilization(cpu=0.0, memory=0.0, storage=0.0)
    count, source = (photos, "flag") if photos is not None else photos_of(context, now)
    return {
        "run": run.id,
        "state": now.state,
        "utilization": asdict(used),
        "amount": amount(used, prices),
        "currency": prices.currency,
        "photos": count,
        "photos_from": source,
        "per_1000_photos": amount(used, prices) / count * 1000 if count and now.started else None,
        "prices": prices.source,
    }


def bill_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The same for a person."""
    used, currency, photos = facts["utilization"], facts["currency"], facts["photos"]
    amounts = f"{used['cpu']:g} vCPU-hours, {used['memory']:g} GB-hours, {used['storage']:g} GB-hours of disk"
    yield f"run {facts['run']}: {facts['amount']:.4f} {currency} (billed): {amounts}"
    if facts["per_1000_photos"] is not None:
        least, most = ("at least ", "at most ") if facts["photos_from"] == "input" else ("", "")
        figure = f"{facts['per_1000_photos']:.4f} {currency} per 1,000 photos"
        yield f"{least}{figure} ({most}{photos:,} photos, by the {facts['photos_from']})"
    yield f"prices: {facts['prices']}"


def photos_of(context: Context, run: Run) -> tuple[int | None, str]:
    """Photos that a run worked on, by the report in the output if that is its own, else all that it was given."""
    output, name = context.site.output, context.site.command.report
    with contextlib.suppress(AwsError, KeyError, TypeError, ValueError):
        found = s3.read(context.aws, output.bucket, f"{output.prefix}/{name}".lstrip("/")) if name else None
        report = json.loads(found or "null")
        begun = datetime.fromisoformat(report["created"]).timestamp()
        # Runs of one application never overlap; the driver's clock may be a minute off from the service's.
        if run.started and run.started - 60 <= begun <= (run.ended or begun) + 60:
            return sum(report["update"][kind] for kind in ("new", "changed", "retried")), "report"
    return run.photos, "input"
