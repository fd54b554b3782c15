"""A finding in one sentence, for someone who was asleep a minute ago."""

from __future__ import annotations

from decimal import Decimal

from schemas.watch import Decomposition, Driver, FindingKind
from streams.core.detect.decompose import NAMES
from streams.core.sums import SeriesKey, utc

PARTS = {
    "volume": "more requests",
    "tokens_per_request": "more tokens per request",
    "unit_price": "dearer tokens",
    "mix": "dearer models",
}
USAGE = {"gpu_usage": "more GPU time", "line_item": "more usage"}


def name_of(series: SeriesKey) -> str:
    """`team search, model gpt-4o`; everything, for the series of everything."""
    return ", ".join(f"{name} {value}" for name, value in series) or "all spend"


def dollars(amount: Decimal | float) -> str:
    """Dollars as read by people: cents up to a thousand, then none; more digits below a cent."""
    value = float(amount)
    if abs(value) >= 1000:
        return f"{value:,.0f} USD"
    return f"{value:,.2f} USD" if abs(value) >= 0.01 or not value else f"{value:.6f} USD"


def explain(
    kind: FindingKind,
    meter: str,
    series: SeriesKey,
    opened_at: int,
    observed: float,
    expected: float,
    excess: Decimal,
    drivers: list[Driver],
    decomposition: Decomposition | None,
) -> str:
    """One sentence. Rates are in USD per hour."""
    since = f"since {utc(opened_at):%Y-%m-%d %H:%M} UTC"
    name = name_of(series)
    if kind is FindingKind.DROP:
        return f"{name} has reported no spend {since}, {dollars(expected)} an hour is usual: the meter may be broken."
    if kind is FindingKind.IDLE:
        wasted = f"{dollars(excess)} wasted, {dollars(observed - expected)} an hour"
        return f"{name} pays for GPUs that do nothing {since}: {wasted}."
    if kind is FindingKind.UNPRICED:
        return (
            f"{name} has usage without a known price {since}: about {dollars(excess)} is at risk of not being counted."
        )
    if kind is FindingKind.UNALLOCATED:
        loose = f"{dollars(observed)} an hour without an owner {since}, {dollars(expected)} is usual"
        return f"{name} spends {loose}: tags are missing."
    if kind is FindingKind.NEW_SERIES:
        return f"{name} was never seen before and has spent {dollars(excess)} {since}, {dollars(observed)} an hour."
    verb = "has been creeping up to" if kind is FindingKind.CREEP else "spends"
    times = f", {observed / expected:.1f} times the usual {dollars(expected)}" if expected > 0 else ""
    why = _why(decomposition, excess, meter)
    who = _who(drivers, series)
    return f"{name} {verb} {dollars(observed)} an hour {since}{times}{why}{who}."


def _why(decomposition: Decomposition | None, excess: Decimal, meter: str) -> str:
    if decomposition is None or not excess:
        return ""
    shares = {part: float(getattr(decomposition, part) / excess) for part in NAMES}
    part = max(NAMES, key=lambda candidate: shares[candidate])
    words = USAGE.get(meter, PARTS[part]) if part == "volume" else PARTS[part]
    return f": {min(1.0, shares[part]):.0%} of the excess is {words}"


def _who(drivers: list[Driver], series: SeriesKey) -> str:
    if not drivers:
        return ""
    named = dict(series)
    rest = {name: value for name, value in drivers[0].series.items() if name not in named and name != "service"}
    if not rest:
        return ""
    shown = ", ".join(f"{name} {rest[name]}" for name in list(rest)[-3:])
    return f"; {drivers[0].share:.0%} of it from {shown}"
