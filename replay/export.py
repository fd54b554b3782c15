"""Charges as FOCUS 1.4 Cost and Usage rows. The tables read: FOCUS column, then the charge's field.

Source: https://focus.finops.org/focus-specification/ ; what a token row says of its tokens follows the draft of 1.5,
under the `x_` that 1.4 asks for: https://github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec

A token call becomes a row for each kind of its tokens, and the rows' costs sum to the call's. It stays one row where
its kinds don't make up its whole cost (a fee for each call, spoken tokens). What has no known cost can't stand in
FOCUS, where every cost must be given: those charges are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import orjson

from schemas.events import GPU_USAGE, TOKEN_CALL
from streams.core.price.priced import EXACT, money
from streams.core.tag.owner import Owner, Share, split

Charge = Mapping[str, Any]
"""A charge by the names of `schemas.records.Charge`."""
Row = dict[str, Any]

PLAIN = (
    ("BillingCurrency", "currency"),
    ("ChargeCategory", "charge_category"),
    ("ChargeClass", "charge_class"),
    ("ChargeDescription", "charge_description"),
    ("CommitmentDiscountId", "commitment"),
    ("RegionId", "region"),
    ("ResourceId", "resource"),
    ("ResourceName", "resource_name"),
    ("SkuId", "sku_id"),
    ("SkuMeter", "sku"),
    ("SubAccountId", "account"),
    ("SubAccountName", "account_name"),
)
OWN = (
    ("x_EventSource", "source"),
    ("x_EventId", "id"),
    ("x_EventType", "type"),
    ("x_EventTime", "time"),
    ("x_Part", "part"),
    ("x_Team", "team"),
    ("x_Project", "project"),
    ("x_Environment", "environment"),
    ("x_Feature", "feature"),
    ("x_CostCenter", "cost_center"),
    ("x_PrincipalId", "principal"),
    ("x_Allocation", "allocation"),
    ("x_ModelId", "model"),
    ("x_Requests", "requests"),
    ("x_EffectiveCostUsd", "effective_cost_usd"),
    ("x_PriceSource", "price_source"),
    ("x_PriceVersion", "price_version"),
)
COSTS = (("ListCost", "list_cost"), ("ContractedCost", "contracted_cost"), ("EffectiveCost", "effective_cost"),
         ("BilledCost", "billed_cost"))  # fmt: skip
SERVICES = {
    TOKEN_CALL: ("AI and Machine Learning", "Generative AI"),
    GPU_USAGE: ("Compute", "Other (Compute)"),
}
OTHER = ("Other", "Other (Other)")
PER_MILLION, TOKENS, MILLION = "1000000 Tokens", "Tokens", Decimal(1_000_000)
UNKNOWN = "unknown"


class Kind(NamedTuple):
    """Tokens of one kind: how many of which fields they are, and the price keys that hold for them, the first found."""

    direction: str
    cache: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    prices: tuple[str, ...]


KINDS = (
    Kind("Input", "Uncached", ("input_tokens",), ("cache_read_input_tokens", "cache_creation_input_tokens"),
         ("input_mtok",)),
    Kind("Input", "Read", ("cache_read_input_tokens",), (), ("cache_read_mtok", "input_mtok")),
    Kind("Input", "Write", ("cache_creation_input_tokens",), ("cache_creation_1h_input_tokens",),
         ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok")),
    Kind("Input", "Write1h", ("cache_creation_1h_input_tokens",), (),
         ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok")),
    Kind("Output", "Uncached", ("output_tokens",), (), ("output_mtok",)),
)  # fmt: skip

COLUMNS = (
    *sorted({
        *(column for column, _ in (*PLAIN, *COSTS)), "BillingAccountId", "BillingAccountName", "BillingPeriodStart",
        "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd", "ConsumedQuantity", "ConsumedUnit",
        "ContractedUnitPrice", "HostProviderName", "InvoiceIssuerName", "ListUnitPrice", "PricingQuantity",
        "PricingUnit", "ServiceCategory", "ServiceName", "ServiceProviderName", "ServiceSubcategory",
        "SkuPriceDetails", "SkuPriceId", "Tags",
    }),
    *(column for column, _ in OWN), "x_FilledCosts",
)  # fmt: skip
"""Every column of an export, in its order: FOCUS's by name, then ours."""


def rows(charge: Charge, billing_account: str) -> Iterator[Row]:
    """The charge's rows; none where a cost of it is not known."""
    costs, filled = _costs(charge)
    if costs is None:
        return
    common = _common(charge, billing_account) | {"x_FilledCosts": filled}
    kinds = _kinds(charge, costs) if charge["type"] == TOKEN_CALL else []
    if not kinds:
        yield common | costs | _quantities(charge)
        return
    for number, row in enumerate(kinds):
        if number:  # the first row carries the calls, so that their sum counts each once
            row["x_Requests"] = 0
        yield common | row


