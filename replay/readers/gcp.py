"""Google Cloud's billing export of BigQuery, standard and detailed: as CSV, JSON lines or Parquet.

The table below reads: FOCUS column, then the columns of the export that hold it (nested ones with a dot), the first
that is filled winning.
Source: https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage

A row's cost is before its credits, which it lists. Each credit becomes a line item of its own, signed, so that cost and
credits sum to the invoice. Nothing is amortised in this export: a commitment's fee is billed by the hour in which it
holds and its discount is a credit, so the effective cost is the billed one.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from typing import Any

from replay.readers.coded import NOTHING, Cells, Fields, combined, constant, first_of
from replay.readers.layouts import Draft, Layout, has, line_item
from replay.readers.values import Row, as_json, first_given, given, moment, plain
from schemas.records import Reason
from streams.core.usage.decode import Rejected

TABLE = (
    ("BilledCost", "cost"),
    ("ListCost", "cost_at_list"),
    ("BillingCurrency", "currency"),
    ("ChargePeriodStart", "usage_start_time"),
    ("ChargePeriodEnd", "usage_end_time"),
    ("BillingAccountId", "billing_account_id"),
    ("SubAccountId", "project.id"),
    ("SubAccountName", "project.name"),
    ("ServiceName", "service.description", "service.id"),
    ("SkuMeter", "sku.description"),
    ("SkuId", "sku.id"),
    ("RegionId", "location.region", "location.location"),
    ("ResourceId", "resource.global_name", "resource.name"),
    ("ChargeDescription", "sku.description"),
    ("ConsumedQuantity", "usage.amount"),
    ("ConsumedUnit", "usage.unit"),
    ("PricingQuantity", "usage.amount_in_pricing_units"),
    ("PricingUnit", "usage.pricing_unit"),
)
OF_THE_USAGE = ("ListCost", "ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit")
CATEGORY = {"regular": "Usage", "tax": "Tax", "adjustment": "Adjustment", "rounding_error": "Adjustment"}


def drafts(row: Row) -> Iterable[Draft]:
    """The row's charge, then its credits. Raises Rejected when the credits can't be read: the sum would be wrong."""
    data: dict[str, object] = {
        name: value for name, *columns in TABLE if (value := first_given(row, columns)) is not None
    }
    for name in ("ChargePeriodStart", "ChargePeriodEnd"):
        if name in data:
            data[name] = moment(str(data[name]))
    data |= _month(str(row.get("invoice.month") or ""))
    if "BilledCost" in data:
        data["EffectiveCost"] = data["BilledCost"]
    data["ServiceProviderName"] = "Google Cloud"
    data["ChargeCategory"] = CATEGORY.get(str(row.get("cost_type") or "regular"), "Adjustment")
    data["Tags"] = _tags(row)
    base = {name: value for name, value in data.items() if name not in OF_THE_USAGE}
    return [line_item(data), *(line_item(base | _credit(one)) for one in _list(row, "credits"))]


def by_column(cells: Cells, rows: int) -> Fields:
    """The same for many rows that have no credits."""
    fields = {name: found for name, *columns in TABLE if (found := first_of(cells, columns)) is not None}
    for name in ("ChargePeriodStart", "ChargePeriodEnd"):
        if name in fields:
            fields[name] = fields[name].mapped(moment)
    if "invoice.month" in cells:
        for name in ("BillingPeriodStart", "BillingPeriodEnd"):
            fields[name] = combined(cells, ["invoice.month"], partial(_edge, name), rows)
    fields["ServiceProviderName"] = constant("Google Cloud", rows)
    kinds = first_of({"told": cells["cost_type"], "usual": constant("regular", rows)}, ("told", "usual"))
    if kinds is not None:
        fields["ChargeCategory"] = kinds.mapped(lambda kind: CATEGORY.get(kind, "Adjustment"))
    if "BilledCost" in fields:
        credited = cells["credits"].whole(lambda cell: None if _is_empty(cell) else "some").codes != NOTHING
        fields["BilledCost"] = fields["EffectiveCost"] = fields["BilledCost"].odd_where(credited)
    labels = ("project.labels", "labels")
    fields["Tags"] = combined(cells, labels, lambda row: as_json(_tags(row)), rows)
    return fields


def _is_empty(cell: Any) -> bool:
    return cell.strip() == "[]" if isinstance(cell, str) else cell == []


def _edge(name: str, row: Row) -> str | None:
    edge = _month(str(row.get("invoice.month") or "")).get(name)
    return None if edge is None else str(edge)


def _tags(row: Row) -> dict[str, str]:
    return _labels(row.get("project.labels")) | _labels(row.get("labels"))


def _credit(credit: Any) -> dict[str, object]:
    amount = credit.get("amount") if isinstance(credit, dict) else None
    if not given(amount):
        raise Rejected(Reason.MISSING_FIELD, "credits", "a credit has no amount")
    named = next((credit[key] for key in ("full_name", "name", "id", "type") if given(credit.get(key))), "Credit")
    return {
        "BilledCost": amount, "EffectiveCost": amount, "ChargeCategory": "Credit", "ChargeDescription": str(named),
    }  # fmt: skip


def _month(text: str) -> dict[str, object]:
    """The invoice's month, `202011`, as a billing period."""
    if len(text) != 6 or not text.isdecimal() or not 1 <= int(text[4:]) <= 12:
        return {}
    year, month = int(text[:4]), int(text[4:])
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    first, end = (f"{y:04}-{m:02}-01T00:00:00+00:00" for y, m in ((year, month), following))
    return {"BillingPeriodStart": first, "BillingPeriodEnd": end}


def _labels(value: object) -> dict[str, str]:
    pairs = _parsed(value) if isinstance(value, str) else value
    if not isinstance(pairs, list):
        return {}
    return {
        str(pair["key"]): str(pair.get("value") or "")
        for pair in pairs
        if isinstance(pair, dict) and given(pair.get("key"))
    }


def _list(row: Row, column: str) -> list[Any]:
    value = row.get(column, [])
    found = _parsed(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise Rejected(Reason.WRONG_TYPE, column, "must be a list, as JSON or as Python writes it")
    return found


def _parsed(text: str) -> Any:
    """A list in a CSV cell: JSON, or what pandas makes of it, with single quotes; None when it is neither."""
    try:
        return plain(json.loads(text, parse_float=Decimal))
    except (ValueError, RecursionError):
        pass
    try:
        return plain(ast.literal_eval(text))  # literals only: nothing of the cell is run
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


LAYOUT = Layout(
    "gcp",
    has("cost", "cost_type", "usage_start_time", "credits", "sku.id"),
    lambda: drafts,
    "/bills/gcp",
    by_column=by_column,
)
