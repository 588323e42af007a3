"""Worst case, estimate and amount, against figures computed by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard_deploy.cost.money import PRICES_FILE, RATES, Prices, amount, load_prices, money_facts, price, run_seconds
from orchard_deploy.emr import Utilization
from orchard_deploy.errors import SpecError
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import SPEC_FILE, Spec, Worker, load_spec
from orchard_deploy.targets import EKS, SERVERLESS

from tests.deploy.conftest import ROOT

SITE = Site(load_spec(ROOT / SPEC_FILE), Account(id="123456789012", region="us-east-1"))
PRICES = load_prices(PRICES_FILE, SITE)
ARM = Site(replace(SITE.spec, architecture="ARM64"), replace(SITE.account, region="eu-west-3"))
HOUR = 12 * 0.052624 + 48 * 0.0057785


def worst_case(spec: Spec) -> float:
    return float(money_facts(Site(spec, SITE.account), SERVERLESS, PRICES_FILE, None)["worst_case"])


def test_worst_case_of_an_hour_is_0_909(spec: Spec) -> None:
    assert worst_case(spec) == price(spec, PRICES, 3600) == pytest.approx(HOUR)
    assert round(HOUR, 3) == 0.909


def test_worst_case_counts_every_attempt(spec: Spec) -> None:
    assert worst_case(replace(spec, max_attempts=3)) == pytest.approx(3 * HOUR)


def test_price_of_disk_beyond_20_gb_a_worker(spec: Spec) -> None:
    large = replace(spec, driver=Worker(cpu=4, memory=16, disk=120))
    assert price(large, PRICES, 3600) - HOUR == pytest.approx(100 * 0.000111)


def test_price_is_of_a_minute_at_least(spec: Spec) -> None:
    assert price(spec, PRICES, 1) == price(spec, PRICES, 60)


def test_amount() -> None:
    used = Utilization(cpu=1.5, memory=6.0, storage=2.0)
    assert amount(used, PRICES) == pytest.approx(1.5 * 0.052624 + 6 * 0.0057785 + 2 * 0.000111)


def test_run_seconds_are_fixed_and_by_photos(spec: Spec) -> None:
    rates = {"photos_per_second_per_vcpu": 100, "fixed_seconds": 30, "provision_seconds": 90}
    assert run_seconds(spec, 80_000, rates) == 120 + 80_000 / (100 * 8)


@given(photos=st.integers(0, 10**7), more=st.integers(0, 10**6))
def test_run_seconds_of_more_photos_are_never_less(photos: int, more: int) -> None:
    assert run_seconds(SITE.spec, photos + more) >= run_seconds(SITE.spec, photos)


def test_estimate_of_90000_photos_is_under_30_cents(spec: Spec) -> None:
    assert money_facts(Site(spec, SITE.account), SERVERLESS, PRICES_FILE, 90_000)["estimate"]["amount"] < 0.30


def test_load_prices_of_an_unknown_region() -> None:
    with pytest.raises(SpecError, match=r"no price of EMR serverless in eu-west-3 on ARM64.*--prices"):
        load_prices(PRICES_FILE, ARM)


def test_load_prices_of_another_file(tmp_path: Path) -> None:
    own = tmp_path / "prices.json"
    price = {"vcpu_hour": 1, "gb_hour": 2, "storage_gb_hour": 3}
    own.write_text(
        json.dumps(
            {"currency": "EUR", "date": "2027-01-01", "source": "me", "serverless": {"eu-west-3": {"ARM64": price}}}
        )
    )
    found = load_prices(own, ARM)
    assert found == Prices(**price, currency="EUR", source="me (2027-01-01)")
    for wrong, told in (({**price, "gb_hour": "two"}, "could not convert"), (price, "'currency'")):
        own.write_text(json.dumps({"serverless": {"eu-west-3": {"ARM64": wrong}}}))
        with pytest.raises(SpecError, match=f"no price of .*{told}"):
            load_prices(own, ARM)
    with pytest.raises(SpecError, match="No such file"):
        load_prices(tmp_path / "none.json", ARM)


def test_prices_and_rates_have_date_and_source() -> None:
    assert "2026" in PRICES.source
    assert "pricing" in PRICES.source
    assert "not AWS" in RATES["measured"]
    eks = load_prices(PRICES_FILE, Site(ARM.spec, SITE.account), EKS)
    assert eks.vcpu_hour == 0.01012
