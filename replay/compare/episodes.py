"""From a rival's thresholds to alerts, by the ways of the product: findings that open, go on and close; then grouping.

A detector that gives but a score says nothing of dollars, so all of them are given the same: the excess is counted
against the mean of the day before the finding opened, and its drivers are the parts that gained on theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby

import numpy as np
import numpy.typing as npt

from replay.compare.traces import Numbers, Traces
from schemas.records import Meter
from schemas.watch import Alert, Driver, Finding, FindingKind, Mark, Severity
from streams.core.alert import Alerter, AlertRules
from streams.core.alert.alerter import known_at
from streams.core.detect.decompose import MICRO
from streams.core.detect.lifecycle import finding_id
from streams.core.detect.rules import DAY, HOUR
from streams.core.windows.sums import SeriesKey, utc

CALM_BUCKETS = (5, 2)  # in a row that close a finding: below an hour, and from an hour on
TELL_ALL = 10  # buckets: the first of a finding are all told, as paging ahead needs them
GROWTH = 1.25  # afterwards it is told again when it has grown by so much
MOST_DRIVERS = 5
MOST_FINDINGS = 10_000  # a threshold that opens more in a history would page all day, and take hours to group

Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Desk:
    """What a person would get: findings in, newest findings and alerts out."""

    alerter: Alerter
    findings: dict[str, Finding] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)

    def take(self, findings: Iterable[Finding], mark: Mark) -> None:
        """The findings of one window, and how far time has come."""
        for finding in findings:
            self.findings[finding.finding_id] = finding
            self.alerter.finding(finding)
        self._keep(self.alerter.mark(mark))

    def close(self) -> None:
        """The history is over."""
        self._keep(self.alerter.flush())

    def _keep(self, alerts: Sequence[Alert]) -> None:
        self.alerts.update((alert.alert_id, alert) for alert in alerts)


@dataclass(slots=True)
class Ledger:
    """Running sums of every series and part, so that any stretch is added up at once."""

    traces: Traces
    meter: Meter
    names: list[SeriesKey] = field(init=False)
    parts: Numbers = field(init=False)  # running sums: part x bucket
    series: dict[SeriesKey, Numbers] = field(init=False)
    within: dict[SeriesKey, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        leaves = self.traces.leaves()
        self.names = sorted(leaves)
        self.parts = np.array([_running(leaves[name]) for name in self.names])
        self.series = {key: _running(values) for key, values in self.traces.series().items()}
        named = [frozenset(name) for name in self.names]
        self.within = {key: [at for at, pairs in enumerate(named) if pairs.issuperset(key)] for key in self.series}

    def usual(self, key: SeriesKey, opened: int) -> tuple[int, float]:
        """The first bucket of the day before `opened`, and the mean spend of a bucket since, in USD."""
        first = max(0, opened - DAY // self.traces.pace)
        return first, float(self.series[key][opened] - self.series[key][first]) / max(1, opened - first)

    def most(self, key: SeriesKey, opened: int, last: int) -> float:
        """The largest excess, in either direction, that a finding over these buckets came to."""
        _, usual = self.usual(key, opened)
        spent = self.series[key][opened + 1 : last + 2] - self.series[key][opened]
        return float(np.abs(spent - usual * np.arange(1, len(spent) + 1)).max())

    def finding(
        self, key: SeriesKey, opened: int, now: int, seen: int, revision: int, *, closed: bool, score: float
    ) -> Finding:
        """The state of a finding at the end of bucket `now`, when it was last unusual in bucket `seen`."""
        traces, sums = self.traces, self.series[key]
        pace, length = traces.pace, seen - opened + 1
        first, usual = self.usual(key, opened)
        observed = float(sums[seen + 1] - sums[opened])
        excess = observed - usual * length
        hours = length * pace / HOUR
        end = traces.start + (now + 1) * pace
        amount = Decimal(repr(excess)).quantize(MICRO)
        kind = FindingKind.SPIKE if excess >= 0 else FindingKind.DROP
        start = traces.start + opened * pace
        return Finding.model_construct(
            finding_id=finding_id(FindingKind.SPIKE, self.meter, key, pace, start),
            revision=revision,
            status="closed" if closed else "open",
            kind=kind,
            meter=self.meter,
            series=dict(key),
            cadence_seconds=pace,
            opened_at=utc(start),
            detected_at=utc(start + pace),
            last_seen_at=utc(traces.start + (seen + 1) * pace),
            closed_at=utc(end) if closed else None,
            expected_usd_per_hour=_money(usual * HOUR / pace),
            observed_usd_per_hour=_money(observed / hours),
            excess_usd=amount,
            projected_usd_24h=_money(excess / hours * DAY / HOUR),
            score=score,
            severity=Severity.WARNING,
            drivers=self._drivers(key, (first, opened, seen + 1), amount),
            explanation="",
        )

    def _drivers(self, key: SeriesKey, bounds: tuple[int, int, int], excess: Decimal) -> list[Driver]:
        first, opened, end = bounds
        inside = self.within[key]
        sums = self.parts[inside]
        usual = (sums[:, opened] - sums[:, first]) / max(1, opened - first)
        gains = sums[:, end] - sums[:, opened] - usual * (end - opened)
        gains = np.maximum(gains if excess >= 0 else -gains, 0.0)
        total = float(gains.sum())
        if total <= 0.0:
            return []
        shares = gains / total
        largest = [at for at in np.argsort(-shares, kind="stable")[:MOST_DRIVERS] if shares[at] >= 0.01]
        return [
            Driver.model_construct(
                series=dict(self.names[inside[at]]),
                excess_usd=(excess * Decimal(repr(float(shares[at])))).quantize(MICRO),
                share=float(shares[at]),
            )
            for at in largest
        ]


def desk_of(ledger: Ledger, scores: dict[SeriesKey, Numbers], threshold: float, rules: AlertRules) -> Desk | None:
    """The alerts of one rival at one threshold; None where it tells too much to be of any use."""
    found: list[Finding] = []
    opened = 0
    least = float(rules.early_share * rules.min_excess_usd)  # what never comes to so much can't page
    for key, values in scores.items():
        unusual = np.nan_to_num(values, nan=-np.inf) > threshold
        for episode in _episodes(unusual, CALM_BUCKETS[ledger.traces.pace >= HOUR]):
            if ledger.most(key, *episode[:2]) < least:
                continue
            opened += 1
            if opened > MOST_FINDINGS:
                return None
            found += _life(ledger, key, episode, unusual, values)
    desk = Desk(Alerter(rules))
    found.sort(key=known_at)
    for time, together in groupby(found, key=known_at):
        mark = Mark(meter=ledger.meter, window_seconds=ledger.traces.pace, partition=0, time=time)
        desk.take(together, mark)
    desk.close()
    return desk


def _episodes(unusual: Flags, calm: int) -> Iterator[tuple[int, int, int]]:
    """(first unusual bucket, last, the bucket that closes it), for each run that `calm` ordinary buckets end."""
    at = np.flatnonzero(unusual)
    if not len(at):
        return
    cuts = np.flatnonzero(np.diff(at) > calm)
    starts = at[np.concatenate([[0], cuts + 1])]
    ends = at[np.concatenate([cuts, [len(at) - 1]])]
    for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
        yield first, last, min(last + calm, len(unusual) - 1)


def _life(
    ledger: Ledger, key: SeriesKey, episode: tuple[int, int, int], unusual: Flags, scores: Numbers
) -> Iterator[Finding]:
    """The records of one finding: its first buckets, then when it has grown or an hour is over, then its end."""
    first, _, end = episode
    told, told_at, revision = 0.0, first, 0
    seen = first
    each_hour = max(1, HOUR // ledger.traces.pace)
    sums = ledger.series[key]
    for now in range(first, end + 1):
        seen = now if unusual[now] else seen
        closed = now == end
        spent = float(sums[seen + 1] - sums[first])
        worth = now - first < TELL_ALL or spent > GROWTH * told or now - told_at >= each_hour
        if closed or (seen == now and worth):
            yield ledger.finding(key, first, now, seen, revision, closed=closed, score=float(scores[seen]))
            told, told_at, revision = spent, now, revision + 1


def _running(values: Numbers) -> Numbers:
    return np.concatenate([[0.0], np.cumsum(values)])


def _money(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(MICRO)
