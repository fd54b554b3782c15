"""Dollars that several incidents saw, counted once.

An incident's excess is of sums, so no single charge is its own. Of two incidents that ran at the same time over some of
the same charges, as much is taken to be one and the same as both can have had there: the least of the one's excess in
that time, the other's, and what those charges came to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from replay.report.ledger import Ledger
from schemas.records import Meter
from schemas.watch import Alert

Excess = Callable[[Ledger, Alert, float, float], Decimal]
"""Actual less expected of an alert's series in a span of time, in USD."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an alert says was too much, from `start` to `end` (epoch seconds), in USD."""

    alert: Alert
    start: int
    end: int
    usd: Decimal


def counted_once(claims: Iterable[Claim], ledgers: Mapping[Meter, Ledger], excess: Excess) -> Decimal:
    """The sum of the claims, without what one of them shares with a larger one."""
    total = Decimal(0)
    counted: list[Claim] = []
    for claim in sorted(claims, key=lambda one: (-one.usd, one.start, one.alert.alert_id)):
        ledger = ledgers.get(claim.alert.meter)
        seen = (_shared(claim, other, ledger, excess) for other in counted if ledger is not None)
        total += claim.usd - min(max(claim.usd, Decimal(0)), max(seen, default=Decimal(0)))
        counted.append(claim)
    return total


def _shared(one: Claim, other: Claim, ledger: Ledger, excess: Excess) -> Decimal:
    start, end = max(one.start, other.start), min(one.end, other.end)
    named, named_too = one.alert.series, other.alert.series
    if one.alert.meter != other.alert.meter or start >= end:
        return Decimal(0)
    if any(named[name] != named_too[name] for name in named.keys() & named_too.keys()):
        return Decimal(0)
    then = ledger.between(start, end)
    parts = [then.of({**named, **named_too}).total]
    parts += [excess(then.of(claim.alert.series), claim.alert, start, end) for claim in (one, other)]
    return max(Decimal(0), min(parts))
