"""The hour under way, and the week of hours behind it."""

from __future__ import annotations

from math import sqrt
from typing import Any

from streams.core.detect.profile import WeekProfile
from streams.core.detect.rules import HOUR

RECENT = 3  # hours
FIELDS_V1 = 4  # of the state that release 0.1 wrote


class Hours:
    """Sums a series up by the hour and keeps its week. The week is made when the first hour is full."""

    __slots__ = ("hour", "paces", "recent", "unusual_seconds", "unusual_usd", "usd", "volume", "week")

    def __init__(self) -> None:
        self.hour = -1  # since the epoch
        self.usd = 0.0
        self.volume = 0.0
        self.unusual_usd = 0.0  # of what is learnt of this hour
        self.unusual_seconds = 0
        self.paces: list[float] = []  # of the last few hours, newest last: USD per hour of what was ordinary in them
        self.week: WeekProfile | None = None
        self.recent = 0.0
        """The most of the last few hours, in USD per hour: what was usual then is no news after a lull. 0 while no day
        was seen."""

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
            self.paces.append(self._pace())
            if hour - self.hour > 1:
                self.paces += [0.0] * min(RECENT, hour - self.hour - 1)
            del self.paces[:-RECENT]
            self._look_back()
        self.hour, self.usd, self.volume = hour, 0.0, 0.0
        self.unusual_usd, self.unusual_seconds = 0.0, 0

    def _look_back(self) -> None:
        self.recent = max(self.paces, default=0.0) if self.week is not None and self.week.ready else 0.0

    def _pace(self) -> float:
        """Of the hour that is over; 0 where less than half of it was ordinary."""
        ordinary = HOUR - self.unusual_seconds
        return max(0.0, self.usd - self.unusual_usd) * HOUR / ordinary if ordinary >= HOUR / 2 else 0.0

    def add(self, usd: float, volume: float) -> None:
        """An ordinary window."""
        self.usd += usd
        self.volume += volume

    def add_unusual(self, usd: float, expected: float, size: float, seconds: int) -> None:
        """A habit is learnt at half its height each time, so that the second morning like it is less of a surprise.
        `size` is the usual cost of a request."""
        between = sqrt(max(0.0, usd * expected))
        self.usd += between
        self.unusual_usd += between
        self.unusual_seconds += seconds
        if size > 0:
            self.volume += between / size

    def temper(self, usual: float) -> float:
        """The hour turned out unusual: learn half its height. Returns what was spent in it."""
        spent = self.usd
        self.usd = sqrt(max(0.0, spent * usual))
        return spent

    def to_json(self) -> list[Any]:
        week = self.week.to_json() if self.week is not None else None
        return [self.hour, self.usd, self.volume, week, self.unusual_usd, self.unusual_seconds, self.paces]

    @classmethod
    def from_json(cls, state: list[Any]) -> Hours:
        hours = cls()
        hours.hour, hours.usd, hours.volume = state[:3]
        hours.week = WeekProfile.from_json(state[3]) if state[3] is not None else None
        if len(state) > FIELDS_V1:
            hours.unusual_usd, hours.unusual_seconds, hours.paces = state[4], state[5], list(state[6])
            hours._look_back()
        return hours
