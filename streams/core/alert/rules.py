"""What pages, and how loudly: dollars decide, never a score."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from schemas.watch import Finding, FindingKind, Severity
from streams.core.severity import SeverityRules

DAY_SECONDS = Decimal(86_400)
LOUDNESS = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)
UNHURRIED = frozenset({
    FindingKind.NEW_SERIES, FindingKind.UNPRICED, FindingKind.UNALLOCATED, FindingKind.IDLE, FindingKind.DROP,
})  # fmt: skip
"""Kinds that are no emergency by themselves: they page by what was spent, not by what may come."""


@dataclass(frozen=True, slots=True)
class AlertRules:
    """Money in USD. `page_ahead` 0 pages by what was spent alone."""

    min_excess_usd: Decimal
    page_ahead: timedelta = timedelta(hours=1)
    early_share: Decimal = Decimal("0.02")
    warning_usd: Decimal = Decimal(20)
    critical_usd: Decimal = Decimal(200)
    warning_usd_per_day: Decimal = Decimal(200)
    critical_usd_per_day: Decimal = Decimal(2_000)
    reopen: timedelta = timedelta(minutes=15)
    returns: timedelta = timedelta(hours=2)

    def pages(self, finding: Finding) -> bool:
        """Whether a finding is worth waking somebody.

        It is when its excess so far reaches `min_excess_usd`, in either direction: a drop counts the dollars that are
        not metered. It is earlier when the run-rate is unmistakable: the finding is open, a first part of the minimum
        (`early_share`) is already spent, and at its pace the excess reaches the minimum within `page_ahead`.
        """
        so_far = abs(finding.excess_usd)
        if so_far >= self.min_excess_usd:
            return True
        if finding.status == "closed" or finding.kind in UNHURRIED or so_far < self.early_share * self.min_excess_usd:
            return False
        ahead = Decimal(self.page_ahead.total_seconds()) / DAY_SECONDS
        return so_far + abs(finding.projected_usd_24h) * ahead >= self.min_excess_usd

    def severity(self, finding: Finding) -> Severity:
        """By the dollars so far and, while it goes on, those of the next 24 hours."""
        rules = SeverityRules(self.warning_usd, self.critical_usd, self.warning_usd_per_day, self.critical_usd_per_day)
        return rules.of(finding.excess_usd, finding.projected_usd_24h, going_on=finding.status == "open")
