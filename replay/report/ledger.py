"""Sums over the charges of a run, exact: by time, by owner, by whatever column a card needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.records import METER_BY_TYPE, Meter
from schemas.watch import DIMENSIONS

HOUR, DAY = 3600, 86_400
STEPS = (60, 300, 900, HOUR, 6 * HOUR, DAY, 7 * DAY)  # what a point of a plot may stand for, in seconds
TYPE_OF: dict[Meter, str] = {meter: kind for kind, meter in METER_BY_TYPE.items()}
MICROSECONDS = 1_000_000
KEPT = [*DIMENSIONS, "sku", "resource", "operation", "workload", "requests", "input_tokens", "output_tokens",
        "gpu_minutes", "at", "amount"]  # fmt: skip
"""What a ledger is asked for; every filter copies all columns."""


def step_for(seconds: float, most: int, least: int = 60) -> int:
    """The finest step of at least `least` seconds that cuts a span into at most `most` points."""
    fitting = (step for step in STEPS if step >= least and seconds / step <= most)
    return next(fitting, STEPS[-1])


@dataclass(frozen=True, slots=True)
class Ledger:
    """Charges of one kind of usage in one money: `at` (epoch seconds: when a call was made, when a line of a bill
    began), `amount`, and all that names them. A charge for more than a day is in no window, and not in here."""

    rows: pa.Table
    meter: Meter
    currency: str

    def of(self, series: Mapping[str, str]) -> Ledger:
        """What belongs to a series."""
        mask: Any = None
        for name, value in series.items():
            of = self.rows[name]
            here = pc.equal(of, pa.scalar(value, of.type.value_type))
            mask = here if mask is None else pc.and_(mask, here)
        return self if mask is None else Ledger(self.rows.filter(mask), self.meter, self.currency)

    def between(self, start: float, end: float) -> Ledger:
        """What lies in [start, end), in epoch seconds."""
        at = self.rows["at"]
        inside = pc.and_(pc.greater_equal(at, pa.scalar(int(start))), pc.less(at, pa.scalar(int(end))))
        return Ledger(self.rows.filter(inside), self.meter, self.currency)

    @property
    def total(self) -> Decimal:
        """The sum of all amounts."""
        return money(pc.sum(self.rows["amount"]))

    def by_time(self, step: int) -> dict[int, Decimal]:
        """Sums by the start of each step (epoch seconds) that has any, in order."""
        bucket = pc.multiply(pc.divide(self.rows["at"], pa.scalar(step)), pa.scalar(step))
        table = pa.table({"at": bucket, "amount": self.rows["amount"]})
        sums = table.group_by("at").aggregate([("amount", "sum")]).to_pydict()
        return dict(sorted(zip(sums["at"], (value or Decimal(0) for value in sums["amount_sum"]), strict=True)))

    def by(self, names: Sequence[str]) -> dict[tuple[str, ...], tuple[Decimal, int]]:
        """Amount and first time of each combination of columns."""
        if not self.rows.num_rows:
            return {}
        grouped = self.rows.select([*names, "amount", "at"]).group_by(list(names))
        found = grouped.aggregate([("amount", "sum"), ("at", "min")]).to_pylist()
        return {
            tuple(one[name] or "" for name in names): (one["amount_sum"] or Decimal(0), one["at_min"]) for one in found
        }

    def span(self) -> tuple[int, int]:
        """First and last time of a charge, in epoch seconds."""
        both = pc.min_max(self.rows["at"]).as_py()
        return both["min"], both["max"]


def ledgers(charges: pa.Table) -> tuple[list[Ledger], dict[tuple[Meter, str], Decimal]]:
    """One ledger for each kind of usage and money, and what is charged for periods of over a day, by the same.

    Money is USD where a dated rate gave it, and otherwise the charge's own currency: the two are never added.
    """
    found: list[Ledger] = []
    long: dict[tuple[Meter, str], Decimal] = {}
    for meter, kind in TYPE_OF.items():
        rows = charges.filter(pc.equal(charges["type"], kind))
        for currency, part in _by_currency(rows):
            seconds = _seconds(part["time"]) if meter != "line_item" else _seconds(part["period_start"])
            length = pc.subtract(_seconds(part["period_end"]), _seconds(part["period_start"]))
            rows_in = part.append_column("at", seconds)
            if meter == "line_item":
                is_short = pc.less_equal(length, DAY)
                beyond = rows_in.filter(pc.invert(is_short))
                if beyond.num_rows:
                    long[meter, currency] = money(pc.sum(beyond["amount"]))
                rows_in = rows_in.filter(is_short)
            if rows_in.num_rows:
                found.append(Ledger(rows_in.select(KEPT), meter, currency))
    return found, long


def _by_currency(rows: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    usd = rows["effective_cost_usd"]
    known = rows.filter(pc.is_valid(usd))
    if known.num_rows:
        yield "USD", known.append_column("amount", known["effective_cost_usd"])
    other = rows.filter(pc.and_(pc.is_null(usd), pc.is_valid(rows["effective_cost"])))
    for currency in sorted(value for value in pc.unique(other["currency"]).to_pylist() if value):
        part = other.filter(pc.equal(other["currency"], currency))
        yield currency, part.append_column("amount", part["effective_cost"])


def _seconds(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.divide(pc.cast(times, pa.int64()), pa.scalar(MICROSECONDS))


def money(total: Any) -> Decimal:
    """An Arrow sum as a decimal; nothing sums to 0."""
    value: Decimal | None = total.as_py()
    return value or Decimal(0)


def epoch(time: datetime) -> int:
    """Whole epoch seconds."""
    return int(time.timestamp())
