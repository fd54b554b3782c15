"""An alert as its page shows it: the series with its band, why, what happened, what may be done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import itemgetter

from schemas.oncall import OPEN_STATES, AlertState
from streams.api.reading import AlertReader
from streams.console.queries import Queries, Row, ask

STEPS = (10, 30, 60, 300, 900, 3_600, 6 * 3_600, 86_400)
MOST_POINTS = 180
BEFORE_SHARE = 0.6  # of the chart, at least, shows how it was before
LEAST_BEFORE = timedelta(minutes=20)
DAYS = 7
LANDING = timedelta(seconds=3)
LEAST_TO_COMPARE = 8  # points without which there is no band


@dataclass(frozen=True, slots=True)
class Point:
    """USD an hour in one step. `band`: low and high of what is usual; None where it is not known."""

    at: datetime
    usd: float
    band: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What happened, for the timeline."""

    at: datetime
    what: str
    who: str
    via: str
    note: str
    state: str
    subject: str = ""  # of a remedy: its action and target


@dataclass(frozen=True, slots=True)
class Incident:
    """All of an alert's page. `alert` is a row of `alerts_now`, with `allowed`: what may be asked for."""

    alert: Row
    points: Sequence[Point]
    step: int
    expected: float
    timeline: Sequence[Step]
    findings: Sequence[Row]
    remedies: Sequence[Row]

    @property
    def is_open(self) -> bool:
        return AlertState(self.alert["state"]) in OPEN_STATES

    @property
    def decomposition(self) -> Mapping[str, Decimal]:
        """The parts of the excess that are known, by name; they sum to it."""
        parts = ("volume", "tokens_per_request", "unit_price", "mix")
        found = {part: self.alert[f"decomposition_{part}"] for part in parts}
        return {part: usd for part, usd in found.items() if usd is not None}


def read_incident(store: Queries, alert_id: str, now: datetime) -> Incident | None:
    """One alert; None when there is none of this id, or not yet. Raises StoreError."""
    reader = AlertReader(store)
    alert = reader.alert(alert_id)
    if alert is None:
        return None
    findings = reader.findings(alert["findings"])
    cadence = next((row["cadence_seconds"] for row in findings if row["finding_id"] == alert["finding_id"]), 60)
    begin, end, step = extent(alert["opened_at"], alert["resolved_at"] or now, cadence)
    end = max(
        min(end, _floor(now - LANDING, step)), begin + timedelta(seconds=step)
    )  # a step under way would look like a fall
    points = _points(store, alert, begin, end, step)
    return Incident(
        alert=alert, points=points, step=step, expected=float(alert["expected_usd_per_hour"]),
        timeline=_timeline(reader.changes(alert_id), ask(store, "remedy_history", id=alert_id)), findings=findings,
        # Each keeps its place: a button that moves under a finger as another remedy goes on does the wrong thing.
        remedies=sorted(reader.remedies(alert_id), key=itemgetter("policy", "remedy_id")),
    )  # fmt: skip


def extent(opened: datetime, until: datetime, cadence: int) -> tuple[datetime, datetime, int]:
    """From when to when the chart goes, and its step in seconds: never finer than the series comes."""
    lasted = max(until - opened, timedelta(seconds=cadence))
    before = max(LEAST_BEFORE, lasted * BEFORE_SHARE / (1 - BEFORE_SHARE) * 0.5, timedelta(seconds=20 * cadence))
    after = min(lasted * 0.1, timedelta(minutes=10))
    total = (before + lasted + after).total_seconds()
    step = next((s for s in STEPS if s >= cadence and total / s <= MOST_POINTS), max(STEPS[-1], cadence))
    return _floor(opened - before, step), _floor(until + after, step) + timedelta(seconds=step), step


def _points(store: Queries, alert: Row, begin: datetime, end: datetime, step: int) -> list[Point]:
    series, meter, kind = json.dumps(dict(alert["series"])), str(alert["meter"]), str(alert["kind"])

    def read(start: datetime, stop: datetime) -> dict[datetime, float]:
        rows = ask(store, "series", series=series, meter=meter, kind=kind, begin=start, end=stop, step=step)
        return {row["at"]: float(row["usd"] or 0) * 3600 / step for row in rows}

    found = read(begin, end)
    whole_days = [timedelta(days=day) for day in range(1, DAYS + 1)]
    earlier = [] if step >= 86_400 else [read(begin - day, end - day) for day in whole_days]
    band = usual_band(found, [day for day in earlier if day], alert["opened_at"], begin, step)
    stop = min(end, max(found, default=begin) + timedelta(seconds=step))
    points, at = [], begin
    while at < stop:
        points.append(Point(at, found.get(at, 0.0), band))
        at += timedelta(seconds=step)
    return points


def usual_band(
    found: Mapping[datetime, float], earlier: Sequence[Mapping[datetime, float]], opened: datetime, begin: datetime,
    step: int,
) -> tuple[float, float] | None:  # fmt: skip
    """The 5th to 95th percentile of the steps before it began, and of the same hours of the days before."""
    steps = int((opened - begin).total_seconds() // step)
    known = [begin + timedelta(seconds=step * number) for number in range(steps)]
    first = min(found, default=opened)
    values = [found.get(at, 0.0) for at in known if at >= first]
    values += [usd for day in earlier for usd in day.values()]
    if len(values) < LEAST_TO_COMPARE:
        return None
    values.sort()
    return values[round(0.05 * (len(values) - 1))], values[round(0.95 * (len(values) - 1))]


def _timeline(changes: Sequence[Row], remedies: Sequence[Row]) -> list[Step]:
    steps = [
        Step(row["at"], str(row["what"]), row["who"], str(row["via"]), _note(row), str(row["state"])) for row in changes
    ]
    steps += [
        Step(row["at"], f"remedy_{row['state']}", row["who"], str(row["via"]), row["note"], str(row["state"]),
             subject=f"{str(row['action']).replace('_', ' ')} {row['target']}".strip())
        for row in remedies
    ]  # fmt: skip
    return sorted(steps, key=lambda step: step.at, reverse=True)


def _note(row: Row) -> str:
    return "" if row["what"] in {"opened", "updated"} else row["note"]


def _floor(at: datetime, step: int) -> datetime:
    seconds = int(at.timestamp())
    return at.fromtimestamp(seconds - seconds % step, at.tzinfo)
