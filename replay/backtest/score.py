"""Alerts held against known incidents, and what they come to.

An alert or finding belongs to an incident when it was detected between the incident's start and `grace` after its end
and no dimension that both name differs. Of an incident's dollars, those before detection are its excess times the
share of its duration that was over by then; where nobody knows its excess, what its first alert knew of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from replay.backtest.detect import Raised, Seen
from replay.backtest.labels import Label, Truth

METRIC = "metric"  # stands for a meter where there are no dollars
LATE = {"line_item": timedelta(hours=24), METRIC: timedelta(0)}  # a bill's hour is known a day later
GRACE = timedelta(minutes=30)
Verdict = Literal["hit", "quiet", "false", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one label. Times in seconds; None: not detected, or nobody knows."""

    label: Label
    met: bool  # paged, recorded or kept quiet, as it should be
    delay: float | None
    alerts: int
    usd: float | None
    usd_before: float | None


@dataclass(frozen=True, slots=True)
class Judged:
    """Alerts with their verdicts and labels with their outcomes, over so many seconds of history."""

    outcomes: tuple[Outcome, ...]
    alerts: tuple[tuple[Raised, Verdict], ...]
    findings: int
    seconds: float
    labelled: bool

    def split(self, at: datetime, start: datetime, end: datetime) -> tuple[Judged, Judged]:
        """What was detected, and began, before a moment between `start` and `end`, and what from then on."""
        before = [pair for pair in self.alerts if pair[0].detected_at < at]
        after = [pair for pair in self.alerts if pair[0].detected_at >= at]
        early = tuple(one for one in self.outcomes if one.label.start < at)
        late = tuple(one for one in self.outcomes if one.label.start >= at)
        return (
            Judged(early, tuple(before), 0, (at - start).total_seconds(), self.labelled),
            Judged(late, tuple(after), 0, (end - at).total_seconds(), self.labelled),
        )


def judge(seen: Seen, truth: Truth | None, start: datetime, end: datetime) -> Judged:
    """Judge what was detected from `start`, when the warm-up is over, to `end`."""
    alerts = [alert for alert in seen.alerts if alert.detected_at >= start]
    findings = [finding for finding in seen.findings if finding.detected_at >= start]
    labels = truth.labels if truth is not None else ()
    verdicts: dict[str, Verdict] = {}
    outcomes = []
    for label in labels:
        paged = [alert for alert in alerts if _belongs(alert, label)]
        for alert in paged:
            verdict: Verdict = "quiet" if label.expect == "silence" else "hit"
            verdicts[alert.name] = "hit" if "hit" in {verdict, verdicts.get(alert.name)} else verdict
        outcomes.append((label, paged, [one for one in findings if _belongs(one, label)]))
    otherwise: Verdict = "unknown" if truth is None else "false"
    return Judged(
        tuple(_outcome(label, paged, found, labels) for label, paged, found in outcomes),
        tuple((alert, verdicts.get(alert.name, otherwise)) for alert in alerts),
        len(findings),
        max(0.0, (end - start).total_seconds()),
        truth is not None,
    )


def pooled(parts: Iterable[Judged]) -> Judged:
    """Several histories as one: their incidents, alerts and weeks add up."""
    every = list(parts)
    return Judged(
        tuple(one for part in every for one in part.outcomes),
        tuple(pair for part in every for pair in part.alerts),
        sum(part.findings for part in every),
        sum(part.seconds for part in every),
        any(part.labelled for part in every),
    )


def _belongs(raised: Raised, label: Label) -> bool:
    grace = LATE.get(raised.meter, GRACE)
    return label.start <= raised.detected_at <= label.end + grace and label.fits(raised.series)


def _outcome(label: Label, paged: Sequence[Raised], found: Sequence[Raised], labels: Sequence[Label]) -> Outcome:
    if label.expect == "silence":
        disturbing = [alert for alert in paged if not _is_of_another(alert, label, labels)]
        return Outcome(label, not disturbing, None, len(disturbing), None, None)
    met = bool(paged) if label.expect == "alert" else bool(paged or found)
    counted = paged if label.expect == "alert" else [*paged, *found]
    first = min(counted, key=lambda one: one.detected_at, default=None)
    delay = (first.detected_at - label.start).total_seconds() if first is not None else None
    before = label.excess_usd
    if first is not None and delay is not None:
        span = (label.end - label.start).total_seconds()
        known = label.excess_usd
        told = None if first.meter == METRIC else abs(float(first.first_usd))
        before = told if known is None else known * min(1.0, delay / span)
    return Outcome(label, met, delay, len(paged), label.excess_usd, before)


def _is_of_another(alert: Raised, label: Label, labels: Sequence[Label]) -> bool:
    others = (other for other in labels if other is not label and other.expect != "silence")
    return any(_belongs(alert, other) for other in others)
