"""Live spend as the page shows it: now against what is usual, in all and by team, model and cluster. USD an hour.

"Now" is what was spent since the beginning of the minute before, over the seconds which that is, less the time that a
charge takes to land; of GPUs the last five whole minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from streams.console.queries import Queries, Row, ask

DIMENSIONS = ("team", "model", "cluster")
MINUTES = 60
SPARK_MINUTES = 30
MOST_ROWS = 12
LANDING_SECONDS = 3  # from an event to its row, about
TELLING_USD_PER_HOUR = 1.0  # smaller differences are no news
DAYS_TO_COMPARE = 3

Band = tuple[float, float, float]
"""Low, usual, high."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual. `by_days`: by the same time of the days before; else by the last hour alone."""

    minutes: Mapping[int, Band]  # by quarter of an hour of the day, USD a minute
    rows: Mapping[str, Mapping[str, Band]]  # by dimension and name, USD an hour
    by_days: bool


@dataclass(frozen=True, slots=True)
class SpendRow:
    """A team, model or cluster. `usual` is None while it is not known."""

    name: str
    now: Decimal
    usual: float | None
    low: float
    high: float
    spark: tuple[float, ...]
    alert_id: str = ""

    @property
    def mood(self) -> str:
        """`alert` where detection has said so; `high` or `low` where it is out of its usual range; else nothing."""
        if self.alert_id:
            return "alert"
        now = float(self.now)
        if self.usual is None or abs(now - self.usual) < max(TELLING_USD_PER_HOUR, 0.25 * self.usual):
            return ""
        return "high" if now > self.high else "low" if now < self.low else ""


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute of the chart: what was spent, USD an hour; `band` what is usual."""

    at: datetime
    usd: float | None
    band: Band | None
    is_running: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """All of the page of live spend."""

    at: datetime
    now: Decimal
    usual: float | None
    low: float
    high: float
    minutes: Sequence[Minute]
    by: Mapping[str, Sequence[SpendRow]]
    by_days: bool
    today: Decimal
    billed: Decimal
    unowned: Decimal
    at_risk: Decimal
    newest: datetime | None

    @property
    def is_empty(self) -> bool:
        return self.newest is None

    @property
    def silent_for(self) -> timedelta | None:
        """How long no usage has come; None while it comes."""
        if self.newest is None or self.at - self.newest < timedelta(minutes=3):
            return None
        return self.at - self.newest


def read_usual(store: Queries, now: datetime) -> Usual:
    """What is usual at this time: to be kept for a minute, for it reads a week."""
    quarters = ask(store, "usual_minutes", now=now)
    rows, by_days = {}, bool(quarters) and max(row["days"] for row in quarters) >= DAYS_TO_COMPARE
    for by in DIMENSIONS:
        found = ask(store, "usual_by_cluster", now=now) if by == "cluster" else ask(store, "usual_by", now=now, by=by)
        rows[by] = {row["name"]: _hourly(row["band"], row["usual"]) for row in found}
    return Usual({row["quarter"]: _band(row["band"]) for row in quarters} if by_days else {}, rows, by_days)


def read_live(store: Queries, now: datetime, usual: Usual) -> Live:
    """What is spent now. Raises StoreError."""
    minutes = _minutes(ask(store, "minutes", now=now), now, usual)
    watched = {(row["dimension"], row["name"]): row for row in ask(store, "watched", now=now)}
    by = {name: _rows(store, now, name, usual.rows[name], watched) for name in DIMENSIONS}
    whole = _whole(store, now)
    summary = ask(store, "summary", now=now)[0]
    low, middle, high = _around(minutes)
    return Live(
        at=now, now=whole, usual=middle, low=low, high=high, minutes=minutes, by=by, by_days=usual.by_days,
        today=_money(summary["today_usd"]), billed=_money(summary["billed_usd"]),
        unowned=_money(summary["unowned_usd"]), at_risk=_money(summary["at_risk_usd"]),
        newest=ask(store, "newest", now=now)[0]["newest"],
    )  # fmt: skip


def rate(row: Row, now: datetime) -> Decimal:
    """A row's USD an hour, from its sums since the beginnings of two windows."""
    into = max(0, now.second - LANDING_SECONDS)
    return _money(row["tokens_usd"]) * 3600 / (60 + into) + _money(row["gpu_usd"]) * 12


