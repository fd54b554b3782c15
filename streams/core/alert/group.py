"""The findings of one incident, and which of them names it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from schemas.watch import Finding, FindingKind, Severity
from streams.core.alert.kinship import MOST, agree, is_owned, kinship, may_meet, names_one, rank, share_inside, within
from streams.core.severity import MANY_TIMES

EXPLAINS = 0.7  # of the largest excess in the group: what a narrower series needs to name it
PART = 0.1  # of the excess: what a part that began together with the whole needs to belong to it
SAME_OUTAGE = timedelta(minutes=5)  # in which all that an outage silences has spoken for the last time
ABOUT = Decimal("1.5")  # times what it has come to: what is back at more is another incident
CADENCES = 2  # detectors of different series decide within a couple of windows of each other


@dataclass(slots=True)
class Group:
    """One incident. `alert_revision` is that of the last alert, -1 while it hasn't paged."""

    findings: dict[str, Finding] = field(default_factory=dict)
    first: str = ""  # id of the first finding: the alert is known by it whatever comes later
    core_id: str = ""
    shared: list[str] = field(default_factory=list)  # ids of wide findings that several incidents explain together
    alert_revision: int = -1
    paged_at: datetime | None = None
    told: dict[str, str] = field(default_factory=dict)  # the series that the page named
    updated_at: datetime | None = None
    pace: Decimal = Decimal(0)  # the most USD per hour too many that any of its findings has come to
    status: str = ""
    severity: Severity = Severity.INFO

    @classmethod
    def of(cls, finding: Finding) -> Group:
        group = cls(first=finding.finding_id, core_id=finding.finding_id)
        group.put(finding)
        return group

    @property
    def alert_id(self) -> str:
        """The same in every run that sees the same first finding."""
        return "al-" + hashlib.sha256(self.first.encode()).hexdigest()[:20]

    @property
    def core(self) -> Finding:
        """The finding that names the incident."""
        return self.findings[self.core_id]

    @property
    def is_open(self) -> bool:
        return any(finding.status == "open" for finding in self.findings.values())

    @property
    def opened_at(self) -> datetime:
        return min(finding.opened_at for finding in self.findings.values())

    @property
    def ended_at(self) -> datetime:
        """When the last of its findings was seen or closed."""
        return max(finding.closed_at or finding.last_seen_at for finding in self.findings.values())

    @property
    def slack(self) -> timedelta:
        """How far apart its findings may begin and still be one incident."""
        return timedelta(seconds=CADENCES * max(finding.cadence_seconds for finding in self.findings.values()))

    def put(self, finding: Finding) -> None:
        """Add a finding, or its next revision."""
        self.findings[finding.finding_id] = finding
        self.pace = max(self.pace, _pace(finding))

    def absorb(self, other: Group) -> None:
        """Take in another, which turned out to be part of this incident."""
        self.findings.update(other.findings)
        self.pace = max(self.pace, other.pace)
        self.shared += other.shared
        self.name()

    def _own(self) -> list[Finding]:
        return [finding for finding in self.findings.values() if finding.finding_id not in self.shared]

    def name(self) -> None:
        """Choose the core anew: the most particular series whose excess is nearly the group's largest."""
        own = self._own()
        best = min(_candidates(own), key=lambda f: (*rank(f.series), -abs(f.excess_usd), f.finding_id))
        current = self.core
        largest = max(abs(finding.excess_usd) for finding in own)
        still = float(abs(current.excess_usd)) >= MOST * float(largest)
        # The named series isn't changed for one no more particular: excesses come a window apart.
        if not still or rank(best.series) < rank(current.series):
            self.core_id = best.finding_id

    def fits(self, finding: Finding, reopen: timedelta, returns: timedelta) -> float:
        """How well a new finding belongs here, 0 (not at all) to 1; from `MOST` on it joins. What comes within `reopen`
        after the end goes on; the same key's, about as dear, may take until `returns`."""
        core = self.core
        if finding.kind is core.kind is FindingKind.DROP and abs(finding.opened_at - self.opened_at) <= SAME_OUTAGE:
            return 1.0  # meters don't break one by one in the same minutes: what lies above them has failed
        slack = max(self.slack, timedelta(seconds=CADENCES * finding.cadence_seconds))
        over = not self.is_open and finding.opened_at > self.ended_at + max(slack, reopen)
        if over:
            return float(self._returns(finding, returns))
        if finding.last_seen_at < self.opened_at - slack:
            return 0.0
        if self._is_another(finding):
            return 0.0
        if within(finding.series, core.series) and names_one(core.series) and may_meet(finding, core):
            return 1.0  # nobody wants a second page for the same key
        return self._kin(finding, slack)

    def _returns(self, finding: Finding, returns: timedelta) -> bool:
        """Whether the same is back: work that comes in bouts of hours is one incident, not one for each bout. Dearer
        models after a burst of requests are another."""
        core = self.core
        return (
            names_one(core.series)
            and (finding.kind, finding.cause) == (core.kind, core.cause)
            and within(finding.series, core.series)
            and finding.opened_at <= self.ended_at + returns
            and _pace(finding) <= ABOUT * self.pace
        )

    def _is_another(self, finding: Finding) -> bool:
        """Whether it began after people were paged, and is not what they were paged for.

        Another key is: a feature sees both, and may name the group by now. So is a key that falls silent while
        something is too dear, and what costs many times what was told. Else nobody would be paged for it.
        """
        if self.paged_at is None or finding.opened_at < self.paged_at:
            return False
        if names_one(finding.series):
            if names_one(self.told) and not agree(finding.series, self.told):
                return True
            if (finding.kind is FindingKind.DROP) != (self.core.kind is FindingKind.DROP):
                return True
            if self._is_usual_by_now(finding) or self._is_of_another_cause(finding):
                return True
        return _pace(finding) > MANY_TIMES[finding.meter] * self.pace

    def _is_usual_by_now(self, finding: Finding) -> bool:
        """Whether what people were paged for is part of what is expected by now: this comes on top of it."""
        core = self.core
        return (
            FindingKind.DROP not in {finding.kind, core.kind}
            and finding.series == core.series
            and finding.expected_usd_per_hour >= core.observed_usd_per_hour
            and _pace(finding) > ABOUT * self.pace
        )

    def _is_of_another_cause(self, finding: Finding) -> bool:
        """Whether a series that was told for creeping is suddenly dearer for another cause, as dearer requests."""
        core = self.core
        return (
            core.kind is FindingKind.CREEP
            and finding.kind is FindingKind.SPIKE
            and finding.series == core.series
            and finding.cause != core.cause
        )

    def _kin(self, finding: Finding, slack: timedelta) -> float:
        """The same by what their series name and by where their excess lies."""
        core = self.core
        found = kinship(finding, core)
        together = abs(finding.opened_at - self.opened_at) <= slack
        if together and not names_one(finding.series) and any(map(partial(_is_part, finding), self._own())):
            return max(found, MOST)  # the accounts of a service, once the service has joined, whichever names it
        if together and found >= PART and is_owned(core.series) and (share_inside(finding, core.series) or 0.0) >= MOST:
            return max(found, MOST)  # one cause at an owner shows in several of its parts at once
        return found

    def snapshot(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "findings": [finding.model_dump(mode="json") for finding in self.findings.values()],
            "first": self.first,
            "core": self.core_id,
            "shared": list(self.shared),
            "revision": self.alert_revision,
            "paged_at": self.paged_at.isoformat() if self.paged_at else None,
            "told": self.told,
            "updated_at": self.updated_at.isoformat() if self.updated_at else None,
            "pace": str(self.pace),
            "status": self.status,
            "severity": self.severity.value,
        }

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> Group:
        """What `snapshot` wrote."""
        findings = [Finding.model_validate(finding) for finding in saved["findings"]]
        return cls(
            {finding.finding_id: finding for finding in findings},
            first=saved["first"],
            core_id=saved["core"],
            shared=list(saved["shared"]),
            alert_revision=saved["revision"],
            paged_at=datetime.fromisoformat(saved["paged_at"]) if saved["paged_at"] else None,
            told=saved.get("told", {}),  # none in a state of 0.1
            updated_at=datetime.fromisoformat(saved["updated_at"]) if saved["updated_at"] else None,
            pace=Decimal(saved["pace"]) if "pace" in saved else max(map(_pace, findings)),
            status=saved["status"],
            severity=Severity(saved["severity"]),
        )


def _pace(finding: Finding) -> Decimal:
    """Too many USD per hour."""
    return abs(finding.observed_usd_per_hour - finding.expected_usd_per_hour)


def _is_part(finding: Finding, whole: Finding) -> bool:
    """Whether an owner's part does as the owner does."""
    return (
        is_owned(whole.series)
        and within(finding.series, whole.series)
        and may_meet(finding, whole)
        and (finding.excess_usd < 0) == (whole.excess_usd < 0)
    )


def _large(findings: list[Finding], part: float) -> list[Finding]:
    largest = max((float(abs(finding.excess_usd)) for finding in findings), default=0.0)
    return [finding for finding in findings if float(abs(finding.excess_usd)) >= part * largest]


def _candidates(findings: list[Finding]) -> list[Finding]:
    """Those that explain it. An owner needs to explain half to stand before what nobody owns."""
    up = [finding for finding in findings if finding.excess_usd >= 0]
    found = up or findings  # more spend is the trouble; less beside it is where it came from
    owned = _large([finding for finding in found if is_owned(finding.series)], EXPLAINS)
    half = MOST * max(float(abs(finding.excess_usd)) for finding in found)
    return [finding for finding in owned if float(abs(finding.excess_usd)) >= half] or _large(found, EXPLAINS)
