"""What the commands say about money before anything is spent: the worst case, an estimate, the budget."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.cost import (
    PRICES_FILE,
    RATES_FILE,
    Estimate,
    Prices,
    Rates,
    check_budget,
    estimate,
    load_prices,
    load_rates,
    worst_case,
)
from deploy.errors import SpecError
from deploy.site import Site
from deploy.spec import Spec
from deploy.targets import EKS, Target

# Photos that an estimate is made for where the real number is not known.
_EXAMPLE = 1000


@dataclass(frozen=True, kw_only=True)
class Money:
    """What a run of a specification may cost.

    Attributes:
        estimate: None for commands that take no photos: how long those take was not measured.
    """

    spec: Spec
    target: Target
    prices: Prices
    rates: Rates
    worst: float
    estimate: Estimate | None
    counted: bool

    def facts(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "currency": self.prices.currency,
            "worst_case": round(self.worst, 4),
            "estimate": _estimate_facts(self.estimate, counted=self.counted) if self.estimate else None,
            "prices": self.prices.source,
            "measured": self.rates.measured,
        }


def _estimate_facts(guess: Estimate, *, counted: bool) -> dict[str, Any]:
    return {
        "photos": guess.photos,
        "photos_counted": counted,
        "seconds": round(guess.seconds),
        "amount": round(guess.amount, 4),
    }


def add_money(parser: argparse.ArgumentParser) -> None:
    """Give a command the flags about money."""
    parser.add_argument(
        "--photos",
        type=int,
        metavar="N",
        help="photos to estimate for (default: those that the run takes of the input)",
    )
    add_prices(parser)
    parser.add_argument(
        "--rates", type=Path, default=RATES_FILE, metavar="FILE", help="measured rates to use instead of Orchard's own"
    )


def add_prices(parser: argparse.ArgumentParser) -> None:
    """Give a command `--prices`."""
    parser.add_argument(
        "--prices", type=Path, default=PRICES_FILE, metavar="FILE", help="prices to use instead of Orchard's own"
    )


def money_of(site: Site, target: Target, arguments: argparse.Namespace, photos: int | None) -> Money:
    """Worst case and estimate of a run.

    Raises:
        SpecError: a table cannot be read, or does not know the region; photos for a command that takes none.
    """
    spec = site.spec
    if arguments.photos is not None and not site.command.photos:
        raise SpecError(f"--photos: {spec.command} takes no photos, and no estimate is made of it: leave it out")
    prices = load_prices(arguments.prices, region=site.account.region, architecture=spec.architecture, target=target)
    rates = load_rates(arguments.rates)
    return Money(
        spec=spec,
        target=target,
        prices=prices,
        rates=rates,
        worst=worst_case(spec, prices),
        estimate=estimate(spec, prices, rates, _EXAMPLE if photos is None else photos) if site.command.photos else None,
        counted=photos is not None,
    )


def check(money: Money, budget: float | None) -> None:
    """Raise `RefusedError` if the worst case is above the budget."""
    check_budget(money.worst, budget, money.prices, money.spec)


def money_lines(money: Money) -> Iterator[str]:
    """The same for a person."""
    spec, currency = money.spec, money.prices.currency
    attempts = f" x {spec.max_attempts} attempts" if spec.max_attempts > 1 else ""
    yield f"worst case  {money.worst:.2f} {currency}: every worker for {spec.timeout_minutes} minutes{attempts}"
    yield from _estimate_lines(money)
    yield f"prices      {money.prices.source}"
    if money.target is EKS:
        yield "            EMR's part alone; the nodes are billed by EC2 or Fargate"
        yield (
            "            nothing ends a run at its time-out but `submit --wait`, as long as it is there: "
            "counted from RUNNING"
        )


def _estimate_lines(money: Money) -> Iterator[str]:
    guess = money.estimate
    if guess is None:
        yield f"estimate    none: how long {money.spec.command} takes was not measured"
        return
    whose = "" if money.counted else " (an example: the input was not counted)"
    currency, minutes = money.prices.currency, guess.seconds / 60
    yield f"estimate    {guess.amount:.2f} {currency}, {minutes:.1f} minutes for {guess.photos:,} photos{whose}"
    yield f"            from: {money.rates.measured}"
