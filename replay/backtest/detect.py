"""Detection over the windows of a history, as `replay` and the live stages do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from replay.backtest.by_series import BySeries
from schemas.watch import Alert, Finding, Mark
from streams.core.alert import Alerter, AlertRules
from streams.core.detect.detectors import DETECTORS
from streams.core.detect.merge import Complete
from streams.core.detect.watch import Watch, WatchRules
from streams.core.windows.sums import utc

PRODUCT = "watch"  # what runs live: more than one detector of levels


class Watching(Protocol):
    """What sees windows and finds."""

    def window(self, complete: Complete) -> list[Finding]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """One variant of detection, ready to run: small, immutable, and it can be sent to another process."""

    name: str
    detector: str
    watch: WatchRules
    alert: AlertRules

    def watching(self) -> Watching:
        """A fresh watch."""
        return Watch(self.watch) if self.detector == PRODUCT else BySeries(DETECTORS[self.detector], self.watch)


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert or a finding, as far as it is judged. Money in USD."""

    name: str
    kind: str
    series: Mapping[str, str]
    meter: str
    detected_at: datetime
    excess_usd: Decimal  # in the end
    first_usd: Decimal  # when it was first told


@dataclass(frozen=True, slots=True)
class Seen:
    """What one variant made of one history."""

    alerts: tuple[Raised, ...]
    findings: tuple[Raised, ...]


class Detection:
    """One variant under way."""

    def __init__(self, watching: Watching, alerter: Alerter) -> None:
        self._watching = watching
        self._alerter = alerter
        self._first: dict[str, Decimal] = {}
        self.findings: dict[str, Finding] = {}
        self.alerts: dict[str, Alert] = {}

    def window(self, complete: Complete) -> None:
        """Take in one window of all series."""
        for finding in self._watching.window(complete):
            self.findings[finding.finding_id] = finding
            self._first.setdefault(finding.finding_id, finding.excess_usd)
            self._alerter.finding(finding)
        end = utc(complete.end)
        mark = Mark.model_construct(meter=complete.meter, window_seconds=complete.seconds, partition=0, time=end)
        self._keep(self._alerter.mark(mark))

    def finish(self, until: datetime | None) -> Seen:
        """The history is over at `until`."""
        self._keep(self._alerter.flush(until))
        alerts = (_raised(each.alert_id, each, self._first) for each in self.alerts.values())
        findings = (_raised(each.finding_id, each, self._first) for each in self.findings.values())
        return Seen(_in_order(alerts), _in_order(findings))

    def _keep(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            self.alerts[alert.alert_id] = alert
            self._first.setdefault(alert.alert_id, alert.excess_usd)


def run(plans: Iterable[Plan], windows: Iterable[Complete], until: datetime | None) -> list[Seen]:
    """All variants side by side in one pass: reading the windows takes longer than some variants do."""
    detections = [Detection(plan.watching(), Alerter(plan.alert)) for plan in plans]
    for complete in windows:
        for detection in detections:
            detection.window(complete)
    return [detection.finish(until) for detection in detections]


def _raised(name: str, said: Alert | Finding, first: Mapping[str, Decimal]) -> Raised:
    return Raised(name, said.kind.value, said.series, said.meter, said.detected_at, said.excess_usd, first[name])


def _in_order(raised: Iterable[Raised]) -> tuple[Raised, ...]:
    return tuple(sorted(raised, key=lambda each: (each.detected_at, each.name)))
