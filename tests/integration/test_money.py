"""Line items of a bill, currencies and owners: from the event's JSON to the sums that people see, shown by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Position
from streams.core.usage.decode import RawRecord
from streams.io.clickhouse import ClickHouseStore
from tests.support.spending import Books, charges_of, history, land

OCTOBER = datetime(2026, 10, 31, tzinfo=UTC)


def item(number: int, **columns: Any) -> dict[str, Any]:
    """A line of October's bill: one day of a database in USD, unless it says otherwise."""
    day = columns.pop("day", 5)
    data = {
        "BillingCurrency": "USD", "ChargeCategory": "Usage", "ServiceName": "Database",
        "ServiceProviderName": "AWS", "ChargePeriodStart": f"2026-10-{day:02}T00:00:00Z",
        "ChargePeriodEnd": f"2026-10-{day + 1:02}T00:00:00Z", "Tags": {"team": "search"}, **columns,
    }  # fmt: skip
    return {"specversion": "1.0", "id": f"line-{number}", "source": "/bills/aws", "type": "spendstream.line_item.v1",
            "time": f"2026-10-{day + 1:02}T00:00:00Z", "data": data}  # fmt: skip


def costs(listed: str, contracted: str, effective: str, billed: str) -> dict[str, str]:
    return {"ListCost": listed, "ContractedCost": contracted, "EffectiveCost": effective, "BilledCost": billed}


BILL = [
    # Usage at list price; with a negotiated price; covered by a savings plan (effective, but nothing billed).
    item(1, **costs("10", "10", "10", "10")),
    item(2, **costs("8", "6.4", "6.4", "6.4")),
    item(3, **costs("5", "5", "3.5", "0"), CommitmentDiscountId="sp-1", CommitmentDiscountStatus="Used"),
    # The plan itself: bought (billed, not effective), and the part of it that nobody used (effective, not billed).
    item(4, **costs("100", "100", "0", "100"), ChargeCategory="Purchase", CommitmentDiscountId="sp-1"),
    item(5, **costs("0", "0", "1.25", "0"), CommitmentDiscountId="sp-1", CommitmentDiscountStatus="Unused", Tags=None),
    # Tax, and a credit.
    item(6, **costs("0", "0", "2.19", "2.19"), ChargeCategory="Tax", Tags=None),
    item(7, **costs("0", "0", "-3", "-3"), ChargeCategory="Credit"),
    # Line 1 restated a week later: taken back whole, then as it should have been. To the last of 18 decimals.
    item(8, **costs("-10", "-10", "-10", "-10"), ChargeClass="Correction"),
    item(9, **costs("9.5", "9.5", "9.500000000000000001", "9.5"), ChargeClass="Correction"),
    # In euro, and in yen for which no rate is known.
    item(10, **costs("20", "18", "18", "18"), BillingCurrency="EUR", ServiceProviderName="Hetzner"),
    item(11, **costs("1000", "1000", "1000", "1000"), BillingCurrency="JPY", Tags=None),
    item(12, **costs("-5", "-5", "-5", "-5"), BillingCurrency="JPY", ChargeCategory="Credit", Tags=None),
]
TOTALS: dict[str, tuple[Decimal, ...]] = {  # list, contracted, effective, billed
    "USD": (
        10 + 8 + 5 + 100 - 10 + Decimal("9.5"),
        10 + Decimal("6.4") + 5 + 100 - 10 + Decimal("9.5"),
        10 + Decimal("6.4") + Decimal("3.5") + Decimal("1.25") + Decimal("2.19") - 3 - 10
        + Decimal("9.500000000000000001"),
        10 + Decimal("6.4") + 100 + Decimal("2.19") - 3 - 10 + Decimal("9.5"),
    ),
    "EUR": (Decimal(20), Decimal(18), Decimal(18), Decimal(18)),
    "JPY": (Decimal(995),) * 4,
}  # fmt: skip


