"""Oracle Cloud cost reports. The table below reads: FOCUS column, then the report's column.

Source: https://docs.oracle.com/iaas/Content/Billing/Concepts/costreportsoverview.htm

`cost/myCost` holds the overage too. A correction comes as a row of its own that names the one it corrects; like any
correction it is added, signed, to what was there. Nothing is amortised: the effective cost is the billed one.
"""

from __future__ import annotations

from replay.readers.layouts import bill, has
from replay.readers.values import Row, moment

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
    data["Tags"] = {
        name.removeprefix(TAG_PREFIX): str(value) for name, value in row.items() if name.startswith(TAG_PREFIX)
    }
    return data


LAYOUT = bill("oci", has("cost/myCost", "cost/currencyCode", "lineItem/intervalUsageStart"), read)
