"""How bad: from dollars alone, by one rule for findings and alerts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.records import Meter
from schemas.watch import Severity

MANY_TIMES: dict[Meter, int] = {"token_call": 10, "gpu_usage": 2, "line_item": 10}
"""The dollars per hour that people were told of: so much is another incident, though the first goes on. GPUs come in
orders, each with a cause of its own."""


@dataclass(frozen=True, slots=True)
class SeverityRules:
    """Thresholds in USD: of what it has come to, and of what the next 24 hours would add."""

    warning_usd: Decimal = Decimal(20)
    critical_usd: Decimal = Decimal(200)
    warning_usd_per_day: Decimal = Decimal(200)
    critical_usd_per_day: Decimal = Decimal(2_000)

    def of(self, excess: Decimal, projected_24h: Decimal, *, going_on: bool) -> Severity:
        """By the dollars so far, in either direction, and while it goes on by those to come."""
        so_far, ahead = abs(excess), abs(projected_24h) if going_on else Decimal(0)
        if so_far >= self.critical_usd or ahead >= self.critical_usd_per_day:
            return Severity.CRITICAL
        if so_far >= self.warning_usd or ahead >= self.warning_usd_per_day:
            return Severity.WARNING
        return Severity.INFO
