"""More than is usual: spikes, creeps, and series that nobody has seen before."""

from __future__ import annotations

from math import exp, log

from schemas.watch import Finding, FindingKind
from streams.core.detect.bucket import MATTERS, Bucket
from streams.core.detect.creep import KNOWN
from streams.core.detect.gauge import LONGEST, Reading
from streams.core.detect.gauges import LEVEL, LITTLE, OWN, Expected, Readings
from streams.core.detect.lifecycle import Case, Stretch
from streams.core.detect.parts import merge, put
from streams.core.detect.rules import HOUR
from streams.core.detect.series import Series
from streams.core.severity import MANY_TIMES

APART = {"gpu_usage", "line_item"}
"""Where one incident is told from another within it. Requests come as they please, and theirs have bursts of their
own."""
BARELY = 1.1  # of the score that is unusual: up to there, one window more or less decides
AGAIN = 3  # windows in a row that must say so where requests come as they please
NONE: Expected = (0.0, 0.0, 0.0, 0.0, 0.0)


def spike(series: Series, bucket: Bucket, readings: Readings, expected: Expected, basis: int) -> list[Finding]:
    """`basis` says by which measure this window is unusually dear, -1 when by none."""
    mid = series.mid(bucket.seconds)
    case = series.cases.get(FindingKind.SPIKE)
    if case is not None:
        level = case.expects(mid)
        expected = (level, *expected[1:])
        excess = bucket.usd - expected[case.basis]
        if basis >= 0 and series.meter in APART and case.is_outgrown(bucket.seconds, excess, MANY_TIMES[series.meter]):
            return _another(series, bucket, case, readings[basis], expected, basis)
        case.stretch.add(bucket.seconds, bucket.usd, expected)
        put(case.stretch.parts, bucket.cells)
        if 0 <= basis < case.basis and case.stretch.seconds <= LONGEST * bucket.seconds:
            case.basis = basis
        case.settle()
        return series.go_on(case, bucket, calm=series.gauges.is_calm(case.basis, level, case.height))
    if basis < 0 or FindingKind.NEW_SERIES in series.cases or _may_pass(series, readings[basis], basis):
        return []
    stretch = series.suspicion.take()
    if stretch is None:
        return []
    series.gauges.forget(stretch.seconds // bucket.seconds)
    reading = readings[basis]
    height = log(reading.ratio)
    case = Case(FindingKind.SPIKE, stretch, bucket.end, bucket.end, basis, reading.score, height, expected[LEVEL], mid)
    case.settle()
    return series.open(case, bucket)


def _may_pass(series: Series, reading: Reading, basis: int) -> bool:
    """Whether it is barely unusual, and not for long yet: a burst of requests often comes so far, a loop soon goes
    further or stays."""
    by_requests = series.meter == "token_call" and basis == LEVEL
    return by_requests and reading.score <= BARELY and series.suspicion.run < AGAIN


def _another(
    series: Series, bucket: Bucket, case: Case, reading: Reading, expected: Expected, basis: int
) -> list[Finding]:
    """While an incident goes on, one begins that is many times as dear: a finding of its own, for people know the
    first. What is usual is still what was so before both."""
    out = series.leave(case, bucket)
    stretch = Stretch(bucket.start)
    stretch.add(bucket.seconds, bucket.usd, expected)
    put(stretch.parts, bucket.cells)
    height = log(reading.ratio)
    more = Case(FindingKind.SPIKE, stretch, bucket.end, bucket.end, basis, reading.score, height, case.usual, case.mid)
    return out + series.open(more, bucket)


def creep(series: Series, bucket: Bucket) -> list[Finding]:
    """At the end of an hour: hours dearer than the same hours of the days before, and ever more so."""
    week = series.hours.week
    if week is None or week.seen < KNOWN or series.meter == "gpu_usage":
        return []  # clusters fill and empty over hours, as their work does
    usual = week.usual(series.hours.hour)
    case = series.cases.get(FindingKind.CREEP)
    if case is not None:
        usual = case.expects(usual)
        spent = series.hours.temper(usual)
        case.stretch.add(HOUR, spent, (usual, usual, usual, usual, 0.0))
        merge(case.stretch.parts, series.makeup.scaled(spent))
        return series.go_on(case, bucket, calm=spent < usual * exp(0.5 * case.height))
    if series.cases.keys() & {FindingKind.SPIKE, FindingKind.DROP, FindingKind.NEW_SERIES}:
        return []
    if not series.makeup.is_one or (series.meter == "token_call" and len(series.key) > 1):
        return []  # each payer has its own creep; and a key that calls one model more may call another less
    spent = series.hours.usd
    little = LITTLE * series.gauges.mean * HOUR / bucket.seconds
    score = series.creep.hour(spent, usual, little)
    if score <= 1.0 or spent - usual < bucket.rules.min_excess_usd * MATTERS:
        series.creep.learn()
        return []
    series.hours.temper(usual)
    stretch = Stretch(bucket.end - HOUR)
    stretch.add(HOUR, spent, (usual, spent, spent, spent, 0.0))
    stretch.parts = series.makeup.scaled(spent)
    height = log(max(spent, 1e-30) / max(usual, 1e-30))
    case = Case(FindingKind.CREEP, stretch, bucket.end, bucket.end, LEVEL, score, height, usual, usual)
    return series.open(case, bucket)


def novelty(series: Series, bucket: Bucket) -> list[Finding]:
    """A series that a grown deployment has never seen, once it has spent what matters."""
    rules = bucket.rules
    case = series.cases.get(FindingKind.NEW_SERIES)
    if case is not None:
        case.stretch.add(bucket.seconds, bucket.usd, NONE)
        put(case.stretch.parts, bucket.cells)
        return series.go_on(case, bucket, calm=bucket.usd <= 0)
    if series.flood and series.seen == 0:
        return _flooded(series, bucket)
    if not series.novel:
        return []
    if bucket.end - series.born > rules.new_after_seconds:
        series.novel = False
        return []
    series.spent += bucket.usd
    if series.spent < max(rules.min_excess_usd, rules.new_series_usd) or bucket.usd <= 0:
        return []
    series.novel = False
    stretch = Stretch(series.born)
    stretch.add(bucket.end - series.born, series.spent, NONE)
    put(stretch.parts, bucket.cells)
    return series.open(Case(FindingKind.NEW_SERIES, stretch, bucket.end, bucket.end, OWN), bucket)


def _flooded(series: Series, bucket: Bucket) -> list[Finding]:
    """More series than there is room for: told at once, whatever they spend."""
    stretch = Stretch(bucket.start)
    stretch.add(bucket.seconds, bucket.usd, NONE)
    return series.open(Case(FindingKind.NEW_SERIES, stretch, bucket.end, bucket.end, OWN), bucket)
