"""A card per incident: what was expected, what came, what it was, what it cost, and what an early word would save.

Saved is the excess between our alert and the moment at which a daily bill would have shown it: the end of the day in
which the incident began, and `BILL_DELAY` for the bill to arrive. People take as long to react in both cases, so that
time cancels out. An incident lasts for as long as its spend stands above the middle between expected and observed: an
alert that was slow to see it dates it later, and one that takes the level for the new normal ends it sooner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import accumulate

from replay.report.ledger import DAY, HOUR, Ledger, epoch, step_for
from schemas.records import Meter
from schemas.watch import Alert, Driver, Finding, FindingKind, Severity
from streams.core.alert.words import who
from streams.core.windows.sums import utc

BILL_DELAY = 24 * HOUR  # after the day's end; providers finish a day's lines within a day of it
CALM = 3  # windows, and an hour at least
RISING = frozenset({FindingKind.SPIKE, FindingKind.CREEP, FindingKind.NEW_SERIES})
LONGEST_BEFORE = 7 * DAY  # what an alert may be late by, and still be dated back
POINTS = 120  # of a card's plot
CHANGES = 5
FINER: dict[Meter, tuple[str, ...]] = {
    "token_call": ("principal", "model", "feature", "operation"),
    "gpu_usage": ("cluster", "accelerator", "workload", "region"),
    "line_item": ("sku", "operation", "resource", "region"),
}
"""What tells parts of an incident apart beyond its series: on a bill, the line."""


@dataclass(frozen=True, slots=True)
class Change:
    """A part that rose most, against as long a time directly before. Money in USD."""

    name: Mapping[str, str]
    before: Decimal
    during: Decimal
    first_seen: datetime  # in the whole run


@dataclass(frozen=True, slots=True)
class Plot:
    """Spend of the series by `step` seconds, from before the incident to after it. USD."""

    start: int  # epoch seconds UTC
    step: int
    values: tuple[float, ...]
    expected: float  # per step


@dataclass(frozen=True, slots=True)
class Saving:
    """What the delays come to: `ours` and `bills` in seconds from the incident's start; USD."""

    ours: float
    bills: float
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Incident:
    """An alert with what the charges tell of it. `cost` is of `began` to `ended`; None: the charges can't tell."""

    alert: Alert
    who: str
    began: datetime  # when its spend rose, by the charges: a slow alert dates it later
    ended: datetime
    is_over: bool  # False: it went on at the end of the history
    cost: Decimal | None
    saving: Saving | None
    changes: tuple[Change, ...]
    plot: Plot | None


def incident(alert: Alert, core: Finding | None, ledger: Ledger | None) -> Incident:
    """The card of one alert. `core` is the finding that explains it; `ledger` is of its meter, in USD."""
    name = who(alert.series, alert.meter)
    own = ledger.of(alert.series) if ledger is not None else None
    closed = core.closed_at if core is not None else alert.resolved_at
    told = closed or alert.updated_at
    if ledger is None or own is None or not own.rows.num_rows:
        return Incident(alert, name, alert.opened_at, told, closed is not None, None, None, (), None)
    if alert.kind not in RISING:
        plot = _plot(ledger, own, alert, epoch(alert.opened_at), epoch(told), HOUR)
        return Incident(alert, name, alert.opened_at, told, closed is not None, None, None, (), plot)
    cadence = core.cadence_seconds if core is not None else HOUR
    start, (end, is_over) = _began(own, alert, cadence), _end(ledger, own, alert, cadence)
    return Incident(
        alert,
        name,
        utc(start),
        utc(end),
        is_over,
        excess(own, alert, start, end),
        _saving(own, alert, start, end),
        _changes(own, alert, start, end),
        _plot(ledger, own, alert, start, end, cadence),
    )


def _began(own: Ledger, alert: Alert, cadence: int) -> int:
    """The start of the windows above the middle between expected and observed that lead up to the alert's own start."""
    start, step = epoch(alert.opened_at), max(cadence, 60)
    earliest = start // step * step
    spent = own.between(start - LONGEST_BEFORE, start).by_time(step)
    while spent.get(earliest - step, Decimal(0)) > _middle(alert, step):
        earliest -= step
    return min(start, earliest)


