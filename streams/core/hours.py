"""Hours of the week, in a time zone: when a route holds, and when it is quiet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` to before `end` on the days named, by the clock of `zone`. An end before its start is next day's."""

    start: time
    end: time
    days: frozenset[str]
    zone: tzinfo

    def covers(self, moment: datetime) -> bool:
        """Whether an aware moment lies within. A night belongs to the day that it began on."""
        local = moment.astimezone(self.zone)
        day, clock = DAYS[local.weekday()], local.time()
        if self.start < self.end:
            return day in self.days and self.start <= clock < self.end
        yesterday = DAYS[(local - DAY).weekday()]
        return (day in self.days and clock >= self.start) or (yesterday in self.days and clock < self.end)
