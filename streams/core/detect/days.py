"""What a day of a daily bill usually is, by its weekday and by its place in the month."""

from __future__ import annotations

from array import array
from calendar import monthrange
from datetime import date
from statistics import median
from typing import Any

KEPT = 100  # days: the same date of the last three months, by whatever reading
MONTHS = 3  # a charge that comes by the quarter is known the second time
WEEKS = 4
LARGEST = 1e38  # what the ring can hold
OUT = 1.5  # times what its weekday has otherwise: the date stood out
LOWEST = 0.25  # of the level: what is nearly nothing on Sundays would make a miracle of any Sunday's spend
ORDINAL = date(1970, 1, 1).toordinal()
WORKDAYS = 5


class Days:
    """Spend of each of the last hundred days (UTC), and what they say of a day to come.

    A date can be read in four ways: from the start or the end of the month, by calendar days or by working days. What
    stood out on one of them in one of the last three months may come again. Days are counted since the epoch.
    """

    __slots__ = ("day", "mid", "ring", "seen", "weight")

    def __init__(self) -> None:
        self.ring = array("f", bytes(4 * KEPT))  # USD
        self.day = -1  # the newest that is written
        self.seen = 0  # days written, silent ones included
        self.mid = 0.0  # USD that are ordinary on the day `look` was last asked for; 0 while no week was seen
        self.weight = 1.0  # how many ordinary days that one is

    def put(self, day: int, usd: float) -> None:
        """Write a day; those skipped since the last were silent."""
        if self.day >= 0:
            for silent in range(max(self.day + 1, day - KEPT), day):
                self.ring[silent % KEPT] = 0.0
                self.seen += 1
        self.ring[day % KEPT] = max(-LARGEST, min(usd, LARGEST))
        self.day = day
        self.seen += 1

    def bridge(self, last: int) -> None:
        """Put last week's same day into the days up to `last`, of which nothing is known."""
        if self.seen < 7:
            self.day, self.seen = -1, 0
            return
        for day in range(max(self.day + 1, last - KEPT + 1), last + 1):
            self.put(day, self.ring[(day - 7) % KEPT])

    def look(self, day: int, usd: float) -> None:
        """Set `mid` and `weight` for this day of so much spend, from the days before it.

        What a date had before may come again or not, in whole or in part: any of it is ordinary.
        """
        self.mid, self.weight = 0.0, 1.0
        weekday = self._weekday(day)
        level = median(self._known(range(day - 7 * WEEKS, day)) or [0.0])
        if weekday is None or level <= 0:
            return
        dates = [spent for spent in map(self._stood_out, _same_dates(day)) if spent is not None]
        least = max(weekday, LOWEST * level)
        self.mid = min(max(least, usd), max([least, *dates]))
        self.weight = self.mid / level

    def _known(self, days: range | list[int]) -> list[float]:
        oldest = self.day - min(self.seen, KEPT) + 1
        return [self.ring[day % KEPT] for day in days if oldest <= day <= self.day]

    def _weekday(self, day: int) -> float | None:
        """What this weekday usually has, by the weeks around it."""
        found = self._known([day + 7 * week for week in range(-WEEKS, WEEKS + 1) if week])
        return median(found) if found else None

    def _stood_out(self, day: int) -> float | None:
        """The spend of a day that clearly stood out of its weekday."""
        usual, found = self._weekday(day), self._known([day])
        return found[0] if found and usual is not None and found[0] > OUT * usual else None

    def to_json(self) -> list[Any]:
        return [self.day, self.seen, self.mid, self.weight, self.ring.tolist()]

    @classmethod
    def from_json(cls, state: list[Any]) -> Days:
        days = cls()
        days.day, days.seen, days.mid, days.weight = state[:4]
        days.ring = array("f", state[4])
        return days


def _same_dates(day: int) -> set[int]:
    """The days of the last months that this one's date may repeat."""
    today = date.fromordinal(ORDINAL + day)
    month = _month(today.year, today.month)
    working = [one for one in month if _works(one)]
    at = today.day - 1
    out = set()
    for back in range(1, MONTHS + 1):
        year, number = divmod(12 * today.year + today.month - 1 - back, 12)
        then = _month(year, number + 1)
        out |= _at(then, at) | _at(then, at - len(month))
        if _works(today):
            then, place = [one for one in then if _works(one)], working.index(today)
            out |= _at(then, place) | _at(then, place - len(working))
    return out


def _month(year: int, month: int) -> list[date]:
    return [date(year, month, day + 1) for day in range(monthrange(year, month)[1])]


def _works(day: date) -> bool:
    return day.weekday() < WORKDAYS


def _at(days: list[date], place: int) -> set[int]:
    """The day at a place, counted from the end where it is negative; none where the month is too short."""
    return {days[place].toordinal() - ORDINAL} if -len(days) <= place < len(days) else set()
