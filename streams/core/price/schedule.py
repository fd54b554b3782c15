"""Values over time: made once per interval in which no price changes, then kept."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from typing import Generic, TypeVar

from genai_prices.types import ConditionalPrice, ModelInfo, PriceVariant, StartDateConstraint, TimeOfDateConstraint

T = TypeVar("T")
_LONG_AGO = date(1970, 1, 2)


class Schedule(Generic[T]):
    """A value per interval. `make` is asked at most once per interval, for a moment in it.

    Intervals begin at `days` (UTC midnight) and, for prices that change by the hour, at `hours` of every day.
    """

    __slots__ = ("_days", "_hours", "_make", "_starts", "_values")

    def __init__(self, make: Callable[[datetime], T], days: Iterable[date], hours: Iterable[time] = ()) -> None:
        self._make = make
        self._days = [_LONG_AGO, *sorted(set(days))]
        self._starts = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in self._days[1:]]
        self._hours = sorted({time(0), *hours})
        self._values: list[list[T | None]] = [[None] * len(self._hours) for _ in self._days]

    def at(self, moment: datetime) -> T:
        """The value that holds at `moment` (aware)."""
        day, hour = self._interval(moment)
        value = self._values[day][hour]
        if value is None:
            value = self._values[day][hour] = self._make(moment)
        return value

    def between(self, first: datetime, last: datetime) -> T | None:
        """The value that holds from `first` to `last` (aware); None where it may change between them."""
        if len(self._hours) > 1 and first.astimezone(UTC).date() != last.astimezone(UTC).date():
            return None
        return self.at(first) if self._interval(first) == self._interval(last) else None

    def _interval(self, moment: datetime) -> tuple[int, int]:
        """Which of the days' intervals it is in, and which hours of them."""
        day = bisect_right(self._starts, moment)
        return day, bisect_right(self._hours, moment.astimezone(UTC).time()) - 1 if len(self._hours) > 1 else 0


def change_days(info: ModelInfo) -> set[date]:
    """Every day on which genai-prices changes a price of the model."""
    return {c.constraint.start_date for c in _rows(info) if isinstance(c.constraint, StartDateConstraint)}


def change_hours(info: ModelInfo) -> set[time]:
    """Every UTC time of day at which it does."""
    hours: set[time] = set()
    for row in _rows(info):
        if isinstance(row.constraint, TimeOfDateConstraint):
            hours |= {_utc(row.constraint.start_time), _utc(row.constraint.end_time)}
    return hours


def _rows(info: ModelInfo) -> list[ConditionalPrice | PriceVariant]:
    conditional = info.prices if isinstance(info.prices, list) else []
    return [*conditional, *(info.price_variants or ())]


def _utc(moment: time) -> time:
    if moment.tzinfo is None:
        return moment
    return datetime.combine(_LONG_AGO, moment).astimezone(UTC).time()