def _middle(alert: Alert, seconds: int) -> Decimal:
    """Of so many seconds, in USD."""
    return (alert.expected_usd_per_hour + alert.observed_usd_per_hour) / 2 * seconds / HOUR


def _end(ledger: Ledger, own: Ledger, alert: Alert, cadence: int) -> tuple[int, bool]:
    """When the spend came back for good, or the history ended: the first window below the middle between expected and
    observed after which CALM windows, an hour at least, stay below it on the whole."""
    step = max(cadence, 60)
    calm = max(CALM, HOUR // step)
    history = _over(ledger, cadence)
    start = epoch(alert.opened_at) // step * step
    middle = float(_middle(alert, step))
    spent = own.between(start, history).by_time(step)
    values = [float(spent.get(at, 0)) for at in range(start, history - step + 1, step)]
    sums = list(accumulate(values, initial=0.0))
    for number in range(1, len(values) - calm + 1):
        if values[number] < middle and sums[number + calm] - sums[number] < middle * calm:
            return start + number * step, True
    return history, False


def _over(ledger: Ledger, cadence: int) -> int:
    """The end of the history: a line of a bill is told by when its period began, a call by when it was over."""
    return ledger.span()[1] + (cadence if ledger.meter == "line_item" else 1)


def excess(own: Ledger, alert: Alert, start: float, end: float) -> Decimal:
    """Actual less expected in [start, end), in USD."""
    hours = Decimal(max(0.0, end - start)) / HOUR
    return own.between(start, end).total - alert.expected_usd_per_hour * hours


def _saving(own: Ledger, alert: Alert, began: int, end: int) -> Saving:
    ours = epoch(alert.detected_at)
    bills = (began // DAY + 1) * DAY + BILL_DELAY
    saved = excess(own, alert, min(ours, end), min(bills, end)) if ours < bills else Decimal(0)
    return Saving(ours - began, bills - began, max(Decimal(0), saved))


def _changes(own: Ledger, alert: Alert, start: int, end: int) -> tuple[Change, ...]:
    names = [name for name in FINER[alert.meter] if name not in alert.series]
    every = own.by(names)
    during, before = own.between(start, end).by(names), own.between(2 * start - end, start).by(names)
    rises = [(usd - before.get(key, (Decimal(0), 0))[0], key) for key, (usd, _) in during.items()]
    risen = sorted((pair for pair in rises if pair[0] > 0 and any(pair[1])), key=lambda pair: (-pair[0], pair[1]))
    return tuple(
        Change(
            {name: value for name, value in zip(names, key, strict=True) if value},
            before.get(key, (Decimal(0), 0))[0],
            during[key][0],
            utc(every[key][1]),
        )
        for _, key in risen[:CHANGES]
    )


def _plot(ledger: Ledger, own: Ledger, alert: Alert, start: int, end: int, cadence: int) -> Plot:
    """As much before and after as half the incident, where the history has it."""
    around = max(end - start, 12 * cadence)
    step = step_for(around * 2, POINTS, max(60, cadence))
    begun, over = ledger.span()[0], _over(ledger, cadence)
    first = max(start - around // 2, begun) // step * step
    last = min(end + around // 2, over)
    count = max(1, -(-(last - first) // step))
    spent = own.between(first, first + count * step).by_time(step)
    values = tuple(float(spent.get(first + number * step, 0)) for number in range(count))
    return Plot(first, step, values, float(alert.expected_usd_per_hour) * step / HOUR)


def told_drivers(drivers: Sequence[Driver], meter: Meter) -> list[tuple[str, Decimal, float]]:
    """Name, excess in USD and share of each driver."""
    return [(who(driver.series, meter), driver.excess_usd, driver.share) for driver in drivers]


def loudest(incidents: Sequence[Incident]) -> list[Incident]:
    """In the order in which a manager wants them: critical first, then by what they cost."""
    loudness = list(Severity)
    return sorted(
        incidents,
        key=lambda one: (
            -loudness.index(one.alert.severity), -abs(one.cost if one.cost is not None else one.alert.excess_usd),
            one.alert.opened_at, one.alert.alert_id,
        ),
    )  # fmt: skip
