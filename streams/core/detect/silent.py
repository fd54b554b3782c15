"""A steady series that falls silent: its meter may be broken, and what it spends is no longer seen."""

from __future__ import annotations

from schemas.watch import Finding, FindingKind
from streams.core.detect.bucket import Bucket
from streams.core.detect.gauges import LEVEL, Expected
from streams.core.detect.lifecycle import Case, Stretch
from streams.core.detect.rules import DAY
from streams.core.detect.series import Series

SOURCES = {"token_call": {"principal"}, "gpu_usage": {"cluster", "accelerator"}, "line_item": {"service", "account"}}
"""What stands for a meter. Tags and models change; a key or a cluster that goes silent is another matter."""
BACK = 0.25  # of the usual: the meter speaks again
AWAKE = 0.25  # of the usual that the profile must expect at this hour: nights are silent


def drop(series: Series, bucket: Bucket, expected: Expected, warm: bool) -> list[Finding]:
    """Silence of a series that is never silent for so long."""
    seconds = bucket.seconds
    mid = series.mid(seconds)
    case = series.cases.get(FindingKind.DROP)
    if case is not None:
        usual = case.expects(mid)
        case.stretch.add(seconds, bucket.usd, (usual, *expected[1:]))
        return series.go_on(case, bucket, calm=bucket.usd > BACK * usual)
    if not warm or bucket.sums.events or FindingKind.SPIKE in series.cases:
        return []
    usual = expected[LEVEL]
    silence = series.silence
    if not silence.is_broken(seconds) or usual < bucket.least or series.gauges.level.age < DAY:
        return []
    if series.meter == "gpu_usage":
        return []
    if (mid and mid < AWAKE * usual) or not _is_source(series):
        return []
    stretch = Stretch(bucket.end - silence.run * seconds)
    stretch.add(silence.run * seconds, 0.0, (usual * silence.run, 0.0, 0.0, 0.0, 0.0))
    series.gauges.forget(silence.run)
    return series.open(Case(FindingKind.DROP, stretch, bucket.end, bucket.end, LEVEL, usual=usual, mid=mid), bucket)


def _is_source(series: Series) -> bool:
    sources = SOURCES[series.meter]
    if all(name in sources for name, _ in series.key):
        return True
    return not any(name in sources for key in series.makeup.usual for name, _ in key)