@pytest.fixture
def billed(store: ClickHouseStore, tmp_path: Path) -> ClickHouseStore:
    """The bill, landed. A euro is 1.10 USD."""
    value = json.dumps(BILL).encode()
    charged = Books().charger(tmp_path).charge(RawRecord(value, (), Position("usage.line-items", 0, 0), OCTOBER))
    assert charged.dead_letters == []
    land(store, charged.charges)
    return store


FOUR = ", ".join(f"sum({name}_cost) AS {name}" for name in ("list", "contracted", "effective", "billed"))


@pytest.mark.parametrize("table", ["charges", "costs_per_day_by_currency", "totals_per_day_by_currency"])
def test_the_four_costs_of_each_currency_are_those_of_the_bill(billed: ClickHouseStore, table: str) -> None:
    rows = billed.query(f"SELECT currency, {FOUR} FROM {table} GROUP BY currency")  # noqa: S608  our own words
    assert {row.pop("currency"): tuple(row.values()) for row in rows} == TOTALS


def test_the_four_costs_differ_where_they_should(billed: ClickHouseStore) -> None:
    unused = billed.query("SELECT sum(effective_cost) AS effective, sum(billed_cost) AS billed FROM charges "
                          "WHERE commitment = 'sp-1'")  # fmt: skip
    assert unused == [{"effective": Decimal("4.75"), "billed": Decimal(100)}]


def test_the_total_in_dollars_says_what_is_not_in_it(billed: ClickHouseStore) -> None:
    rows = billed.query("SELECT * EXCEPT (day, unpriced_estimate) FROM totals_per_day_in_usd")
    assert rows == [{
        "effective_cost_usd": TOTALS["USD"][2] + 18 * Decimal("1.10"),
        "charges": 12, "unconverted_charges": 2, "unconverted_share": 2 / 12, "unconverted_costs": {"JPY": 995},
        "unpriced_charges": 0,
    }]  # fmt: skip


def test_unpriced_usage_is_told_from_what_lacks_a_rate(store: ClickHouseStore, tmp_path: Path) -> None:
    land(store, charges_of(Books().charger(tmp_path), history(copies=1)))
    (row,) = store.query("SELECT sum(unpriced_charges) AS unpriced, sum(unconverted_charges) AS unconverted, "
                         "sum(unpriced_estimate) > 0 AS at_risk FROM totals_per_day_in_usd")  # fmt: skip
    # The unknown model, the unknown accelerator in its three parts, and a spot price that no card has.
    assert row == {"unpriced": 5, "unconverted": 0, "at_risk": True}


# Owners.


def test_coverage_by_source_is_a_share_of_dollars(billed: ClickHouseStore) -> None:
    """AWS: of 19.84 USD the tax of 2.19 is nobody's; Hetzner's are all owned; yen are in no sum of dollars."""
    rows = billed.query("SELECT meter, provider, allocated_usd, coverage FROM allocation_coverage ORDER BY provider")
    whole, owned = TOTALS["USD"][2], TOTALS["USD"][2] - Decimal("2.19")
    assert rows == [
        {
            "meter": "line_item",
            "provider": "AWS",
            "allocated_usd": owned,
            "coverage": pytest.approx(float(owned / whole)),
        },
        {"meter": "line_item", "provider": "Hetzner", "allocated_usd": Decimal("19.8"), "coverage": 1.0},
    ]


def test_each_team_has_its_share_and_what_decided_it(billed: ClickHouseStore) -> None:
    rows = billed.query("SELECT team, allocation, effective_cost_usd AS usd, share FROM allocation_by_team "
                        "WHERE effective_cost_usd != 0 ORDER BY team, allocation")  # fmt: skip
    whole = TOTALS["USD"][2] + Decimal("19.8")
    plan = Decimal("1.25")
    assert [(row["team"], row["allocation"], row["usd"]) for row in rows] == [
        ("", "unallocated", Decimal("2.19")),
        ("platform", "savings plans", plan),
        ("search", "tags", whole - Decimal("2.19") - plan),
    ]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