def _whole(store: Queries, now: datetime) -> Decimal:
    """Everything, as the sum of all teams: spend without an owner is a row too."""
    return sum((rate(row, now) for row in ask(store, "now_by", now=now, by="team", most=65_535)), Decimal(0))


def _rows(
    store: Queries, now: datetime, by: str, usual: Mapping[str, Band], watched: Mapping[tuple[str, str], Row]
) -> list[SpendRow]:
    if by == "cluster":
        found = ask(store, "now_by_cluster", now=now, most=MOST_ROWS)
    else:
        found = ask(store, "now_by", now=now, by=by, most=MOST_ROWS)
    rows = [_row(row, now, usual.get(row["name"]), watched.get((by, row["name"]))) for row in found]
    # Sums of tokens and GPUs are of spans of different length: only as rates do they stand in an order.
    return sorted(rows, key=lambda row: -row.now)


def _row(row: Row, now: datetime, usual: Band | None, watched: Row | None) -> SpendRow:
    by_age = row["usd_by_age"]
    spark = tuple(float(by_age.get(age, 0)) for age in range(SPARK_MINUTES, 0, -1))
    low, middle, high = usual or (0.0, None, 0.0)
    if watched is not None:
        middle = float(watched["expected_usd_per_hour"])
        low, high = min(low, middle), max(high, middle) if usual and usual[1] >= middle else middle
    return SpendRow(row["name"], rate(row, now), middle, low, high, spark, (watched or {}).get("alert_id") or "")


def _minutes(rows: Iterable[Row], now: datetime, usual: Usual) -> list[Minute]:
    found = {row["minute"]: float(row["usd"]) * 60 for row in rows}
    this = now.replace(second=0, microsecond=0)
    first = min(found, default=this)
    into = now.second - LANDING_SECONDS
    minutes = []
    for age in range(MINUTES - 1, -1, -1):
        at = this - timedelta(minutes=age)
        usd = found.get(at, 0.0) if at >= first else None  # before the first there is nothing known, not nothing spent
        if at == this:
            if into < 15:
                continue  # of so short a time a rate says little
            usd = usd * 60 / into if usd is not None else None
        minutes.append(Minute(at, usd, usual.minutes.get((at.hour * 60 + at.minute) // 15), is_running=at == this))
    known = [minute for minute in minutes if minute.usd is not None or minute.at >= this - timedelta(minutes=15)]
    return known if usual.minutes else _by_the_hour(known)


def _by_the_hour(minutes: list[Minute]) -> list[Minute]:
    """The band of the hour itself, where the days before are not known; the last five minutes are not asked."""
    known = sorted(minute.usd for minute in minutes[:-5] if minute.usd is not None)
    if len(known) < 5:
        return minutes
    band = tuple(known[round(share * (len(known) - 1))] for share in (0.05, 0.5, 0.95))
    return [Minute(m.at, m.usd, (band[0], band[1], band[2]), m.is_running) for m in minutes]


def _around(minutes: Sequence[Minute]) -> tuple[float, float | None, float]:
    band = minutes[-1].band if minutes else None
    return band or (0.0, None, 0.0)


def _band(values: Sequence[float]) -> Band:
    return values[0] * 60, values[1] * 60, values[2] * 60


def _hourly(values: Sequence[float], usual: float) -> Band:
    return values[0] * 60, usual * 60, values[2] * 60


def _money(value: Decimal | None) -> Decimal:
    return value if value is not None else Decimal(0)
