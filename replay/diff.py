"""Two runs of a history held against each other: what moved, by how much, and which findings came and went.

Money is compared in the currency it was charged in. A finding is the same by its id; one of the same kind and series
that overlaps in time is the same incident seen from another moment on, and counts as changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.report.rundir import Run
from schemas.base import plain_decimal
from schemas.watch import Alert, Finding

COMPARED = ("kind", "severity", "opened_at", "detected_at", "excess_usd", "cause")
"""What makes a finding a changed one."""


@dataclass(frozen=True, slots=True)
class Move:
    """What one value of a dimension costs in both runs."""

    value: str
    currency: str
    before: Decimal
    after: Decimal

    @property
    def by(self) -> Decimal:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Events:
    """How many events the runs charge alike, differently, or alone."""

    same: int
    changed: int
    only_before: int
    only_after: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A finding or alert that both runs have, not alike: each field that differs, as text."""

    name: str
    before: Finding | Alert
    after: Finding | Alert
    fields: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Lives:
    """What became of the findings, or of the alerts."""

    appeared: tuple[Finding | Alert, ...]
    disappeared: tuple[Finding | Alert, ...]
    changed: tuple[Changed, ...]
    same: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs. `counts` are those of the summaries that do."""

    counts: Mapping[str, tuple[Any, Any]]
    currencies: tuple[Move, ...]  # every currency, moved or not
    moves: Mapping[str, tuple[Move, ...]]  # by dimension, only what moved, the largest first
    events: Events
    findings: Lives
    alerts: Lives

    @property
    def is_none(self) -> bool:
        """Whether the runs are alike."""
        lives = (self.findings, self.alerts)
        return (
            not self.counts
            and not any(self.moves.values())
            and self.events.same == sum((self.events.same, self.events.changed, self.events.only_before,
                                         self.events.only_after))
            and not any(one.appeared or one.disappeared or one.changed for one in lives)
        )  # fmt: skip


def difference(before: Run, after: Run, dimensions: Sequence[str]) -> Difference:
    """Compare two runs, by these dimensions."""
    skipped = {"wall_seconds", "events_per_second", "effective_cost"}
    names = sorted((before.summary.keys() | after.summary.keys()) - skipped)
    counts = {name: (before.summary.get(name), after.summary.get(name)) for name in names}
    return Difference(
        {name: pair for name, pair in counts.items() if pair[0] != pair[1]},
        _moves(before, after, "currency", every=True),
        {name: _moves(before, after, name, every=False) for name in dimensions},
        _events(before, after),
        lives(before.findings, after.findings),
        lives(before.alerts, after.alerts),
    )


def _moves(before: Run, after: Run, name: str, *, every: bool) -> tuple[Move, ...]:
    sums = [_sums(run.charges, name) for run in (before, after)]
    nothing = Decimal(0)
    moves = [Move(*key, sums[0].get(key, nothing), sums[1].get(key, nothing)) for key in sorted({*sums[0], *sums[1]})]
    return tuple(sorted((one for one in moves if every or one.by), key=lambda one: (-abs(one.by), one.value)))


def _sums(charges: pa.Table, name: str) -> dict[tuple[str, str], Decimal]:
    keys = ["currency"] if name == "currency" else [name, "currency"]
    grouped = (
        charges.select([*keys, "effective_cost"]).group_by(keys).aggregate([("effective_cost", "sum")]).to_pylist()
    )
    return {(one[name] or "", one["currency"]): one["effective_cost_sum"] or Decimal(0) for one in grouped}


def _events(before: Run, after: Run) -> Events:
    """By identity; an event's parts are summed first, for rules may split it differently."""
    one, other = (
        _identified(run).rename_columns(["source", "id", side]) for run, side in ((before, "a"), (after, "b"))
    )
    joined = one.join(other, keys=["source", "id"], join_type="full outer")
    left, right = joined["a"], joined["b"]
    both = pc.and_(pc.is_valid(left), pc.is_valid(right))
    equal = pc.fill_null(pc.and_(both, pc.equal(left, right)), fill_value=False)
    same, together = pc.sum(equal).as_py() or 0, pc.sum(both).as_py() or 0
    return Events(same, together - same, one.num_rows - together, other.num_rows - together)


def _identified(run: Run) -> pa.Table:
    table = pq.read_table(run.folder / "charges.parquet", columns=["source", "id", "effective_cost"])
    cost = pc.coalesce(table["effective_cost"], pa.scalar(Decimal(0), table["effective_cost"].type))
    table = table.set_column(2, "effective_cost", cost)
    summed = table.group_by(["source", "id"]).aggregate([("effective_cost", "sum")])
    return summed.select(["source", "id", "effective_cost_sum"])


def lives(before: Sequence[Finding] | Sequence[Alert], after: Sequence[Finding] | Sequence[Alert]) -> Lives:
    """Pair what is the same by id, then by kind, series and time."""
    old, new = {_id(one): one for one in before}, {_id(one): one for one in after}
    pairs = [(old.pop(name), new.pop(name)) for name in sorted(old.keys() & new.keys())]
    for one in _in_order(old.values()):
        match = next((other for other in _in_order(new.values()) if _is_same(one, other)), None)
        if match is not None:
            pairs.append((old.pop(_id(one)), new.pop(_id(match))))
    changed = [Changed(_id(b), a, b, fields) for a, b in pairs if (fields := _fields(a, b))]
    changed.sort(key=lambda each: (-abs(each.after.excess_usd - each.before.excess_usd), each.name))
    return Lives(
        tuple(_in_order(new.values())), tuple(_in_order(old.values())), tuple(changed), len(pairs) - len(changed)
    )


def _is_same(one: Finding | Alert, other: Finding | Alert) -> bool:
    alike = (one.kind, one.meter, one.series) == (other.kind, other.meter, other.series)
    return alike and one.opened_at <= _until(other) and other.opened_at <= _until(one)


def _until(one: Finding | Alert) -> Any:
    return one.last_seen_at if isinstance(one, Finding) else one.updated_at


def _fields(one: Finding | Alert, other: Finding | Alert) -> dict[str, tuple[str, str]]:
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in COMPARED}
    return {name: (_text(a), _text(b)) for name, (a, b) in pairs.items() if a != b}


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain_decimal(value)
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)


def _id(one: Finding | Alert) -> str:
    return one.finding_id if isinstance(one, Finding) else one.alert_id


def _in_order(found: Iterable[Finding | Alert]) -> list[Finding | Alert]:
    return sorted(found, key=lambda one: (-abs(one.excess_usd), one.opened_at, _id(one)))
