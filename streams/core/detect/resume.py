"""From a history that was only learnt to what is live: nothing found in it is told, and a gap between is no silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.core.detect.profile import HOURS, WeekProfile
from streams.core.detect.rules import DAY, HOUR
from streams.core.detect.suspicion import Suspicion

if TYPE_CHECKING:
    from streams.core.detect.series import Series

BRIEF = 15 * 60  # seconds: so short a gap is taken for silence, as a restart's is
DAY_HOURS = 24


def settle(series: Series) -> None:
    """The history is over. What was found in it is forgotten: nobody was told, and nobody shall be told of its end.

    Where it still goes on, the live windows will say so by themselves.
    """
    if series.cases or series.suspicion.stretch is not None:
        for gauge in series.gauges.each():
            gauge.nums, gauge.dens, gauge.skip = [], [], 0  # or the last of it would be judged again with what is live
    series.cases.clear()
    series.pending = []
    series.suspicion = Suspicion()
    series.silence.run = 0


def bridge(series: Series, start: int) -> None:
    """Go on at `start` (epoch seconds) as if the usual had gone on since the history: what came between isn't known."""
    if start - series.end <= BRIEF:
        return
    series.end = series.active_at = start
    series.silence.run = 0
    series.creep.reset()  # its hours must follow each other
    hours = series.hours
    hours.hour, hours.usd, hours.volume = -1, 0.0, 0.0  # a part of an hour says nothing of the hour
    if series.days is not None:
        series.days.bridge(start // DAY - 1)
    if hours.week is not None and not _fill(hours.week, start // HOUR - 1):
        hours.week = None


def _fill(week: WeekProfile, last: int) -> bool:
    """Put the usual into the hours up to `last`: last week's same hour, or yesterday's; False when less is known."""
    if week.seen < DAY_HOURS:
        return False
    for hour in range(max(week.hour + 1, last - HOURS + 1), last + 1):
        if week.seen < HOURS:  # else the ring still holds the same hour of last week
            for ring in (week.hours, week.volumes):
                ring[hour % HOURS] = ring[(hour - DAY_HOURS) % HOURS]
        week.seen += 1
    week.hour = max(week.hour, last)
    return True
