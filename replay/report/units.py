"""Unit costs and allocation coverage: USD per thousand requests, per million tokens, per GPU-hour; who owns how much.

Only charges with a price count, above and below the line: usage that nobody has a price for is told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from replay.report.ledger import Ledger, money

MOST = 10


@dataclass(frozen=True, slots=True)
class Unit:
    """What one unit of something costs. USD, and how many units that is of."""

    of: str  # everything, or a model or accelerator
    usd: Decimal
    units: Decimal

    @property
    def each(self) -> Decimal | None:
        return self.usd / self.units if self.units else None


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """One table: the whole and its dearest parts."""

    per: str  # 1,000 requests; 1 million tokens; GPU-hour
    rows: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of the spend in one money, what a rule gave to an owner; the dearest teams, "" is nobody."""

    currency: str
    total: Decimal
    allocated: Decimal
    teams: tuple[tuple[str, Decimal], ...]
    rules: tuple[tuple[str, Decimal], ...]

    @property
    def share(self) -> float | None:
        return float(self.allocated / self.total) if self.total else None


def unit_costs(found: Sequence[Ledger]) -> list[UnitCosts]:
    """The tables that this usage has."""
    out = []
    for ledger in found:
        if ledger.currency != "USD":
            continue
        if ledger.meter == "token_call":
            requests = ledger.rows["requests"]
            tokens = pc.add(ledger.rows["input_tokens"], ledger.rows["output_tokens"])
            out.append(_table("1,000 requests", ledger, requests, "model", 1000))
            out.append(_table("million tokens, in and out", ledger, tokens, "model", 1_000_000))
        elif ledger.meter == "gpu_usage":
            out.append(_table("GPU-hour", ledger, ledger.rows["gpu_minutes"], "accelerator", 60))
    return [table for table in out if table.rows[0].units]


def _table(per: str, ledger: Ledger, units: pa.ChunkedArray, name: str, size: int) -> UnitCosts:
    rows = pa.table({"name": ledger.rows[name], "usd": ledger.rows["amount"], "units": units})
    grouped = rows.group_by("name").aggregate([("usd", "sum"), ("units", "sum")]).to_pylist()
    parts = [
        Unit(one["name"] or "(none)", one["usd_sum"] or Decimal(0), _units(one["units_sum"], size)) for one in grouped
    ]
    parts.sort(key=lambda unit: (-unit.usd, unit.of))
    whole = Unit("all", sum((unit.usd for unit in parts), Decimal(0)), sum((unit.units for unit in parts), Decimal(0)))
    return UnitCosts(per, (whole, *(unit for unit in parts[:MOST] if unit.units)))


def _units(total: Decimal | int | None, size: int) -> Decimal:
    return Decimal(total or 0) / size


def coverage(charges: pa.Table, currencies: Sequence[str]) -> list[Coverage]:
    """Who owns how much, in each money. Negative and positive amounts (corrections, credits) net out."""
    out = []
    for currency in currencies:
        rows, amount = _in(charges, currency)
        if not rows.num_rows:
            continue
        table = pa.table({"team": rows["team"], "rule": rows["allocation"], "usd": amount})
        total = money(pc.sum(amount))
        unowned = table.filter(pc.equal(table["rule"], "unallocated"))
        allocated = total - money(pc.sum(unowned["usd"]))
        out.append(Coverage(currency, total, allocated, _by(table, "team"), _by(table, "rule")))
    return out


def _in(charges: pa.Table, currency: str) -> tuple[pa.Table, pa.ChunkedArray]:
    if currency == "USD":
        rows = charges.filter(pc.is_valid(charges["effective_cost_usd"]))
        return rows, rows["effective_cost_usd"]
    of = pc.and_(pc.equal(charges["currency"], currency), pc.is_null(charges["effective_cost_usd"]))
    rows = charges.filter(pc.and_(of, pc.is_valid(charges["effective_cost"])))
    return rows, rows["effective_cost"]


def _by(table: pa.Table, name: str) -> tuple[tuple[str, Decimal], ...]:
    sums = table.group_by(name).aggregate([("usd", "sum")]).to_pylist()
    found = sorted(((one[name] or "", one["usd_sum"] or Decimal(0)) for one in sums), key=lambda one: (-one[1], one[0]))
    shown, rest = found[:MOST], found[MOST:]
    if rest:
        shown.append((f"({len(rest)} others)", sum((usd for _, usd in rest), Decimal(0))))
    return tuple(shown)
