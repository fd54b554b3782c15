"""Silent windows that can be learnt later: of many series, most are silent in most windows.

A series dozes while nothing could be told of it. When it spends again, or when something is due, what it has slept
through is learnt as if each window had been judged in time: the same to the last bit.
"""

from __future__ import annotations

from streams.core.detect.parts import is_judged
from streams.core.detect.ratios import RatioGauge
from streams.core.detect.rules import HOUR, WatchRules
from streams.core.detect.series import Series

OFTEN = 2  # windows of which one has an event


def due(series: Series, rules: WatchRules) -> int:
    """The end (epoch seconds) of the first window that must be judged in time if the series is silent from now on; 0
    where that is the next."""
    end, seconds = series.end, series.pace.seconds
    if not series.silence.run and OFTEN * series.active > series.seen:
        return 0  # it has spent, and will do so again: to doze off costs more than to be judged once in vain
    if seconds >= HOUR or end % HOUR == 0 or rules.maintenance or not _is_at_peace(series, rules):
        return 0
    windows = series.silence.uneventful(seconds)
    if windows <= 1 or not _stays_calm(series, rules):
        return 0
    return min(end + windows * seconds, (end // HOUR + 1) * HOUR)  # at the end of an hour it may have crept


def catch_up(series: Series, upto: int) -> None:
    """Learn the silent windows that end up to `upto` (epoch seconds), all of them before the one that is `due`."""
    windows = (upto - series.end) // series.pace.seconds
    if windows > 0:
        series.idle(windows)


def _is_at_peace(series: Series, rules: WatchRules) -> bool:
    """Whether nothing is under way that goes on in silence, and no silent window changes what can be said of it."""
    return series.at_peace and (series.seen >= rules.warmup_windows or _is_hardly_known(series, rules))


def _stays_calm(series: Series, rules: WatchRules) -> bool:
    """Whether no silent window could be unusual by the windows with spend that its spans still hold."""
    level = series.gauges.level
    if not isinstance(level, RatioGauge):
        return False
    if _is_hardly_known(series, rules):
        return True
    return level.stays_calm(series.pace.seconds, series.gauges.upper, rules.sensitivity_of(series.key))


def _is_hardly_known(series: Series, rules: WatchRules) -> bool:
    """Whether it has had too few windows with an event to be judged, however many are silent."""
    return not is_judged(rules.warmup_windows, series.active, rules.warmup_windows)
