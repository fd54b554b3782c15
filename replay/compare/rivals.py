"""Who else may say that a bucket is unusual: River's ready-made detectors and the rules that most alerting is made of.

Each gives a number per bucket, larger where it is more unusual, NaN where it knows too little; a threshold makes
findings of it. `usual` is the threshold that it comes with or is usually given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from replay.compare.traces import Numbers
from streams.core.detect.detectors.half_space_trees import HalfSpaceTrees
from streams.core.detect.detectors.ready_made import AbsoluteDeviation, Gaussian, ReadyMade
from streams.core.detect.detectors.rules import StaticThreshold
from streams.core.detect.rules import DAY, HOUR

WEEK_DAYS = 7
LEARNT_DAYS = 4  # the benchmarks' warm-up: what somebody may look at before setting a limit

Scores = Callable[[Numbers, int, int, int], Numbers]
"""(USD per bucket, bucket of the first spend, epoch seconds of bucket 0, seconds of a bucket) -> a number per bucket"""


@dataclass(frozen=True, slots=True)
class Rival:
    """One way to tell the unusual. `thresholds` rise; `usual` is one of them."""

    name: str
    title: str
    scores: Scores
    thresholds: tuple[float, ...]
    usual: float


def _of_river(make: Callable[[], ReadyMade]) -> Scores:
    def scores(values: Numbers, born: int, start: int, pace: int) -> Numbers:
        detector = make()
        out = np.full(len(values), np.nan)
        for bucket in range(born, len(values)):
            verdict = detector.update(start + bucket * pace, float(values[bucket]))
            if detector.seen > detector.warm_up:
                out[bucket] = verdict.score * detector.threshold
        return out

    return scores


def _dollars_per_hour(values: Numbers, born: int, start: int, pace: int) -> Numbers:
    detector = StaticThreshold(limit=1.0)  # its score is then the spend itself
    out = np.full(len(values), np.nan)
    for bucket in range(born, len(values)):
        out[bucket] = detector.update(start + bucket * pace, float(values[bucket]) * HOUR / pace).score
    return out


def _times_highest(values: Numbers, born: int, start: int, pace: int) -> Numbers:  # noqa: ARG001
    """A limit per series, set once by the highest bucket of its first days."""
    learnt = born + LEARNT_DAYS * DAY // pace
    out = np.full(len(values), np.nan)
    out[learnt:] = values[learnt:] / max(float(values[born:learnt].max(initial=0.0)), 1e-12)
    return out


def _day_over_week(values: Numbers, born: int, start: int, pace: int) -> Numbers:  # noqa: ARG001
    """The newest 24 hours over the mean of the days before them, as many as there are, up to seven."""
    day = DAY // pace
    return _over(values, born, newest=day, before=WEEK_DAYS * day, least=day)


def _bucket_over_hour(values: Numbers, born: int, start: int, pace: int) -> Numbers:  # noqa: ARG001
    """A bucket over the mean of the hour before it; of a bill by the hour, over that of the day before it."""
    before = HOUR // pace if pace < HOUR else DAY // pace
    return _over(values, born, newest=1, before=before, least=before)


def _over(values: Numbers, born: int, *, newest: int, before: int, least: int) -> Numbers:
    """Sum of the `newest` buckets over the mean of equal stretches in the (at least `least`) buckets `before` them."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values)) + 1
    split = at - newest
    first = np.maximum(born, split - before)
    out = np.full(len(values), np.nan)
    known = split - first >= least
    usual = (sums[split[known]] - sums[first[known]]) / (split - first)[known] * newest
    out[known] = (sums[at[known]] - sums[split[known]]) / np.maximum(usual, 1e-12)
    return out


NINES = tuple(1.0 - 10.0**-n for n in range(2, 16))

RIVALS: tuple[Rival, ...] = (
    Rival("river-gaussian", "River GaussianScorer", _of_river(Gaussian), NINES, NINES[2]),
    Rival(
        "river-absolute-deviation", "River StandardAbsoluteDeviation", _of_river(AbsoluteDeviation),
        (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 40.0), 4.0,
    ),
    Rival(
        "river-half-space-trees", "River HalfSpaceTrees", _of_river(HalfSpaceTrees),
        (0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99), 0.9,
    ),
    Rival(
        "static", "one static limit, USD per hour", _dollars_per_hour,
        (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0), 50.0,
    ),
    Rival(
        "static-per-series", "a static limit per series, x the highest of 4 days", _times_highest,
        (0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0), 1.2,
    ),
    Rival(
        "day-over-week", "today > x times the 7-day mean", _day_over_week, (1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0), 3.0,
    ),
    Rival(
        "bucket-over-hour", "minute > x times the hour's mean", _bucket_over_hour,
        (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 25.0, 50.0), 3.0,
    ),
)  # fmt: skip
