"""Dollars in are dollars out: of every currency, to the last digit, from an event's JSON to the columns that land."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import Charge, Position
from schemas.topics import CHARGES
from streams.core.columns.packed import pack
from streams.core.corrections.reprice import TABLE as CORRECTIONS
from streams.core.corrections.reprice import Repricer, Standing
from streams.core.landing.batches import read_record
from streams.core.landing.land import TABLES, columns
from streams.core.usage.charge import Charger
from streams.core.usage.decode import RawRecord, decode
from tests.support.records import batch, rows_of
from tests.support.spending import Books

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost", "effective_cost_usd", "estimated_cost")
FOCUS = {"list_cost": "ListCost", "contracted_cost": "ContractedCost", "effective_cost": "EffectiveCost",
         "billed_cost": "BilledCost"}  # fmt: skip


@cache
def charger(shares: str, llama: str = "0.20") -> Charger:
    with TemporaryDirectory() as folder:
        return Books(gateway=shares, llama=llama).charger(Path(folder))


shares = st.sampled_from(
    ["a = 1", "a = 0.5, b = 0.5", "a = 0.333333333333333333, b = 0.333333333333333333, c = 0.333333333333333334",
     "a = 0.9999999, b = 0.0000001"]
)  # fmt: skip
tags = st.dictionaries(
    st.sampled_from(["team", "Team", "env", "x"]), st.sampled_from(["", "a", "B b", "c"]), max_size=3
)
principals = st.sampled_from(["gateway", "key-1", ""])
money = st.decimals(min_value=-(10**9), max_value=10**9, places=18)


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    amounts = {name: str(draw(money)) for name in FOCUS.values()}
    return "line_item", {
        **amounts, "BillingCurrency": draw(st.sampled_from(["USD", "EUR", "JPY"])),
        "ChargeCategory": draw(st.sampled_from(["Usage", "Tax", "Credit", "Purchase", "Adjustment"])),
        "ChargePeriodStart": "2026-10-01T00:00:00Z", "ChargePeriodEnd": "2026-10-02T00:00:00Z",
        "ServiceName": "s", "CommitmentDiscountId": draw(st.sampled_from([None, "sp-1", "other"])),
        "Tags": draw(tags),
    }  # fmt: skip


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    tokens = draw(st.integers(0, 10**12))
    cached = draw(st.integers(0, tokens))
    return "token_call", {
        "provider": draw(st.sampled_from(["openai", "onprem", "nobody"])),
        "model": draw(st.sampled_from(["gpt-4o", "llama-1", "x"])), "input_tokens": tokens,
        "cache_read_input_tokens": cached, "output_tokens": draw(st.integers(0, 10**9)), "batch": draw(st.booleans()),
        "requests": draw(st.integers(1, 1000)), "principal": draw(principals), "tags": draw(tags),
    }  # fmt: skip


@st.composite
def gpus(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    return "gpu_usage", {
        "provider": "aws", "accelerator": draw(st.sampled_from(["H100", "A100", "unheard-of"])),
        "gpu_minutes": draw(st.integers(0, 10**6)), "cluster": draw(st.sampled_from(["train-1", "c"])),
        "principal": draw(principals), "tags": draw(tags),
    }  # fmt: skip


events = st.lists(st.one_of(lines(), calls(), gpus()), min_size=1, max_size=6)


def raw(content: list[tuple[str, dict[str, Any]]]) -> RawRecord:
    value = [
        {"specversion": "1.0", "id": str(n), "source": "/t", "type": f"spendstream.{kind}.v1",
         "time": "2026-11-02T11:00:00Z", "data": data}
        for n, (kind, data) in enumerate(content)
    ]  # fmt: skip
    return RawRecord(json.dumps(value).encode(), (), Position("usage.token-calls", 0, 0), NOON)


def landed(charges: Sequence[Charge]) -> list[dict[str, Any]]:
    """The rows as ClickHouse gets them."""
    read = read_record(TABLES[CHARGES.name], 0, pack(batch(*charges)))
    assert read.content.problems == ()
    return rows_of(columns(TABLES[CHARGES.name], [read.content], NOON))


def totals(rows: list[dict[str, Any]], by: str = "currency") -> dict[tuple[str, str], Decimal]:
    """Sums per cost and `by`; what is not known is not a sum."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        for name in COSTS:
            if row[name] is not None:
                found[name, row[by]] += row[name]
    return dict(found)


@settings(max_examples=150, deadline=None)
@given(content=events, shares=shares)
def test_what_is_priced_lands_whole_in_every_currency(content: list[tuple[str, dict[str, Any]]], shares: str) -> None:
    """In: each event priced by itself, a bill's own numbers. Out: the columns."""
    using = charger(shares)
    charged = using.charge(raw(content))
    assert charged.dead_letters == []
    assert charged.events == len(content)
    wanted: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for event in decode(raw(content), using._bounds).events:
        priced = using._prices.price(event)
        for name in COSTS:
            if (amount := getattr(priced, name)) is not None:
                wanted[name, priced.currency] += amount
    rows = landed(charged.charges)
    assert totals(rows) == wanted
    bills = [data for kind, data in content if kind == "line_item"]
    of_bills = totals([row for row in rows if row["price_status"] == "billed"])
    for name, column in FOCUS.items():
        for currency in {data["BillingCurrency"] for data in bills}:
            said = sum(Decimal(data[column]) for data in bills if data["BillingCurrency"] == currency)
            assert of_bills[name, currency] == said


@settings(max_examples=100, deadline=None)
@given(content=events, shares=shares)
def test_tags_divide_the_dollars_and_lose_none(content: list[tuple[str, dict[str, Any]]], shares: str) -> None:
    """The sum over owners is the whole; usage is counted once, however many share it."""
    rows = landed(charger(shares).charge(raw(content)).charges)
    alone = landed(charger("a = 1").charge(raw(content)).charges)
    for by in ("model", "provider", "type"):
        assert totals(rows, by) == totals(alone, by)
    for column in ("requests", "input_tokens", "cache_read_input_tokens", "output_tokens"):
        assert sum(row[column] for row in rows) == sum(row[column] for row in alone)
    for row in alone:
        parts = [part for part in rows if part["id"] == row["id"]]
        assert {part["parts"] for part in parts} == {len(parts)}
        if row["allocation"] != "gateway":
            assert [part["team"] for part in parts] == [row["team"]]


@settings(max_examples=100, deadline=None)
@given(content=events, before=shares, after=shares)
def test_a_correction_takes_back_all_and_adds_what_a_fresh_landing_would(
    content: list[tuple[str, dict[str, Any]]], before: str, after: str
) -> None:
    old = charger(before).charge(raw(content)).charges
    fresh = charger(after, "0.35").charge(raw(content)).charges
    repricer = Repricer(charger(after, "0.35"), "run")
    net = landed(old)
    for number in range(len(content)):
        parts = tuple(charge for charge in old if charge.id == str(number))
        correction = repricer.correct(Standing(parts, 0, Position("t", 0, 0)))
        if correction is not None:
            value = correction.model_dump_json(exclude_defaults=True).encode()
            net += rows_of(columns(CORRECTIONS, [read_record(CORRECTIONS, 0, value).content], NOON))
    for by in ("currency", "team", "model"):
        assert _nonzero(totals(net, by)) == _nonzero(totals(landed(fresh), by))
    assert sum(row["requests"] for row in net) == sum(charge.requests for charge in fresh)


def _nonzero(sums: dict[tuple[str, str], Decimal]) -> dict[tuple[str, str], Decimal]:
    return {key: value for key, value in sums.items() if value}
