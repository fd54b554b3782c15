"""What counts as unusual: the physical numbers of detection, validated by `streams.settings`."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from schemas.records import Meter
from streams.core.hours import Hours
from streams.core.severity import SeverityRules
from streams.core.windows.sums import SeriesKey, utc

HOUR, DAY = 3600, 86_400
LOOK_EVERY = 900  # seconds: no stretch is shorter within a window of a day


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A stretch of event time (epoch seconds) in which series that carry `series` open no finding and learn nothing."""

    start: int
    end: int
    series: SeriesKey = ()

    def covers(self, series: SeriesKey, start: int, end: int) -> bool:
        """Whether a window of this series lies in it, at least in part."""
        return start < self.end and end > self.start and set(self.series) <= set(series)


@dataclass(frozen=True, slots=True)
class WeeklyMaintenance:
    """The same, every week."""

    hours: Hours
    series: SeriesKey = ()

    def covers(self, series: SeriesKey, start: int, end: int) -> bool:
        """Whether a window of this series lies in it, at least in part."""
        return set(self.series) <= set(series) and _overlaps(self.hours, start, end)


@lru_cache(maxsize=1024)
def _overlaps(hours: Hours, start: int, end: int) -> bool:
    """Whether a window reaches into the hours. Remembered: every series asks the same."""
    moments = (*range(start, end, LOOK_EVERY), end - 1)
    return any(hours.covers(utc(moment)) for moment in moments)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a series may use up in a calendar month (UTC), in USD or in tokens. `series` must be one that is watched."""

    series: SeriesKey
    amount: Decimal
    unit: Literal["usd", "tokens"] = "usd"
    thresholds: tuple[float, ...] = (0.8, 1.0)  # shares of it that are told, rising
    meters: frozenset[Meter] = frozenset({"token_call", "gpu_usage"})  # a bill may hold the same dollars again


@dataclass(frozen=True, slots=True)
class WatchRules:
    """Rules of one `Watch`. Times are in seconds of event time, money in USD."""

    warmup_windows: int = 30
    expire_seconds: float = 7 * DAY
    max_series: int = 100_000
    min_excess_usd: float = 5.0  # what an incident must cost, or be about to cost within the hour, to matter
    severity: SeverityRules = field(default_factory=SeverityRules)
    new_series_usd: float = 5.0  # a key, model or service never seen before is told when it has spent so much
    new_after_seconds: float = DAY  # a deployment younger than this knows too little to call a series new
    adopt_seconds: float = DAY  # an unusual level that has lasted so long is the new normal
    payers: frozenset[str] = frozenset({"principal", "cluster", "service"})
    """Dimensions that have series of their own: what one payer does there is told there and nowhere else."""
    cadence: tuple[tuple[SeriesKey, int], ...] = ()  # seconds, for series that carry these dimensions; else learnt
    sensitivity: tuple[tuple[SeriesKey, float], ...] = ()  # above 1: sooner, below 1: later
    maintenance: tuple[Maintenance | WeeklyMaintenance, ...] = ()
    budgets: tuple[Budget, ...] = ()

    def sensitivity_of(self, series: SeriesKey) -> float:
        """How touchy this series is to be: the narrowest rule that fits it counts."""
        return _narrowest(self.sensitivity, series, 1.0)

    def cadence_of(self, series: SeriesKey) -> int:
        """The set pace in seconds, or 0 where it is to be learnt."""
        return int(_narrowest(self.cadence, series, 0))

    def in_maintenance(self, series: SeriesKey, start: int, end: int) -> bool:
        """Whether the window is in a maintenance stretch of this series."""
        return bool(self.maintenance) and any(stretch.covers(series, start, end) for stretch in self.maintenance)


def _narrowest(rules: tuple[tuple[SeriesKey, float], ...], series: SeriesKey, default: float) -> float:
    if not rules:  # it is asked for in every window
        return default
    fitting = [(len(key), value) for key, value in rules if set(key) <= set(series)]
    return max(fitting)[1] if fitting else default
