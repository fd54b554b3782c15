"""The hour under way, and the week of hours behind it."""

from __future__ import annotations

from math import sqrt
from typing import Any

from streams.core.detect.profile import WeekProfile
from streams.core.detect.rules import HOUR


class Hours:
    """Sums a series up by the hour and keeps its week. The week is made when the first hour is full."""

    __slots__ = ("hour", "usd", "volume", "week")

    def __init__(self) -> None:
        self.hour = -1  # since the epoch
        self.usd = 0.0
        self.volume = 0.0
        self.week: WeekProfile | None = None

    def mid(self, seconds: float) -> float:
        """What is expected of so many seconds at this hour, in USD; 0 while no day was seen."""
        return self.week.mid * seconds / HOUR if self.week is not None else 0.0

    def turn(self, hour: int) -> None:
        """Time has come to this hour."""
        if hour == self.hour:
            return
        if self.hour >= 0:
            self.week = self.week or WeekProfile()
            self.week.put(self.hour, self.usd, self.volume)
            self.week.look(hour)
        self.hour, self.usd, self.volume = hour, 0.0, 0.0

    def add(self, usd: float, volume: float) -> None:
        """An ordinary window."""
        self.usd += usd
        self.volume += volume

    def add_unusual(self, usd: float, expected: float, size: float) -> None:
        """A habit is learnt at half its height each time, so that the second morning like it is less of a surprise.
        `size` is the usual cost of a request."""
        between = sqrt(max(0.0, usd * expected))
        self.usd += between
        if size > 0:
            self.volume += between / size

    def temper(self, usual: float) -> float:
        """The hour turned out unusual: learn half its height. Returns what was spent in it."""
        spent = self.usd
        self.usd = sqrt(max(0.0, spent * usual))
        return spent

    def to_json(self) -> list[Any]:
        return [self.hour, self.usd, self.volume, self.week.to_json() if self.week is not None else None]

    @classmethod
    def from_json(cls, state: list[Any]) -> Hours:
        hours = cls()
        hours.hour, hours.usd, hours.volume = state[:3]
        hours.week = WeekProfile.from_json(state[3]) if state[3] is not None else None
        return hours
