"""Judging a series' windows, each with what was known before it; then it is learnt."""

from __future__ import annotations

from schemas.watch import Finding, FindingKind
from streams.core.detect import paying, rising, silent
from streams.core.detect.bucket import Bucket
from streams.core.detect.gauge import LONGEST
from streams.core.detect.gauges import LEVEL
from streams.core.detect.rules import HOUR, WatchRules
from streams.core.detect.series import Series


def close(series: Series, end: int, rules: WatchRules) -> list[Finding]:
    """The series' bucket that ends at `end` (epoch seconds) is complete: judge it, then learn it."""
    bucket = series.take(end, rules)
    if rules.in_maintenance(series.key, bucket.start, end):
        return []
    series.turn(bucket)
    out = _judge(series, bucket)
    if end % HOUR == 0 and bucket.seconds <= HOUR:
        out += rising.creep(series, bucket)
    return out


def _judge(series: Series, bucket: Bucket) -> list[Finding]:
    rules, gauges, sums = bucket.rules, series.gauges, bucket.sums
    warm = series.is_warm(rules)
    sensitivity = rules.sensitivity_of(series.key) if rules.sensitivity else 1.0
    recent = 0.0
    if not sums.events and not series.silence.run and gauges.level.usual > 0:
        recent = gauges.level.span_ratio(LONGEST) / gauges.level.usual
    series.silence.watch(sums.events, bucket.seconds, recent, told=FindingKind.DROP in series.cases)
    readings = gauges.judge(bucket, series.hours, sensitivity, one=series.makeup.is_one)
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
