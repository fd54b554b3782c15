"""Judging a series' windows, each with what was known before it; then it is learnt."""

from __future__ import annotations

from schemas.watch import Finding, FindingKind
from streams.core.detect import paying, rising, silent
from streams.core.detect.bucket import Bucket
from streams.core.detect.gauges import LEVEL, Readings
from streams.core.detect.rules import HOUR
from streams.core.detect.series import Series
from streams.core.detect.suspicion import SUSPECT


def close(series: Series, empty: Bucket) -> list[Finding]:
    """The series' bucket is complete, `empty` where nothing came for it: judge it, then learn it."""
    bucket, rules = series.take(empty), empty.rules
    if rules.in_maintenance(series.key, bucket.start, bucket.end):
        return []
    series.turn(bucket)
    out = _judge(series, bucket, empty)
    if bucket.end % HOUR == 0 and bucket.seconds <= HOUR:
        out += rising.creep(series, bucket)
    return out


def _judge(series: Series, bucket: Bucket, empty: Bucket) -> list[Finding]:
    gauges, events = series.gauges, bucket.sums.events
    recent = 0.0 if events or series.silence.run else gauges.recent(series.mid(bucket.seconds))
    series.silence.watch(events, bucket.seconds, recent, told=FindingKind.DROP in series.cases)
    rules, sensitivity = bucket.rules, None
    if series.seen >= rules.warmup_windows:
        sensitivity = rules.sensitivity_of(series.key)
    readings = gauges.judge(bucket, series.hours, sensitivity, one=series.makeup.is_one)
    out: list[Finding] = []
    expected = 0.0
    if _is_calm(series, readings):
        series.suspicion.quiet += 1
    else:
        out, expected = _tell(series, bucket, readings)
    if bucket is not empty or series.cases:
        out += _tell_of_dollars(series, bucket)
    series.learn(bucket, expected)
    return out


def _is_calm(series: Series, readings: Readings) -> bool:
    """Whether a window can't be told of as dear, new or silent, by whatever is asked of it: most windows are such."""
    level, size, rate, output = readings
    return (
        series.at_peace
        and level.score <= 1.0
        and size.score <= 1.0
        and rate.score <= 1.0
        and output.score <= 1.0
        and level.now <= SUSPECT
        and size.now <= SUSPECT
        and rate.now <= SUSPECT
        and output.now <= SUSPECT
        and not (series.silence.run and series.silence.is_broken(series.pace.seconds))
        and not (series.flood and not series.seen)
    )


def _tell(series: Series, bucket: Bucket, readings: Readings) -> tuple[list[Finding], float]:
    """What the window is told of as dear, new or silent, and how many USD were expected of it."""
    gauges, warm = series.gauges, series.is_warm(bucket.rules)
    expected = gauges.expected(bucket)
    basis = gauges.unusual(readings, bucket, series.mid(bucket.seconds)) if warm else -1
    if FindingKind.SPIKE not in series.cases:
        series.suspicion.feed(bucket, readings, expected, unusual=basis >= 0, allowed=warm)
    out = rising.spike(series, bucket, readings, expected, basis)
    out += rising.novelty(series, bucket)
    out += silent.drop(series, bucket, expected, warm)
    return out, expected[LEVEL]


def _tell_of_dollars(series: Series, bucket: Bucket) -> list[Finding]:
    """What of the window's dollars is wrong whatever their number."""
    sums, cases = bucket.sums, series.cases
    out: list[Finding] = []
    if sums.metered_usd or FindingKind.IDLE in cases:
        out += paying.idle(series, bucket)
    if sums.unallocated_usd or series.owned is not None:
        out += paying.unallocated(series, bucket, series.is_warm(bucket.rules))
    if sums.unpriced_events or FindingKind.UNPRICED in cases:
        out += paying.unpriced(series, bucket)
    return out
