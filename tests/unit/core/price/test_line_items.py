"""Line items keep the bill's own costs, in its own currency; dollars by a dated rate, or not at all."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from schemas.records import PriceStatus
from streams.io.rates import load_pricer
from tests.support.pricing import line, shipped


def test_costs_are_the_bill_s_and_missing_stays_missing() -> None:
    priced = shipped().price(line(BilledCost="0", EffectiveCost="-0.0000000000012345", ListCost=None))
    assert priced.status is PriceStatus.BILLED
    assert (priced.list_cost, priced.contracted_cost) == (None, None)
    assert priced.billed_cost == 0
    assert priced.effective_cost == priced.effective_cost_usd == Decimal("-0.0000000000012345")


def test_all_four_costs_are_kept() -> None:
    priced = shipped().price(line(ListCost="4", ContractedCost="3", EffectiveCost="2", BilledCost="1"))
    assert priced.list_cost == 4
    assert priced.contracted_cost == 3
    assert priced.effective_cost == 2
    assert priced.billed_cost == 1


def test_another_currency_is_not_dollars(tmp_path: Path) -> None:
    euro = line(BillingCurrency="EUR", EffectiveCost="10")
    assert shipped().price(euro).currency == "EUR"
    assert shipped().price(euro).effective_cost_usd is None  # no rate is known: not zero, and not 10
    fx = tmp_path / "fx.csv"
    fx.write_text("date,currency,usd\n2026-09-01,EUR,1.10\n2026-10-02,EUR,1.20\n")
    pricer = load_pricer(None, fx)
    assert pricer.price(euro).effective_cost_usd == 11  # the rate of the charge's day, 1 October
    assert pricer.price(euro).effective_cost == 10
    early = line(
        BillingCurrency="EUR", ChargePeriodStart="2026-08-01T00:00:00Z", ChargePeriodEnd="2026-08-02T00:00:00Z"
    )
    assert pricer.price(early).effective_cost_usd is None
