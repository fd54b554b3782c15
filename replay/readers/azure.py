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

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache, partial

import numpy as np

from replay.readers.coded import NOTHING, Cells, Coded, Fields, chosen, combined, constant, first_of, flagged
from replay.readers.layouts import Columns, bill
from replay.readers.values import CACHED, Row, as_json, first_given, number, tags
from streams.core.usage.decode import Rejected

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
    data["ChargeCategory"] = CATEGORY.get(charge, "Adjustment")
    data["PricingCategory"] = _pricing(row) or "Other"
    if (frequency := FREQUENCY.get(_word(row, "frequency"))) is not None:
        data["ChargeFrequency"] = frequency
    data |= _costs(row, charge, _pricing(row) == "Committed") | _periods(row)
    data["Tags"] = _tags(row.get("tags"))
    return data


_KIND = ("chargetype", "pricingmodel", "reservationid", "frequency")


def by_column(cells: Cells, rows: int) -> Fields:
    """The same for many rows."""
    fields = {name: found for name, *columns in TABLE if (found := first_of(cells, columns)) is not None}
    no_currency = constant(NO_CURRENCY, rows)
    currency = fields.get("BillingCurrency", no_currency)
    fields["BillingCurrency"] = first_of({"told": currency, "none": no_currency}, ("told", "none")) or no_currency
    fields["ServiceProviderName"] = constant("Microsoft", rows)
    for name in ("ChargeCategory", "PricingCategory", "ChargeFrequency"):
        fields[name] = combined(cells, _KIND, partial(_told, read, name), rows)
    cost = first_of(cells, COST)
    if cost is not None:
        fields |= _costs_by_column(cells, cost, rows)
    day = first_of(cells, DAY)
    if day is not None:
        fields["ChargePeriodStart"] = day.mapped(lambda text: _midnight(text, 0))
        fields["ChargePeriodEnd"] = day.mapped(lambda text: _midnight(text, 1))
    months = ("billingperiodstartdate", "billingperiodenddate")
    for name in ("BillingPeriodStart", "BillingPeriodEnd"):
        fields[name] = combined(cells, months, partial(_told, _periods, name), rows)
    if "tags" in cells:
        fields["Tags"] = cells["tags"].whole(lambda cell: as_json(_tags(cell)))
    return fields


def _told(read_: Callable[[Row], dict[str, object]], name: str, row: Row) -> str | None:
    value = read_(row).get(name)
    return None if value is None else str(value)


def _costs_by_column(cells: Cells, cost: Coded, rows: int) -> Fields:
    """The two costs and the commitment's state: what `_costs` says of a row, by what kind of row it is."""
    kinds = combined(cells, _KIND, _kind, rows)
    nothing = Coded(cost.values, np.full(rows, NOTHING, np.int32))
    commitment = first_of(cells, ("benefitid", "reservationid")) or nothing
    # Whether covered usage that costs nothing is of an actual export takes a look at its quantity.
    idle = np.array([not _is_spent(value) for value in cost.values.to_pylist()], np.bool_)
    sources = {"0": constant("0", rows), "cost": cost, "spent": cost.odd_where(flagged(idle, cost.codes))}
    return {
        "BilledCost": chosen(kinds, lambda kind: sources[kind.split()[0]]),
        "EffectiveCost": chosen(kinds, lambda kind: sources[kind.split()[1]]),
        "CommitmentDiscountId": chosen(kinds, lambda kind: commitment if kind != "cost cost -" else nothing),
        "CommitmentDiscountStatus": kinds.mapped(lambda kind: None if kind.endswith("-") else kind.split()[2]),
    }


def _kind(row: Row) -> str:
    """Where the two costs of such a row come from, and the commitment's state."""
    costs = _costs({**row, "cost": "1"}, _word(row, "chargetype") or "usage", _pricing(row) == "Committed")
    billed, effective = ("0" if costs[name] == "0" else "cost" for name in ("BilledCost", "EffectiveCost"))
    status = costs.get("CommitmentDiscountStatus", "-")
    return f"{billed} {'spent' if status == 'Used' else effective} {status}"


def _is_spent(text: str) -> bool:
    try:
        return bool(number({"cost": text}, "cost"))
    except Rejected:
        return False


def _pricing(row: Row) -> str | None:
    return PRICING.get(_word(row, "pricingmodel") or ("reservation" if "reservationid" in row else "ondemand"))


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


LAYOUT = bill("azure", tells, read, lower=True, by_column=by_column)
