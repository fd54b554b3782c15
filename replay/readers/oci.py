"""Oracle Cloud cost reports. The table below reads: FOCUS column, then the report's column.

Source: https://docs.oracle.com/iaas/Content/Billing/Concepts/costreportsoverview.htm

`cost/myCost` holds the overage too. A correction comes as a row of its own that names the one it corrects; like any
correction it is added, signed, to what was there. Nothing is amortised: the effective cost is the billed one.
"""

from __future__ import annotations

from replay.readers.coded import Cells, Fields, combined, constant
from replay.readers.layouts import bill, has
from replay.readers.values import Row, as_json, moment

TABLE = (
    ("BilledCost", "cost/myCost"),
    ("EffectiveCost", "cost/myCost"),
    ("ContractedUnitPrice", "cost/unitPrice"),
    ("BillingCurrency", "cost/currencyCode"),
    ("ChargePeriodStart", "lineItem/intervalUsageStart"),
    ("ChargePeriodEnd", "lineItem/intervalUsageEnd"),
    ("BillingAccountId", "lineItem/tenantId"),
    ("SubAccountId", "product/compartmentId"),
    ("SubAccountName", "product/compartmentName"),
    ("ServiceName", "product/service"),
    ("RegionId", "product/region"),
    ("ResourceId", "product/resourceId"),
    ("SkuId", "cost/productSku"),
    ("ChargeDescription", "product/Description"),
    ("ConsumedQuantity", "usage/billedQuantity"),
    ("ConsumedUnit", "cost/skuUnitDescription"),
)
TAG_PREFIX = "tags/"


def read(row: Row) -> dict[str, object]:
    """A row as FOCUS. Tags keep their namespace: `Oracle-Tags.CreatedBy`."""
    data: dict[str, object] = {name: row[column] for name, column in TABLE if column in row}
    for name in ("ChargePeriodStart", "ChargePeriodEnd"):
        if name in data:
            data[name] = moment(str(data[name]))
    data["ServiceProviderName"] = "Oracle"
    data["ChargeCategory"] = "Usage"
    if str(row.get("lineItem/isCorrection")).lower() == "true":
        data["ChargeClass"] = "Correction"
    data["Tags"] = _tags(row)
    return data


def _tags(row: Row) -> dict[str, str]:
    return {name.removeprefix(TAG_PREFIX): str(value) for name, value in row.items() if name.startswith(TAG_PREFIX)}


def by_column(cells: Cells, rows: int) -> Fields:
    """The same for many rows."""
    fields = {name: cells[column] for name, column in TABLE if column in cells}
    for name in ("ChargePeriodStart", "ChargePeriodEnd"):
        if name in fields:
            fields[name] = fields[name].mapped(moment)
    fields["ServiceProviderName"] = constant("Oracle", rows)
    fields["ChargeCategory"] = constant("Usage", rows)
    if "lineItem/isCorrection" in cells:
        correction = cells["lineItem/isCorrection"]
        fields["ChargeClass"] = correction.mapped(lambda cell: "Correction" if cell.lower() == "true" else None)
    tagged = [name for name in cells if name.startswith(TAG_PREFIX)]
    fields["Tags"] = combined(cells, tagged, lambda row: as_json(_tags(row)), rows)
    return fields


LAYOUT = bill("oci", has("cost/myCost", "cost/currencyCode", "lineItem/intervalUsageStart"), read, by_column=by_column)
