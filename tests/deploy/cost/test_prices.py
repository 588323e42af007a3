"""Worst case, estimate and amount, against figures computed by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard_deploy.cost.money import (
    PRICES_FILE,
    Prices,
    Rates,
    amount,
    estimate,
    load_prices,
    load_rates,
    utilization,
    worst_case,
)
from orchard_deploy.emr import Utilization
from orchard_deploy.errors import SpecError
from orchard_deploy.spec import SPEC_FILE, Spec, Worker, load_spec
from orchard_deploy.targets import EKS

from tests.deploy.conftest import ROOT

PRICES = load_prices(PRICES_FILE, region="us-east-1", architecture="X86_64")


def test_worst_case_of_an_hour_is_0_909(spec: Spec) -> None:
    assert worst_case(spec, PRICES) == pytest.approx(12 * 0.052624 + 48 * 0.0057785)
    assert round(worst_case(spec, PRICES), 3) == 0.909


def test_worst_case_counts_every_attempt(spec: Spec) -> None:
    assert worst_case(replace(spec, max_attempts=3), PRICES) == pytest.approx(3 * worst_case(spec, PRICES))


def test_utilization_of_disk_beyond_20_gb_a_worker(spec: Spec) -> None:
    large = replace(spec, driver=Worker(cpu=4, memory=16, disk=120))
    assert utilization(large, 3600).storage == 100
    assert worst_case(large, PRICES) - worst_case(spec, PRICES) == pytest.approx(100 * 0.000111)


def test_utilization_is_of_a_minute_at_least(spec: Spec) -> None:
    assert utilization(spec, 1) == utilization(spec, 60)


def test_amount() -> None:
    used = Utilization(cpu=1.5, memory=6.0, storage=2.0)
    assert amount(used, PRICES) == pytest.approx(1.5 * 0.052624 + 6 * 0.0057785 + 2 * 0.000111)


def test_estimate_has_fixed_time_and_time_by_photos(spec: Spec) -> None:
    rates = Rates(photos_per_second_per_vcpu=100, fixed_seconds=30, provision_seconds=90, measured="here")
    found = estimate(spec, PRICES, rates, photos=80_000)
    assert found.seconds == 120 + 80_000 / (100 * 8)
    assert found.amount == pytest.approx(worst_case(spec, PRICES) * found.seconds / 3600)


@given(photos=st.integers(0, 10**7), more=st.integers(0, 10**6))
def test_estimate_of_more_photos_is_never_less(photos: int, more: int) -> None:
    spec, rates = load_spec(ROOT / SPEC_FILE), load_rates()
    assert estimate(spec, PRICES, rates, photos + more).amount >= estimate(spec, PRICES, rates, photos).amount


def test_estimate_of_90000_photos_is_under_30_cents(spec: Spec) -> None:
    assert estimate(spec, PRICES, load_rates(), photos=90_000).amount < 0.30


def test_load_prices_of_an_unknown_region() -> None:
    with pytest.raises(SpecError, match=r'no price of EMR serverless in eu-west-3 on ARM64.*"eu-west-3".*--prices'):
        load_prices(PRICES_FILE, region="eu-west-3", architecture="ARM64")


def test_load_prices_of_another_file(tmp_path: Path) -> None:
    own = tmp_path / "prices.json"
    price = {"vcpu_hour": 1, "gb_hour": 2, "storage_gb_hour": 3}
    own.write_text(
        json.dumps(
            {"currency": "EUR", "date": "2027-01-01", "source": "me", "serverless": {"eu-west-3": {"ARM64": price}}}
        )
    )
    found = load_prices(own, region="eu-west-3", architecture="ARM64")
    assert found == Prices(**price, currency="EUR", source="me (2027-01-01)")
    own.write_text(json.dumps({"serverless": {"eu-west-3": {"ARM64": price}}}))
    with pytest.raises(SpecError, match=r"no price of .*'currency'"):
        load_prices(own, region="eu-west-3", architecture="ARM64")
    with pytest.raises(SpecError, match="No such file"):
        load_prices(tmp_path / "none.json", region="eu-west-3", architecture="ARM64")


def test_load_prices_and_load_rates_have_date_and_source() -> None:
    assert "2026" in PRICES.source
    assert "pricing" in PRICES.source
    assert "not AWS" in load_rates().measured
    eks = load_prices(PRICES_FILE, region="us-east-1", architecture="ARM64", target=EKS)
    assert eks.vcpu_hour == 0.01012
