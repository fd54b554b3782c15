"""Judging a series' windows, each with what was known before it; then it is learnt."""

from __future__ import annotations

from schemas.watch import Finding, FindingKind
from streams.core.detect import paying, rising, silent
from streams.core.detect.bucket import Bucket
from streams.core.detect.gauge import Reading
from streams.core.detect.gauges import LEVEL
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
    rules, gauges, sums = bucket.rules, series.gauges, bucket.sums
    warm = series.is_warm(rules)
    sensitivity = rules.sensitivity_of(series.key)
    recent = 0.0 if sums.events or series.silence.run else gauges.recent
    series.silence.watch(sums.events, bucket.seconds, recent, told=FindingKind.DROP in series.cases)
    readings = gauges.judge(bucket, series.hours, sensitivity, one=series.makeup.is_one)
    if bucket is empty and _is_calm(series, readings.level):
        series.suspicion.quiet += 1
        series.learn(bucket, 0.0)
        return []
    expected = gauges.expected(bucket)
    basis = gauges.unusual(readings, bucket, series.mid(bucket.seconds)) if warm else -1
    if FindingKind.SPIKE not in series.cases:
        series.suspicion.feed(bucket, readings, expected, unusual=basis >= 0, allowed=warm)
    out = rising.spike(series, bucket, readings, expected, basis)
    out += rising.novelty(series, bucket)
    out += silent.drop(series, bucket, expected, warm)
    if sums.metered_usd or FindingKind.IDLE in series.cases:
        out += paying.idle(series, bucket)
    if sums.unallocated_usd or series.owned is not None:
        out += paying.unallocated(series, bucket, warm)
    if sums.unpriced_events or FindingKind.UNPRICED in series.cases:
        out += paying.unpriced(series, bucket)
    series.learn(bucket, expected[LEVEL])
    return out


def _is_calm(series: Series, level: Reading) -> bool:
    """Whether a silent window can't be told of, by whatever is asked of it: with many series, most windows are such."""
    return (
        series.at_peace
        and level.score <= 1.0
        and level.now <= SUSPECT
        and not series.silence.is_broken(series.pace.seconds)
        and not (series.flood and not series.seen)
    )
