"""A detector of plain values over every series of spend, so that it can be compared with the product's own watch.

For comparison only: it has no payers, no decomposition, no drivers, and forgets no series.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from schemas.records import Meter
from schemas.watch import Finding, FindingKind
from streams.core.detect.cadence import Pace
from streams.core.detect.decompose import MICRO
from streams.core.detect.detectors import Detector, State, Verdict
from streams.core.detect.lifecycle import finding_id
from streams.core.detect.merge import Complete
from streams.core.detect.rules import DAY, HOUR, WatchRules
from streams.core.windows.sums import SeriesKey, utc

CALM = 2  # windows in a row without an anomaly that close a finding


@dataclass(slots=True)
class _Case:
    """An open finding."""

    start: int
    detected_at: int
    kind: FindingKind
    last_seen: int = 0
    seconds: int = 0
    observed: float = 0.0
    expected: float = 0.0
    usual: float = 0.0  # per window, when it opened: what a detector learns meanwhile is the anomaly
    score: float = 0.0
    revision: int = -1
    calm: int = 0


@dataclass(slots=True)
class _Series:
    detector: Detector
    pace: Pace
    pending: float = 0.0  # USD
    case: _Case | None = field(default=None)


class BySeries:
    """One detector a series, fed the dollars of each of its windows at its own pace."""

    def __init__(self, make: Callable[[], Detector], rules: WatchRules) -> None:
        self._make = make
        self._rules = rules
        self._lanes: dict[tuple[Meter, int], dict[SeriesKey, _Series]] = {}

    def window(self, complete: Complete) -> list[Finding]:
        """Take in all series of one window; returns the new states of findings."""
        lane = self._lanes.setdefault((complete.meter, complete.seconds), {})
        for key, window in complete.windows.items():
            series = lane.get(key)
            if series is None:
                pace = Pace(complete.seconds, self._rules.cadence_of(key))
                series = lane[key] = _Series(self._make(), pace)
            if series.pace.learn(window.sums.events, window.aligned):
                series.detector, series.case = self._make(), None
            series.pending += float(window.sums.usd)
        out = []
        for key, series in lane.items():
            if complete.end % series.pace.seconds == 0:
                finding = self._judge(complete, key, series)
                if finding is not None:
                    out.append(finding)
        return sorted(out, key=lambda finding: (sorted(finding.series.items()), finding.kind, finding.opened_at))

    def _judge(self, complete: Complete, key: SeriesKey, series: _Series) -> Finding | None:
        seconds, end, usd = series.pace.seconds, complete.end, series.pending
        series.pending = 0.0
        verdict = series.detector.update(float(end - seconds), usd)
        case = series.case
        if case is None:
            if not verdict.alert:
                return None
            kind = FindingKind.SPIKE if usd >= verdict.expected else FindingKind.DROP
            case = series.case = _Case(end - seconds, end, kind, usual=verdict.expected)
        self._go_on(case, verdict, usd, end, seconds)
        closed = case.calm >= CALM
        if closed:
            series.case = None
        return self._record(complete, key, seconds, case, closed_at=end if closed else None)

    @staticmethod
    def _go_on(case: _Case, verdict: Verdict, usd: float, end: int, seconds: int) -> None:
        anomalous = verdict.state is State.ANOMALOUS or verdict.alert
        case.calm = 0 if anomalous else case.calm + 1
        if anomalous:
            case.last_seen = end
        case.seconds += seconds
        case.observed += usd
        case.expected += case.usual
        case.score = max(case.score, verdict.score)

    def _record(
        self, complete: Complete, key: SeriesKey, seconds: int, case: _Case, *, closed_at: int | None
    ) -> Finding:
        case.revision += 1
        hours = case.seconds / HOUR
        excess = case.observed - case.expected
        projected = _money(excess / case.seconds * DAY)
        return Finding.model_construct(
            finding_id=finding_id(case.kind, complete.meter, key, complete.seconds, case.start),
            revision=case.revision,
            status="open" if closed_at is None else "closed",
            kind=case.kind,
            meter=complete.meter,
            series=dict(key),
            cadence_seconds=seconds,
            opened_at=utc(case.start),
            detected_at=utc(case.detected_at),
            last_seen_at=utc(case.last_seen),
            closed_at=None if closed_at is None else utc(closed_at),
            expected_usd_per_hour=_money(case.expected / hours),
            observed_usd_per_hour=_money(case.observed / hours),
            excess_usd=_money(excess),
            projected_usd_24h=projected,
            score=round(case.score, 4),
            severity=self._rules.severity.of(_money(excess), projected, going_on=closed_at is None),
            cause=case.kind.value,
            explanation="",
        )


def _money(amount: float) -> Decimal:
    return Decimal(repr(amount)).quantize(MICRO)
