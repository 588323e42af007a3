"""The price of a run, which must be the launchers' own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.compare import dollars
from orchard_deploy.cost.money import PRICES_FILE, RATES, load_prices, price, run_seconds
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import SPEC_FILE, load_spec

from tests.deploy.conftest import ROOT

SPEC = load_spec(ROOT / SPEC_FILE)
PRICES = load_prices(PRICES_FILE, Site(SPEC, Account(id="0" * 12, region=dollars.REGION)))


def test_the_constants_are_those_of_the_launchers() -> None:
    workers = (SPEC.driver, *[SPEC.executor] * SPEC.executors)
    assert (PRICES.vcpu_hour, PRICES.gb_hour) == (dollars.VCPU_HOUR, dollars.GB_HOUR)
    assert sum(worker.cpu for worker in workers) == dollars.VCPUS
    assert sum(worker.memory for worker in workers) == dollars.GIGABYTES
    assert SPEC.executors * SPEC.executor.cpu == dollars.SLOTS
    assert (RATES["fixed_seconds"], RATES["provision_seconds"]) == (dollars.FIXED_SECONDS, dollars.PROVISION_SECONDS)
    assert SPEC.architecture == dollars.ARCHITECTURE
    assert PRICES.source.split(";")[0] in dollars.PRICES
    assert PRICES.source[-11:-1] in dollars.PRICES


@pytest.mark.parametrize("photos", [1_000, 90_000])
def test_mobilenet_costs_what_the_launchers_estimate(photos: int) -> None:
    found = dollars.run_dollars(photos, RATES["photos_per_second_per_vcpu"])
    assert found == pytest.approx(price(SPEC, PRICES, run_seconds(SPEC, photos)))


@given(st.integers(1, 10**8), st.floats(0.1, 1000))
def test_any_network_costs_what_the_launchers_estimate(photos: int, speed: float) -> None:
    seconds = run_seconds(SPEC, photos, {**RATES, "photos_per_second_per_vcpu": speed})
    assert dollars.run_dollars(photos, speed) == pytest.approx(price(SPEC, PRICES, seconds))
    assert dollars.run_seconds(photos, speed) == pytest.approx(seconds)