def _costs(charge: Charge) -> tuple[Row | None, str]:
    """The four costs, which FOCUS wants all: a list or contracted cost that the bill does not tell is the next one that
    it does tell. Which were filled so is said, for a cost that was not told is not that cost."""
    effective, billed = charge["effective_cost"], charge["billed_cost"]
    if effective is None or billed is None:
        return None, ""
    contracted = charge["contracted_cost"] if charge["contracted_cost"] is not None else billed
    listed = charge["list_cost"] if charge["list_cost"] is not None else contracted
    filled = [name for name, field in COSTS if charge[field] is None]
    costs = {"ListCost": listed, "ContractedCost": contracted, "EffectiveCost": effective, "BilledCost": billed}
    return costs, " ".join(filled)


def _common(charge: Charge, billing_account: str) -> Row:
    row: Row = {column: charge[field] for column, field in (*PLAIN, *OWN)}
    if row["ChargeCategory"] == "Tax":
        row["SkuId"] = ""
    provider = charge["provider"] or UNKNOWN
    category, subcategory = SERVICES.get(charge["type"], OTHER)
    start, end = _charge_period(charge)
    first, following = _month(start)
    return row | {
        "BillingAccountId": billing_account,
        "BillingPeriodStart": first,
        "BillingPeriodEnd": following,
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
        "InvoiceIssuerName": provider,
        "ServiceProviderName": provider,
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "ServiceName": charge["service"] or provider,
        "Tags": orjson.dumps(dict(charge["tags"]), option=orjson.OPT_SORT_KEYS).decode() if charge["tags"] else "",
    }


def _charge_period(charge: Charge) -> tuple[datetime, datetime]:
    """A call has a moment and no period: it is told for the hour that it was in."""
    start, end = charge["period_start"].astimezone(UTC), charge["period_end"].astimezone(UTC)
    if end > start:
        return start, end
    start = start.replace(minute=0, second=0, microsecond=0)
    return start, start + timedelta(hours=1)


def _month(time: datetime) -> tuple[datetime, datetime]:
    first = time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, (first + timedelta(days=32)).replace(day=1)


def _quantities(charge: Charge) -> Row:
    """What was used, where usage is what is charged, and the unit prices that the bill told."""
    row: Row = {}
    if charge["charge_category"] == "Usage" and charge["quantity"] is not None and charge["unit"]:
        row |= {"ConsumedQuantity": charge["quantity"], "ConsumedUnit": charge["unit"]}
    if charge["type"] == GPU_USAGE:
        row |= {"PricingQuantity": charge["quantity"], "PricingUnit": charge["unit"]}
    prices = dict(charge["unit_prices"])
    for column, name in (("ListUnitPrice", "list_unit_price"), ("ContractedUnitPrice", "contracted_unit_price")):
        if (price := prices.get(name)) is not None and price >= 0:
            row[column] = price
    return row


def _kinds(charge: Charge, costs: Row) -> list[Row]:
    """A row for each kind of token of the call; none where they don't make up its list cost, or that is nothing."""
    prices = dict(charge["unit_prices"])
    listed: list[tuple[Kind, int, Decimal, Decimal]] = []
    for kind in KINDS:
        tokens = sum(charge[name] for name in kind.plus) - sum(charge[name] for name in kind.minus)
        price = next((prices[key] for key in kind.prices if key in prices), None)
        if not tokens:
            continue
        if price is None:
            return []
        listed.append((kind, tokens, price, EXACT.multiply(price, Decimal(tokens)) / MILLION))
    whole = sum((cost for *_, cost in listed), Decimal(0))
    if whole <= 0 or money(whole) != costs["ListCost"] or charge["list_cost"] is None:
        return []
    shares = [Share(Owner(), Fraction(cost) / Fraction(whole)) for *_, cost in listed]
    parts = {name: split(costs[name], shares) for name, _ in COSTS}
    dollars = charge["effective_cost_usd"]
    in_usd = split(dollars, shares) if dollars is not None else [None] * len(shares)
    return [
        _kind_row(charge, kind, tokens, price)
        | {name: parts[name][place] for name, _ in COSTS}
        | {
            "ContractedUnitPrice": _unit_price(parts["ContractedCost"][place], tokens),
            "x_EffectiveCostUsd": in_usd[place],
        }
        for place, (kind, tokens, price, _) in enumerate(listed)
    ]


def _kind_row(charge: Charge, kind: Kind, tokens: int, price: Decimal) -> Row:
    tier = "batch" if charge["batch"] else charge["service_tier"]
    name = "/".join(part for part in (charge["provider"], charge["model"], kind.direction, kind.cache, tier) if part)
    details = {"x_ModelId": charge["model"], "x_TokenDirection": kind.direction,
               "x_TokenCacheAction": kind.cache.removesuffix("1h")}  # fmt: skip
    if kind.cache == "Write1h":
        details["x_CacheTimeToLive"] = "1h"
    return {
        "SkuId": f"{charge['provider']}/{charge['model']}",
        "SkuMeter": f"{kind.direction} tokens, {kind.cache}",
        "SkuPriceId": f"{name}@{price:f}",
        "SkuPriceDetails": orjson.dumps(details).decode(),
        "ConsumedQuantity": Decimal(tokens),
        "ConsumedUnit": TOKENS,
        "PricingQuantity": Decimal(tokens) / MILLION,
        "PricingUnit": PER_MILLION,
        "ListUnitPrice": price,
    }


def _unit_price(cost: Decimal, tokens: int) -> Decimal:
    return money(EXACT.divide(EXACT.multiply(cost, MILLION), Decimal(tokens)))
