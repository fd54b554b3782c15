"""A finding in one sentence, for someone who was asleep a minute ago."""

from __future__ import annotations

from decimal import Decimal

from schemas.watch import Decomposition, Driver, FindingKind
from streams.core.detect.decompose import NAMES
from streams.core.windows.state import FLOOD
from streams.core.windows.sums import SeriesKey, utc

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
    *,
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
    if kind not in {FindingKind.SPIKE, FindingKind.CREEP}:
        return _plain(kind, series, since, observed, expected, excess)
    verb = "has been creeping up to" if kind is FindingKind.CREEP else "spends"
    times = f", {observed / expected:.1f} times the usual {dollars(expected)}" if expected > 0 else ""
    why = _why(decomposition, excess, meter)
    who = _who(drivers, series)
    return f"{name} {verb} {dollars(observed)} an hour {since}{times}{why}{who}."


def _plain(kind: FindingKind, series: SeriesKey, since: str, observed: float, expected: float, excess: Decimal) -> str:
    """The kinds that need no reasons."""
    name, rate, usual = name_of(series), dollars(observed), dollars(expected)
    if kind is FindingKind.NEW_SERIES and any(value == FLOOD for _, value in series):
        names = " and ".join(name for name, _ in series)
        return f"More values of {names} than can be watched one by one {since}: the newest are watched together."
    idle = f"{dollars(excess)} wasted, {dollars(observed - expected)} an hour"
    return {
        FindingKind.DROP: f"{name} has reported no spend {since}, {usual} an hour is usual: the meter may be broken.",
        FindingKind.IDLE: f"{name} pays for GPUs that do nothing {since}: {idle}.",
        FindingKind.UNPRICED: (
            f"{name} has usage without a known price {since}: about {dollars(excess)} may not be counted."
        ),
        FindingKind.UNALLOCATED: (
            f"{name} spends {rate} an hour without an owner {since}, {usual} is usual: tags are missing."
        ),
        FindingKind.NEW_SERIES: (
            f"{name} was never seen before and has spent {dollars(excess)} {since}, {rate} an hour."
        ),
    }[kind]


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
