"""AWS Cost and Usage Reports: which of their columns says what in FOCUS.

The same report is spelt `lineItem/UnblendedCost` (legacy), `line_item_unblended_cost` (CUR 2.0, Athena) or
`unblended_cost` (a reduced export). The table below reads: FOCUS column, then the column in each spelling.
Source: https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html

Billed costs are the report's unblended costs, untouched, so that they sum to the invoice: usage under a savings plan is
billed on demand and its negation takes that back. Effective costs are amortised, so that they sum to the same over a
commitment's life: usage under a commitment bears its share of it, and what paid for the commitment bears only the part
that went unused, where the report says how much that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from replay.readers.coded import Cells, Coded, Fields, chosen, combined, constant
from replay.readers.layouts import ByColumn, Layout, bill, has
from replay.readers.values import Row, as_json, first_given, moment, number, tags
from schemas.base import plain_decimal

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
TIMES = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
TYPE = ("lineItem/LineItemType", "line_item_line_item_type", "line_item_type")
TAG_PREFIX = ("resourceTags/user:", "resource_tags_user_", "tag_")

# What is amortised, by the line's type. The reduced export has no columns for the unused parts.
COVERED = {
    "DiscountedUsage": ("reservation/EffectiveCost", "reservation_effective_cost", "reservation_effective_cost"),
    "SavingsPlanCoveredUsage": (
        "savingsPlan/SavingsPlanEffectiveCost", "savings_plan_savings_plan_effective_cost", "savings_plan_effective_cost",
    ),
}  # fmt: skip
UNUSED_RESERVED = (
    ("reservation/UnusedAmortizedUpfrontFeeForBillingPeriod", "reservation/UnusedRecurringFee"),
    ("reservation_unused_amortized_upfront_fee_for_billing_period", "reservation_unused_recurring_fee"),
    (),
)
COMMITTED_AND_USED = (
    ("savingsPlan/TotalCommitmentToDate", "savingsPlan/UsedCommitment"),
    ("savings_plan_total_commitment_to_date", "savings_plan_used_commitment"),
    (),
)
RESERVATION = (("reservation/ReservationARN",), ("reservation_reservation_a_r_n", "reservation_reservation_arn"), ())

CATEGORY = {
    "Usage": "Usage", "DiscountedUsage": "Usage", "SavingsPlanCoveredUsage": "Usage", "Tax": "Tax", "Credit": "Credit",
    "Fee": "Purchase", "RIFee": "Purchase", "SavingsPlanRecurringFee": "Purchase", "SavingsPlanUpfrontFee": "Purchase",
    "Refund": "Adjustment", "SavingsPlanNegation": "Adjustment",
}  # fmt: skip


def _reader(spelling: int) -> Callable[[Row], dict[str, object]]:
    columns = [(line[0], line[spelling + 1]) for line in TABLE if line[spelling + 1]]

    def read(row: Row) -> dict[str, object]:
        data: dict[str, object] = {name: row[column] for name, column in columns if column in row}
        for name in TIMES:
            if name in data:
                data[name] = moment(str(data[name]))
        kind = str(row.get(TYPE[spelling], ""))
        if kind:
            data["ChargeCategory"] = CATEGORY.get(kind, "Adjustment")
        if (effective := _effective(kind, row, spelling, data.get("BilledCost"))) is not None:
            data["EffectiveCost"] = effective
        data["ServiceProviderName"] = "AWS"
        data["Tags"] = _tags(row, spelling)
        return data

    return read


def _by_column(spelling: int) -> ByColumn:
    columns = [(line[0], line[spelling + 1]) for line in TABLE if line[spelling + 1]]
    is_tag = (TAG_PREFIX[spelling], "resource_tags")

    def by_column(cells: Cells, rows: int) -> Fields:
        fields = {name: cells[column] for name, column in columns if column in cells}
        for name in TIMES:
            if name in fields:
                fields[name] = fields[name].mapped(moment)
        kinds = cells[TYPE[spelling]]
        fields["ChargeCategory"] = kinds.mapped(lambda kind: CATEGORY.get(kind, "Adjustment"))
        fields["EffectiveCost"] = chosen(kinds, lambda kind: _effective_column(kind, cells, spelling, fields))
        fields["ServiceProviderName"] = constant("AWS", rows)
        tagged = [name for name in cells if name.startswith(is_tag)]
        fields["Tags"] = combined(cells, tagged, lambda row: as_json(_tags(row, spelling)), rows)
        return fields

    return by_column


def _effective_column(kind: str, cells: Cells, spelling: int, fields: Fields) -> Coded | None:
    """Where the amortised cost of lines of this type stands; None where it takes arithmetic, which few lines do."""
    if kind in COVERED:
        return cells.get(COVERED[kind][spelling])
    if kind in {"SavingsPlanUpfrontFee", "SavingsPlanNegation"}:
        return Coded(pa.array(["0"]), np.zeros_like(cells[TYPE[spelling]].codes))
    if kind in {"RIFee", "SavingsPlanRecurringFee", "Fee"}:
        return None
    return fields["BilledCost"]


def _effective(kind: str, row: Row, spelling: int, billed: object) -> Any:
    """The amortised cost; None when the report does not tell it, which is not zero."""
    if kind in COVERED:
        return row.get(COVERED[kind][spelling])
    if kind == "RIFee":
        return _sum(row, UNUSED_RESERVED[spelling], sign=1)
    if kind == "SavingsPlanRecurringFee":
        return _sum(row, COMMITTED_AND_USED[spelling], sign=-1)
    bought = kind == "Fee" and first_given(row, RESERVATION[spelling]) is not None
    return "0" if bought or kind in {"SavingsPlanUpfrontFee", "SavingsPlanNegation"} else billed


def _sum(row: Row, columns: tuple[str, ...], sign: int) -> str:
    """The first column plus or minus the second; zero, as for any purchase, where the report has neither."""
    if not columns or not row.keys() >= set(columns):
        return "0"
    return plain_decimal(number(row, columns[0]) + sign * number(row, columns[1]))


def _tags(row: Row, spelling: int) -> dict[str, str]:
    prefix = TAG_PREFIX[spelling]
    found = {name.removeprefix(prefix): str(value) for name, value in row.items() if name.startswith(prefix)}
    if packed := row.get("resource_tags"):  # CUR 2.0 keeps them in one map
        found |= {key.removeprefix("user_"): value for key, value in tags(packed).items()}
    return found


LAYOUTS: tuple[Layout, ...] = tuple(
    bill(
        f"aws-cur-{name}",
        has(TABLE[0][spelling + 1], TYPE[spelling], TABLE[3][spelling + 1]),
        _reader(spelling),
        by_column=_by_column(spelling),
    )
    for spelling, name in enumerate(("legacy", "2.0", "reduced"))
)
