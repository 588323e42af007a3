"""Worst case, estimate and bill, against figures computed by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cost import (
    PRICES_FILE,
    Prices,
    Rates,
    amount,
    check_budget,
    estimate,
    load_prices,
    load_rates,
    utilization,
    worst_case,
)
from deploy.errors import RefusedError, SpecError
from deploy.observed import Utilization
from deploy.spec import SPEC_FILE, Spec, Worker, load_spec
from deploy.targets import EKS
from tests.aws.conftest import ROOT

PRICES = load_prices(PRICES_FILE, region="us-east-1", architecture="X86_64")


def test_an_hour_of_driver_and_two_executors_of_4_vcpu_and_16_gb_is_0_909(spec: Spec) -> None:
    assert worst_case(spec, PRICES) == pytest.approx(12 * 0.052624 + 48 * 0.0057785)
    assert round(worst_case(spec, PRICES), 3) == 0.909


def test_every_attempt_counts(spec: Spec) -> None:
    assert worst_case(replace(spec, max_attempts=3), PRICES) == pytest.approx(3 * worst_case(spec, PRICES))


def test_only_disk_beyond_20_gb_a_worker_costs(spec: Spec) -> None:
    large = replace(spec, driver=Worker(cpu=4, memory=16, disk=120))
    assert utilization(large, 3600).storage == 100
    assert worst_case(large, PRICES) - worst_case(spec, PRICES) == pytest.approx(100 * 0.000111)


def test_a_worker_is_billed_for_a_minute_at_least(spec: Spec) -> None:
    assert utilization(spec, 1) == utilization(spec, 60)


def test_the_bill_is_what_was_billed_times_the_prices() -> None:
    used = Utilization(cpu=1.5, memory=6.0, storage=2.0)
    assert amount(used, PRICES) == pytest.approx(1.5 * 0.052624 + 6 * 0.0057785 + 2 * 0.000111)


def test_an_estimate_has_fixed_time_and_time_by_photos(spec: Spec) -> None:
    rates = Rates(photos_per_second_per_vcpu=100, fixed_seconds=30, provision_seconds=90, measured="here")
    found = estimate(spec, PRICES, rates, photos=80_000)
    assert found.seconds == 120 + 80_000 / (100 * 8)
    assert found.amount == pytest.approx(worst_case(spec, PRICES) * found.seconds / 3600)


@given(photos=st.integers(0, 10**7), more=st.integers(0, 10**6))
def test_more_photos_never_cost_less(photos: int, more: int) -> None:
    spec, rates = load_spec(ROOT / SPEC_FILE), load_rates()
    assert estimate(spec, PRICES, rates, photos + more).amount >= estimate(spec, PRICES, rates, photos).amount


def test_a_budget_below_the_worst_case_is_a_refusal(spec: Spec) -> None:
    check_budget(0.91, 1.00, PRICES, spec)
    check_budget(0.91, None, PRICES, spec)
    with pytest.raises(
        RefusedError, match=r"--budget 0.50: the worst case is 0.91 USD \(60 minutes x 1 attempts.*lower timeoutMinutes"
    ):
        check_budget(0.91, 0.50, PRICES, spec)


def test_an_unknown_region_says_what_to_add_and_where() -> None:
    with pytest.raises(
        SpecError,
        match=r'no price of EMR serverless in eu-west-3 on ARM64.*us-east-1 \(X86_64\).*"eu-west-3".*--prices',
    ):
        load_prices(PRICES_FILE, region="eu-west-3", architecture="ARM64")


def test_a_file_of_ones_own_is_read_instead(tmp_path: Path) -> None:
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
    with pytest.raises(SpecError, match=r"it must have what prices\.json has"):
        load_prices(own, region="eu-west-3", architecture="ARM64")
    with pytest.raises(SpecError, match="No such file"):
        load_prices(tmp_path / "none.json", region="eu-west-3", architecture="ARM64")


def test_orchards_own_tables_carry_date_source_and_what_was_measured() -> None:
    assert "2026" in PRICES.source
    assert "pricing" in PRICES.source
    assert "not AWS" in load_rates().measured
    eks = load_prices(PRICES_FILE, region="us-east-1", architecture="ARM64", target=EKS)
    assert eks.vcpu_hour == 0.01012


def test_rates_without_speed_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "rates.json"
    own.write_text(
        json.dumps({"photos_per_second_per_vcpu": 0, "fixed_seconds": 1, "provision_seconds": 1, "measured": "x"})
    )
    with pytest.raises(SpecError, match="must be above 0"):
        load_rates(own)
