"""FOCUS 1.0 to 1.4: its columns are our event's own fields, so that the table is the contract itself.

Source: https://focus.finops.org/focus-specification/
"""

from __future__ import annotations

from replay.readers.coded import Cells, Fields, first_of
from replay.readers.layouts import bill, has
from replay.readers.values import Row, as_json, moment, tags
from schemas.events import LineItem

COLUMNS = frozenset({*LineItem.model_fields, "ProviderName", "PublisherName"})  # the last two are FOCUS 1.0 to 1.3
_TIMES = frozenset(name for name in COLUMNS if name.endswith(("Start", "End")))


def read(row: Row) -> dict[str, object]:
    """The FOCUS columns of a row. Times without a zone are UTC, as FOCUS says."""
    data: dict[str, object] = {name: value for name, value in row.items() if name in COLUMNS}
    for name in _TIMES & data.keys():
        data[name] = moment(str(data[name]))
    if "Tags" in data:
        data["Tags"] = tags(data["Tags"])
    return data


_OLDER = {"ServiceProviderName": "ProviderName", "HostProviderName": "PublisherName"}


def by_column(cells: Cells, _: int) -> Fields:
    """The same for many rows, where names of 1.0 to 1.3 stand in for those of today."""
    fields = {
        name: found
        for name in LineItem.model_fields
        if (found := first_of(cells, (name, *((_OLDER[name],) if name in _OLDER else ())))) is not None
    }
    for name in _TIMES & fields.keys():
        fields[name] = fields[name].mapped(moment)
    if "Tags" in fields:
        fields["Tags"] = fields["Tags"].whole(lambda cell: as_json(tags(cell)))
    return fields


LAYOUT = bill("focus", has("BilledCost", "BillingCurrency", "ChargePeriodStart"), read, by_column=by_column)
