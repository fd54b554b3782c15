"""The constants of `drift-record`, one frozen set for every series, and why each is what it is.

Changing one changes what is found: run `python -m replay.nab` before and after, with `--jitter` too, for a gain that
neighbouring values do not share is luck.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from zlib import crc32

RESERVE = 1.1  # eight signals alert more often together than each alone; the one number fitted to the total


@dataclass(frozen=True, slots=True)
class RestraintParameters:
    """When to hold back. Lengths of time are in periods, which grow with the series (see `growth`).

    Most of the back-off is on the signal, not on the whole. With 0.15 for both and no reserve the benchmark says 77.9
    instead of 76.6, but 72.0 instead of 72.4 among neighbouring constants, which is nearer to what a new series gets.
    """

    norm: float = 5.0  # how surprises add up: 1 is their sum, infinity the largest; at 5 two that are just short alert
    growth: float = 0.25  # a period's length, as a part of the series' age: a long history can wait longer ...
    shortest: float = 150.0  # ... but never less than this many points, or a young series would alert on each step
    longest: float = 750.0  # ... and not more, or an old one would sleep through the next incident
    quiet: float = 0.15  # periods after an alert in which the same incident does not alert again
    back_off: float = 0.05  # what each recent alert adds to the threshold of 1: a noisy series must surprise more
    memory: float = 8.0  # periods over which a recent alert fades from the threshold
    signal_back_off: float = 0.3  # the same for the signal that raised the alert: a budget of alerts for each
    signal_memory: float = 20.0  # periods over which that fades: a signal that fits a series badly does so for long


@dataclass(frozen=True, slots=True)
class Parameters:
    """The one frozen set. Windows and lengths are in points, rates are the newest value's weight (0..1).

    A surprise's scale is how far that signal alone goes about once per 2,100-2,500 unlabelled points, rounded, times
    the reserve: so all signals have the same budget of alerts, and none is weighted by labels.
    """

    warm_up: int = 100  # points before anything is judged; also sets the unit of the squashed view
    hour_rate: float = 0.1  # an hour of day is remembered for some ten days
    anytime_rate: float = 0.01  # the mean that stands in for an hour not yet seen
    level_rate: float = 0.005  # the level that ignores the time of day, some 200 points long
    long_run_rate: float = 0.0005  # what a recent mean is compared with: some 2,000 points
    long_run_needed: int = 50  # means before that comparison says anything
    relax: float = 1e-5  # range of the records: an old peak is half forgotten after some 70,000 points
    band_rate: float = 0.01  # spread of the residual that draws the expected band; decides nothing
    band_width: float = 3.0  # half the expected band, in standard deviations

    window: int = 60  # recent mean: long enough to average noise out, short enough to be early
    burst_window: int = 15  # the same of squared residuals, where one large value is to show at once

    squashed_scale: float = 2.4 * RESERVE  # drift of |residual| seen through asinh: heavy tails count less
    burst_scale: float = 5.2 * RESERVE  # drift of squared residual: heavy tails count more
    level_scale: float = 2.85 * RESERVE  # drift of the residual against the level, up or down
    residual_scale: float = 2.8 * RESERVE  # drift of |residual| against the time of day
    change_scale: float = 2.75 * RESERVE  # drift of |step from the point before|: gone restless
    level_record_scale: float = 0.043 * RESERVE  # records, in widths of the range seen: against the level,
    residual_record_scale: float = 0.05 * RESERVE  # against the time of day,
    value_record_scale: float = 0.03 * RESERVE  # and of the value itself

    restraint: RestraintParameters = field(default_factory=RestraintParameters)


PARAMETERS = Parameters()


@lru_cache
def fingerprint(parameters: Parameters) -> str:
    """The same for equal parameters: a snapshot made with others does not fit."""
    return f"{crc32(repr(sorted(asdict(parameters).items())).encode()):08x}"
