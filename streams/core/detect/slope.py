"""Whether hours came to their height along a slope, as what creeps does, or by a step."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import median

END = 3  # hours whose mean is the height that a slope has come to
BEFORE = 3  # hours that say where it began; nor is a level of a step shorter
STEEPEST = log(2.0) / 3.0  # log-ratio an hour: what doubles within three is no creep
STRAIGHT = 1.4  # times the error of the best step that a slope may have


def is_slope(logs: Sequence[float]) -> bool:
    """`logs` are of the newest hours, in order: log(spent / usual). A slope begins at the usual, so that neither what
    stood high for long nor what comes back from a low is one. Taken alone, without the many hours before that it has
    nothing to say of, it must be a slope as well.

    Errors are sums of distances, not of squares: one silent hour must not decide.
    """
    start, slope = _best_slope(logs)
    first = max(0, start - BEFORE)
    return slope <= STEEPEST and all(
        _slope_error(hours, begin, slope) <= STRAIGHT * _step_error(hours)
        for hours, begin in ((logs, start), (logs[first:], start - first))
    )


def _best_slope(logs: Sequence[float]) -> tuple[int, float]:
    """Of all that stay at the usual until some hour and then rise evenly to the present height, the one nearest to
    the hours: where it begins, and the log-ratio an hour."""
    size, height = len(logs), sum(logs[-END:]) / END
    slopes = ((start, height / (size - start - END / 2)) for start in range(size - END))
    return min(slopes, key=lambda slope: _slope_error(logs, *slope))


def _slope_error(logs: Sequence[float], start: int, slope: float) -> float:
    return sum(abs(hour - slope * max(0.0, at - start + 0.5)) for at, hour in enumerate(logs))


def _step_error(logs: Sequence[float]) -> float:
    """Of the best pair of levels, one after the other."""
    return min(_error(logs[:at]) + _error(logs[at:]) for at in range(BEFORE, len(logs) - BEFORE + 1))


def _error(logs: Sequence[float]) -> float:
    level = median(logs)
    return sum(abs(hour - level) for hour in logs)
