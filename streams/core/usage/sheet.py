"""Line items by column, as readers of bills give them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from schemas.base import plain_decimal
from schemas.events import LINE_ITEM

_BESIDE = frozenset({"id", "row"})


class Sheet(NamedTuple):
    """Line items that follow each other in a bill.

    Columns are by the names of `schemas.events.LineItem`: texts plain, money as decimals of 18 places, times in UTC,
    tags as JSON. Each value is as its contract has it, the limits of a deployment apart; a column that is not there
    holds nothing. `id` is the event's own, `row` its place in the file. An event's time is the start of its charge
    period.
    """

    source: str
    lines: pa.RecordBatch

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """When each of them happened, in order (epoch seconds)."""
        return np.asarray(self.lines.column("ChargePeriodStart").view(pa.int64()).to_numpy() / 1e6)

    def row(self, place: int) -> int:
        """Which row of the file one of them is."""
        number: int = self.lines.column("row")[place].as_py()
        return number

    def slice(self, start: int, end: int) -> Sheet:
        """The lines from one place up to another."""
        return Sheet(self.source, self.lines.slice(start, end - start))

    def event(self, place: int) -> dict[str, object]:
        """One of them as the event that it is, but for the spelling of its values."""
        row = self.lines.slice(place, 1).to_pylist()[0]
        data = {name: _spelt(name, value) for name, value in row.items() if value is not None and name not in _BESIDE}
        return {
            "specversion": "1.0", "id": row["id"], "source": self.source, "type": LINE_ITEM,
            "time": data["ChargePeriodStart"], "data": data,
        }  # fmt: skip


def _spelt(name: str, value: Any) -> object:
    if isinstance(value, Decimal):
        return plain_decimal(value.normalize())
    if isinstance(value, datetime):
        return value.isoformat()
    return orjson.loads(value) if name == "Tags" else value
