"""Findings in, alerts out: one alert per incident, the same whatever order the findings came in.

Findings wait until every partition of `spend.ticks` that was heard of has said that it has come past their time (the
marks). Then they are taken in time order, all of one moment together. So the alerts depend on the findings and their
times alone, not on how marks and findings came interleaved; only what comes late, after a `flush`, joins as it comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Self

from schemas.watch import Alert, Finding, Mark
from streams.core.alert.compose import compose
from streams.core.alert.group import Group
from streams.core.alert.kinship import MOST, is_owned, rank
from streams.core.alert.rules import LOUDNESS, AlertRules

DAY_SECONDS = 86_400
LATE = timedelta(hours=1)  # what has begun in time to join is found so much later, at times
REMEMBERED = 10_000  # findings that are over; a repeated record of one must not open it again


def lane(meter: str, seconds: int) -> str:
    """What is released and grouped together: a meter; bills by the day apart, for they come a day behind."""
    return f"{meter}/day" if meter == "line_item" and seconds >= DAY_SECONDS else meter


def known_at(finding: Finding) -> datetime:
    """When this revision could first be known."""
    return max(filter(None, (finding.detected_at, finding.last_seen_at, finding.closed_at)))


class Alerter:
    """The state of alerting. Pure: time comes from findings and marks.

    `partitions` is how many there are to hear of: one that has not spoken yet is waited for like one that is behind,
    else an incident would be grouped without its part, and become another alert when that part comes.
    """

    def __init__(self, rules: AlertRules, partitions: int = 1) -> None:
        self._rules = rules
        self._partitions = partitions
        self._waiting: dict[tuple[str, int], Finding] = {}
        self._marks: dict[str, dict[tuple[int, int], datetime]] = {}
        self._groups: dict[str, list[Group]] = {}
        self._over: dict[str, None] = {}

    def finding(self, finding: Finding) -> None:
        """Take a finding's newest state. Repeats are recognised by id and revision."""
        self._waiting[finding.finding_id, finding.revision] = finding

    def mark(self, mark: Mark) -> list[Alert]:
        """Take how far a partition has come; returns the alerts that are new or changed by what that releases."""
        key = lane(mark.meter, mark.window_seconds)
        marks, source = self._marks.setdefault(key, {}), (mark.partition, mark.window_seconds)
        marks[source] = max(mark.time, marks.get(source, mark.time))
        if len({partition for partition, _ in marks}) < self._partitions:
            return []
        return self._release([key], min(marks.values()))

    def flush(self, until: datetime | None = None) -> list[Alert]:
        """Release what could be known at or before `until` (all of it when None), whatever the marks say."""
        lanes = sorted({lane(finding.meter, finding.cadence_seconds) for finding in self._waiting.values()})
        return self._release(lanes, until)

    @property
    def waiting_until(self) -> datetime | None:
        """The latest time of what waits for marks: what to `flush` after having waited long enough."""
        return max(map(known_at, self._waiting.values()), default=None)

    def firing(self) -> list[Alert]:
        """The alerts that fire now, as they were last returned."""
        groups = (group for groups in self._groups.values() for group in groups if group.status == "firing")
        return sorted((compose(group) for group in groups), key=_order)

    def snapshot(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "waiting": [finding.model_dump(mode="json") for finding in self._waiting.values()],
            "marks": [
                [key, partition, seconds, time.isoformat()]
                for key, marks in self._marks.items()
                for (partition, seconds), time in marks.items()
            ],
            "groups": {key: [group.snapshot() for group in groups] for key, groups in self._groups.items()},
            "over": list(self._over),
        }

    def restore(self, saved: dict[str, Any]) -> Self:
        """Go on from what `snapshot` wrote."""
        self._waiting, self._marks = {}, {}
        for body in saved["waiting"]:
            self.finding(Finding.model_validate(body))
        for key, partition, seconds, time in saved["marks"]:
            self._marks.setdefault(key, {})[partition, seconds] = datetime.fromisoformat(time)
        self._groups = {key: [Group.restored(body) for body in groups] for key, groups in saved["groups"].items()}
        self._over = dict.fromkeys(saved["over"])
        return self

    def _release(self, lanes: Iterable[str], until: datetime | None) -> list[Alert]:
        alerts: list[Alert] = []
        for key in lanes:
            due = sorted(
                (
                    finding
                    for finding in self._waiting.values()
                    if lane(finding.meter, finding.cadence_seconds) == key
                    and (until is None or known_at(finding) <= until)
                ),
                key=lambda finding: (known_at(finding), finding.finding_id, finding.revision),
            )
            for finding in due:
                del self._waiting[finding.finding_id, finding.revision]
            for time, together in groupby(due, key=known_at):
                alerts += self._step(key, time, {finding.finding_id: finding for finding in together})
        return alerts

    def _step(self, key: str, time: datetime, newest: dict[str, Finding]) -> list[Alert]:
        """Everything that became known at one moment."""
        groups = self._groups.setdefault(key, [])
        self._forget(groups, time)
        touched: list[Group] = []
        fresh: list[Finding] = []
        for finding in newest.values():
            group = next((group for group in groups if finding.finding_id in group.findings), None)
            if group is None:
                if finding.finding_id not in self._over:
                    fresh.append(finding)
            elif finding.revision > group.findings[finding.finding_id].revision:
                group.put(finding)
                _add(touched, group)
        for group in touched:
            group.name()
        for finding in sorted(fresh, key=_placing_order):
            _add(touched, self._place(groups, finding))
        said: list[Group] = []
        for group in touched:
            if group.paged_at is not None:
                _add(said, group)
            elif self._pages(group):
                _add(said, self._absorb(groups, group) or group)
        return sorted((alert for group in said for alert in self._alert(group, time)), key=_order)

    def _place(self, groups: list[Group], finding: Finding) -> Group:
        """Put a new finding where it belongs: with the group that explains most of it, else by itself."""
        fits = [(self._fit(group, finding), group) for group in groups]
        best, group = max(fits, key=lambda fit: fit[0], default=(0.0, None))
        # Several incidents together may explain what a wide series sees; it is then no incident of its own.
        jointly = sum(fit for fit, other in fits if rank(other.core.series) < rank(finding.series))
        if group is None or not (best >= MOST or (best > 0 and jointly >= MOST)):
            group = Group.of(finding)
            groups.append(group)
        else:
            group.put(finding)
            if best < MOST:
                group.shared.append(finding.finding_id)
            group.name()
        return group

    def _fit(self, group: Group, finding: Finding) -> float:
        return group.fits(finding, self._rules.reopen, self._rules.returns)

    def _absorb(self, groups: list[Group], group: Group) -> Group | None:
        """The alert that a group turns out to belong to just before it would page by itself."""
        for other in groups:
            if other is not group and other.paged_at and self._fit(other, group.core) >= MOST:
                other.absorb(group)
                groups.remove(group)
                return other
        return None

    def _pages(self, group: Group) -> bool:
        return any(self._rules.pages(finding) for finding in group.findings.values())

    def _alert(self, group: Group, time: datetime) -> list[Alert]:
        """The group's alerts of this moment."""
        if group.paged_at is None:
            group.paged_at, group.told = time, dict(group.core.series)
        status = "firing" if group.is_open else "resolved"
        if status == "resolved" and not group.status:  # nobody has heard of it yet
            return [self._said(group, "firing", time), self._said(group, "resolved", time)]
        return [self._said(group, status, time)]

    def _said(self, group: Group, status: str, time: datetime) -> Alert:
        group.alert_revision += 1
        group.status = status
        group.updated_at = max(time, group.updated_at or time)
        group.severity = max(group.severity, self._rules.severity(group.core), key=LOUDNESS.index)
        return compose(group)

    def _forget(self, groups: list[Group], time: datetime) -> None:
        """Drop the groups that are over for so long that nothing can join them any more."""
        for group in [group for group in groups if not group.is_open]:
            if group.ended_at + max(group.slack, self._rules.reopen, self._rules.returns) + LATE < time:
                groups.remove(group)
                self._over.update(dict.fromkeys(group.findings))
        while len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]


def _add(groups: list[Group], group: Group) -> None:
    if not any(other is group for other in groups):
        groups.append(group)


def _placing_order(finding: Finding) -> tuple[Any, ...]:
    """Owners first, wide before narrow, dear before cheap: a key's parts meet the key, and the total comes last."""
    series = tuple(sorted(finding.series.items()))
    return (not is_owned(finding.series), len(series), -abs(finding.excess_usd), series, finding.finding_id)


def _order(alert: Alert) -> tuple[Any, ...]:
    series = tuple(sorted(alert.series.items()))
    return (alert.detected_at, -len(series), series, alert.alert_id, alert.revision)
