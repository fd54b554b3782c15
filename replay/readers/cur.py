"""AWS Cost and Usage Reports: which of their columns says what in FOCUS.

The same report is spelt `lineItem/UnblendedCost` (legacy), `line_item_unblended_cost` (CUR 2.0, Athena) or
`unblended_cost` (a reduced export). The table below reads: FOCUS column, then the column in each spelling.
Source: https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

Row = Mapping[str, Any]

#        FOCUS column          legacy                                2.0                                    reduced
TABLE = (
    ("BilledCost",            "lineItem/UnblendedCost",             "line_item_unblended_cost",            "unblended_cost"),
    ("ListCost",              "pricing/publicOnDemandCost",         "pricing_public_on_demand_cost",       "public_on_demand_cost"),
    ("BillingCurrency",       "lineItem/CurrencyCode",              "line_item_currency_code",             "currency"),
    ("ChargePeriodStart",     "lineItem/UsageStartDate",            "line_item_usage_start_date",          "usage_start"),
    ("ChargePeriodEnd",       "lineItem/UsageEndDate",              "line_item_usage_end_date",            "usage_end"),
    ("BillingPeriodStart",    "bill/BillingPeriodStartDate",        "bill_billing_period_start_date",      ""),
    ("BillingPeriodEnd",      "bill/BillingPeriodEndDate",          "bill_billing_period_end_date",        ""),
    ("BillingAccountId",      "bill/PayerAccountId",                "bill_payer_account_id",               ""),
    ("InvoiceId",             "bill/InvoiceId",                     "bill_invoice_id",                     ""),
    ("SubAccountId",          "lineItem/UsageAccountId",            "line_item_usage_account_id",          "usage_account"),
    ("ServiceName",           "lineItem/ProductCode",               "line_item_product_code",              "product_code"),
    ("SkuMeter",              "lineItem/UsageType",                 "line_item_usage_type",                "usage_type"),
    ("SkuId",                 "product/sku",                        "product_sku",                         ""),
    ("RegionId",              "product/regionCode",                 "product_region_code",                 "region"),
    ("ResourceId",            "lineItem/ResourceId",                "line_item_resource_id",               "resource"),
    ("ChargeDescription",     "lineItem/LineItemDescription",       "line_item_line_item_description",     ""),
    ("ConsumedQuantity",      "lineItem/UsageAmount",               "line_item_usage_amount",              "usage_amount"),
    ("ConsumedUnit",          "pricing/unit",                       "pricing_unit",                        "unit"),
)  # fmt: skip
TYPE = ("lineItem/LineItemType", "line_item_line_item_type", "line_item_type")
RESERVED = ("reservation/EffectiveCost", "reservation_effective_cost", "reservation_effective_cost")
SAVINGS_PLAN = (
    "savingsPlan/SavingsPlanEffectiveCost", "savings_plan_savings_plan_effective_cost", "savings_plan_effective_cost",
)  # fmt: skip
TAG_PREFIX = ("resourceTags/user:", "resource_tags_user_", "tag_")

CATEGORY = {
    "Usage": "Usage", "DiscountedUsage": "Usage", "SavingsPlanCoveredUsage": "Usage", "Tax": "Tax", "Credit": "Credit",
    "Fee": "Purchase", "RIFee": "Purchase", "SavingsPlanRecurringFee": "Purchase", "SavingsPlanUpfrontFee": "Purchase",
    "Refund": "Adjustment", "SavingsPlanNegation": "Adjustment",
}  # fmt: skip
COMMITTED = frozenset({"RIFee", "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee", "SavingsPlanNegation"})
"""Charges that pay for a commitment: their effective cost is in the usage that the commitment covers."""


def _reader(spelling: int) -> Callable[[Row], dict[str, object]]:
    columns = [(line[0], line[spelling + 1]) for line in TABLE if line[spelling + 1]]

    def read(row: Row) -> dict[str, object]:
        data: dict[str, object] = {name: row[column] for name, column in columns if _given(row.get(column))}
        for name in ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"):
            if name in data:
                data[name] = _moment(data[name])
        kind = str(row.get(TYPE[spelling]) or "")
        data["ServiceProviderName"] = "AWS"
        data["ChargeCategory"] = CATEGORY.get(kind, "Adjustment")
        data["EffectiveCost"] = _effective(kind, row, spelling, data.get("BilledCost"))
        data["Tags"] = _tags(row, spelling)
        return data

    return read


def _given(value: object) -> bool:
    return value is not None and value != ""


def _effective(kind: str, row: Row, spelling: int, billed: object) -> object:
    if kind == "DiscountedUsage" and _given(row.get(RESERVED[spelling])):
        return row[RESERVED[spelling]]
    if kind == "SavingsPlanCoveredUsage" and _given(row.get(SAVINGS_PLAN[spelling])):
        return row[SAVINGS_PLAN[spelling]]
    return "0" if kind in COMMITTED else billed


def _moment(value: object) -> str:
    """CUR writes UTC, with or without saying so."""
    text = value.isoformat() if isinstance(value, datetime) else str(value).replace(" ", "T", 1)
    return text if text.endswith("Z") or "+" in text else text + "Z"


def _tags(row: Row, spelling: int) -> dict[str, str]:
    prefix = TAG_PREFIX[spelling]
    found = {name.removeprefix(prefix): str(value) for name, value in row.items() if name.startswith(prefix) and value}
    packed = row.get("resource_tags")  # CUR 2.0 keeps them in one map
    if isinstance(packed, str) and packed.startswith("{"):
        found |= {str(k).removeprefix("user_"): str(v) for k, v in orjson.loads(packed).items()}
    return found


LAYOUTS: dict[str, tuple[frozenset[str], Callable[[Row], dict[str, object]]]] = {
    name: (frozenset({TABLE[0][spelling + 1], TYPE[spelling], TABLE[3][spelling + 1]}), _reader(spelling))
    for spelling, name in enumerate(("legacy", "2.0", "reduced"))
}
