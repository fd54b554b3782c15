"""Azure cost details exports, actual and amortised, of Enterprise Agreements and Microsoft Customer Agreements.

Names differ in case and between agreements, so the table below reads: FOCUS column, then the names that hold it, in
lower case, the first that is filled winning. Days are month/day/year, as Microsoft writes them, or ISO.
Source: https://learn.microsoft.com/azure/cost-management-billing/automate/understand-usage-details-fields

An actual and an amortised export have the same columns and one cost; which of FOCUS's two costs that is depends on the
row, and the other one follows from what FOCUS says of it:

row                                             BilledCost   EffectiveCost
of a purchase of a commitment                   cost         0: the usage that it covers bears it
of usage that a commitment covers, amortised    0            cost
of usage that a commitment covers, actual       0            not told: refused (the amortised export tells)
of the unused part of a commitment              0            cost
any other                                       cost         cost, the same in both exports
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache

from replay.readers.layouts import Columns, bill
from replay.readers.values import CACHED, Row, first_given, number, tags

TABLE = (
    ("BillingCurrency", "billingcurrency", "billingcurrencycode", "currency"),
    ("ListCost", "paygcostinbillingcurrency"),
    ("ListUnitPrice", "paygprice"),
    ("ContractedUnitPrice", "unitprice"),
    ("BillingAccountId", "billingaccountid"),
    ("InvoiceId", "invoiceid"),
    ("SubAccountId", "subscriptionid", "subscriptionguid"),
    ("SubAccountName", "subscriptionname"),
    ("ServiceName", "metercategory"),
    ("ServiceCategory", "servicefamily"),
    ("SkuMeter", "metername"),
    ("SkuId", "meterid"),
    ("SkuPriceId", "partnumber"),
    ("RegionId", "resourcelocation", "meterregion"),
    ("ResourceId", "resourceid", "instanceid", "instancename"),
    ("ResourceName", "resourcename"),
    ("ChargeDescription", "product", "productname"),
    ("ConsumedQuantity", "quantity"),
    ("ConsumedUnit", "unitofmeasure"),
)
COST = ("costinbillingcurrency", "cost", "pretaxcost")
DAY = ("date", "usagedatetime", "usagedate")
CATEGORY = {
    "usage": "Usage", "unusedreservation": "Usage", "unusedsavingsplan": "Usage", "purchase": "Purchase", "tax": "Tax",
    "credit": "Credit", "refund": "Adjustment", "roundingadjustment": "Adjustment",
}  # fmt: skip
PRICING = {"ondemand": "Standard", "spot": "Dynamic", "reservation": "Committed", "savingsplan": "Committed"}
FREQUENCY = {"onetime": "One-Time", "recurring": "Recurring", "usagebased": "Usage-Based"}
NO_CURRENCY = "XXX"  # ISO 4217 for "no currency": some exports leave the column out, and a guess would mix currencies


def read(row: Row) -> dict[str, object]:
    """A row, its columns in lower case, as FOCUS."""
    data: dict[str, object] = {"ServiceProviderName": "Microsoft", "BillingCurrency": NO_CURRENCY}
    data |= {name: value for name, *columns in TABLE if (value := first_given(row, columns)) is not None}
    charge = _word(row, "chargetype") or "usage"
    model = _word(row, "pricingmodel") or ("reservation" if "reservationid" in row else "ondemand")
    data["ChargeCategory"] = CATEGORY.get(charge, "Adjustment")
    data["PricingCategory"] = PRICING.get(model, "Other")
    if (frequency := FREQUENCY.get(_word(row, "frequency"))) is not None:
        data["ChargeFrequency"] = frequency
    data |= _costs(row, charge, PRICING.get(model) == "Committed") | _periods(row)
    data["Tags"] = _tags(row.get("tags"))
    return data


def _word(row: Row, column: str) -> str:
    return str(row.get(column) or "").strip().lower()


def _costs(row: Row, charge: str, committed: bool) -> dict[str, object]:
    """The two costs of the table above, and the commitment's state."""
    cost = first_given(row, COST)
    if cost is None:
        return {}
    if not committed and not charge.startswith("unused"):
        return {"BilledCost": cost, "EffectiveCost": cost}
    known: dict[str, object] = {}
    if (commitment := first_given(row, ("benefitid", "reservationid"))) is not None:
        known["CommitmentDiscountId"] = commitment
    if charge.startswith("unused"):
        return known | {"BilledCost": "0", "EffectiveCost": cost, "CommitmentDiscountStatus": "Unused"}
    if charge != "usage":
        return known | {"BilledCost": cost, "EffectiveCost": "0"}
    known |= {"BilledCost": "0", "CommitmentDiscountStatus": "Used"}
    return known if _is_actual(row) else known | {"EffectiveCost": cost}


def _is_actual(row: Row) -> bool:
    """Whether a row of covered usage is of an actual export, where it costs nothing however much was used."""
    if number(row, next(column for column in COST if column in row)):
        return False
    return "quantity" not in row or number(row, "quantity") != 0


def _periods(row: Row) -> dict[str, object]:
    """A charge is of one day. Microsoft's last day of a billing period is in it; FOCUS ends are not."""
    periods: dict[str, object] = {}
    if (day := first_given(row, DAY)) is not None:
        periods |= {"ChargePeriodStart": _midnight(str(day), 0), "ChargePeriodEnd": _midnight(str(day), 1)}
    if (first := row.get("billingperiodstartdate")) and (last := row.get("billingperiodenddate")):
        periods |= {"BillingPeriodStart": _midnight(str(first), 0), "BillingPeriodEnd": _midnight(str(last), 1)}
    return periods


@lru_cache(CACHED)
def _midnight(text: str, days: int) -> str:
    """The day's first moment, `days` later; text that is no day is passed on, to be refused by its field."""
    try:
        day = _us_date(text) if "/" in text else datetime.fromisoformat(text).date()
        return f"{day + timedelta(days=days)}T00:00:00+00:00"
    except (ValueError, OverflowError):
        return text


def _us_date(text: str) -> date:
    month, day, year = text.strip().split("/")
    return date(int(year[:4]), int(month), int(day))


def _tags(value: object) -> dict[str, str]:
    """Some exports leave out the braces around the tags."""
    if isinstance(value, str) and value.lstrip().startswith('"'):
        value = "{" + value + "}"
    return tags(value)


def tells(columns: Columns) -> bool:
    """By the columns that every such export has, in any case."""
    lower = {column.lower() for column in columns}
    return {"metercategory", "consumedservice"} <= lower and not lower.isdisjoint(COST) and not lower.isdisjoint(DAY)


LAYOUT = bill("azure", tells, read, lower=True)
