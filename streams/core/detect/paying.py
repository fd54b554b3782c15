"""Dollars that are wrong whatever their number: for idle GPUs, without an owner, without a price."""

from __future__ import annotations

from schemas.watch import Finding, FindingKind
from streams.core.detect.bucket import Bucket
from streams.core.detect.gauges import OWN
from streams.core.detect.lifecycle import Case, Stretch
from streams.core.detect.parts import put
from streams.core.detect.series import Series
from streams.core.detect.shares import IDLE, JUMP, Share

PRICED_BY = {"model", "service", "cluster"}
"""What a missing price belongs to: told once, of these, and not of everyone who used it."""


def idle(series: Series, bucket: Bucket) -> list[Finding]:
    """GPUs paid for and unused. The excess is all of their cost that bought nothing."""
    series.used = series.used or Share()
    wasted, metered = float(bucket.sums.idle_usd), float(bucket.sums.metered_usd)
    unusual = series.used.watch(wasted, metered, IDLE, bucket.seconds)
    return _share(series, bucket, FindingKind.IDLE, series.used, unusual=unusual, excess=wasted, observed=bucket.usd)


def unallocated(series: Series, bucket: Bucket, warm: bool) -> list[Finding]:
    """A larger part without an owner than usual: tags got lost."""
    if series.owned is None:
        series.owned = Share()
        series.owned.seen = series.seen  # all that was before had an owner
    loose = float(bucket.sums.unallocated_usd)
    before = series.owned.usual
    unusual = series.owned.watch(loose, bucket.usd, before + JUMP if warm else 2.0, bucket.seconds)
    excess = loose - before * bucket.usd
    return _share(series, bucket, FindingKind.UNALLOCATED, series.owned, unusual=unusual, excess=excess, observed=loose)


def _share(
    series: Series, bucket: Bucket, kind: FindingKind, share: Share, *, unusual: bool, excess: float, observed: float
) -> list[Finding]:
    case = series.cases.get(kind)
    if case is not None:
        case.stretch.add(bucket.seconds, observed, (0.0, 0.0, 0.0, 0.0, observed - excess))
        put(case.stretch.parts, bucket.cells)
        return series.go_on(case, bucket, calm=share.run == 0)
    if not unusual or excess < bucket.least:
        return []
    stretch = Stretch(bucket.start)
    stretch.add(bucket.seconds, observed, (0.0, 0.0, 0.0, 0.0, observed - excess))
    put(stretch.parts, bucket.cells)
    return series.open(Case(kind, stretch, bucket.end, bucket.end, OWN), bucket)


def unpriced(series: Series, bucket: Bucket) -> list[Finding]:
    """Usage that no price is known for. The excess is what it may have cost."""
    risk = float(bucket.sums.at_risk_usd)
    case = series.cases.get(FindingKind.UNPRICED)
    if case is not None:
        case.stretch.add(bucket.seconds, risk, (0.0, 0.0, 0.0, 0.0, 0.0))
        return series.go_on(case, bucket, calm=bucket.sums.unpriced_events == 0)
    if len(series.key) != 1 or series.key[0][0] not in PRICED_BY:
        return []
    stretch = Stretch(bucket.start)
    stretch.add(bucket.seconds, risk, (0.0, 0.0, 0.0, 0.0, 0.0))
    return series.open(Case(FindingKind.UNPRICED, stretch, bucket.end, bucket.end, OWN), bucket)
