"""Monthly allowances of a team, project or person: how much of one is gone, how fast, and when it will be used up.

A finding opens at a threshold, or earlier when money burns so fast that it will not last: both the last hour and the
last six must say so, so that neither a burst nor an old story pages.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.watch import Finding, FindingKind, Severity
from streams.core.detect.decompose import MICRO
from streams.core.detect.explain import name_of
from streams.core.detect.lifecycle import finding_id
from streams.core.detect.rules import HOUR, Budget
from streams.core.windows.sums import Window, utc

SHORT, LONG = 1, 6  # hours over which a burn must be fast
FAST = 2.0  # times the pace at which the allowance just lasts
MONTH_KNOWN = 0.02  # of the month that must have passed: its first hours say little of it
ZERO = Decimal(0)


@dataclass(slots=True)
class _Month:
    """What has been used since the month began."""

    start: int
    end: int
    used: Decimal = ZERO
    usd: Decimal = ZERO
    told: int = 0  # thresholds told; a fast burn counts as one
    finding_at: int = 0  # when the finding began; 0: there is none
    revision: int = -1


class BudgetWatch:
    """One budget. Takes windows of its series in; gives findings."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._month: _Month | None = None
        self._hours: list[tuple[int, Decimal]] = []  # (hour since the epoch, used), the newest last

    def window(self, window: Window) -> list[Finding]:
        """Take in a base window."""
        if window.meter not in self.budget.meters:
            return []
        out = self._turn(window)
        month = self._month
        if month is None:  # a window of a month that is over
            return out
        sums = window.sums
        used = sums.usd if self.budget.unit == "usd" else Decimal(sums.input_tokens + sums.output_tokens)
        month.used += used
        month.usd += sums.usd
        hour = window.start // HOUR
        if self._hours and self._hours[-1][0] == hour:
            self._hours[-1] = (hour, self._hours[-1][1] + used)
        else:
            self._hours = [*(pair for pair in self._hours if pair[0] > hour - LONG), (hour, used)]
        due = self._due(window.end, month)
        if due > month.told:
            month.told = due
            out.append(self._finding(window, month, window.end))
        return out

    def settle(self) -> None:
        """Forget the finding, which nobody was told of; what has been used, and which thresholds are behind, stays."""
        if self._month is not None:
            self._month.finding_at, self._month.revision = 0, -1

    @property
    def is_open(self) -> bool:
        return self._month is not None and self._month.finding_at > 0

    def _turn(self, window: Window) -> list[Finding]:
        """Begin a new month when the window is in one; the finding of the old one is closed."""
        old = self._month
        if old is not None and window.start < old.end:
            return []
        at = utc(window.start)
        first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = first + timedelta(days=monthrange(at.year, at.month)[1])
        self._month, self._hours = _Month(int(first.timestamp()), int(end.timestamp())), []
        return [self._finding(window, old, old.end, closed=True)] if old is not None and old.finding_at else []

    def _due(self, now: int, month: _Month) -> int:
        """How many things are worth telling by now."""
        share = float(month.used / self.budget.amount)
        reached = sum(share >= threshold for threshold in self.budget.thresholds)
        return reached + 1 if reached else int(self._burns(now, month))

    def _burns(self, now: int, month: _Month) -> bool:
        """Whether it goes so fast, now and for some hours, that the allowance will not last."""
        passed = (now - month.start) / (month.end - month.start)
        if passed < MONTH_KNOWN:
            return False
        even = float(self.budget.amount) * HOUR / (month.end - month.start)  # per hour
        hour = (now - 1) // HOUR
        rates = [
            float(sum((used for at, used in self._hours if at > hour - hours), ZERO)) / hours for hours in (SHORT, LONG)
        ]
        exhausted = self._exhausted(now, month)
        return min(rates) >= FAST * even and exhausted is not None

    def _exhausted(self, now: int, month: _Month) -> datetime | None:
        """When the allowance is used up at the pace of the last hours; None when it lasts the month."""
        left = self.budget.amount - month.used
        if left <= 0:
            return utc(now)
        hour = (now - 1) // HOUR
        rate = sum((used for at, used in self._hours if at > hour - LONG), ZERO) / LONG
        if not rate:
            return None
        seconds = float(left / rate) * HOUR
        return utc(now + seconds) if now + seconds < month.end else None

    def _finding(self, window: Window, month: _Month, now: int, *, closed: bool = False) -> Finding:
        month.finding_at = month.finding_at or now
        month.revision += 1
        hours = Decimal(max(now - month.start, 1)) / HOUR
        length = Decimal(month.end - month.start) / HOUR
        in_usd = self.budget.unit == "usd"
        allowed = self.budget.amount / length if in_usd else ZERO  # USD per hour that just last
        over = max(ZERO, month.usd - self.budget.amount) if in_usd else ZERO
        spent = (month.usd / hours).quantize(MICRO)
        share = float(month.used / self.budget.amount)
        return Finding.model_construct(
            type="finding",
            finding_id=finding_id(
                FindingKind.BUDGET_BURN, window.meter, self.budget.series, window.seconds, month.finding_at
            ),
            revision=month.revision,
            status="closed" if closed else "open",
            kind=FindingKind.BUDGET_BURN,
            meter=window.meter,
            series=dict(self.budget.series),
            cadence_seconds=window.seconds,
            opened_at=utc(month.finding_at),
            detected_at=utc(month.finding_at),
            last_seen_at=utc(now),
            closed_at=utc(now) if closed else None,
            expected_usd_per_hour=allowed.quantize(MICRO),
            observed_usd_per_hour=spent,
            excess_usd=over.quantize(MICRO),
            projected_usd_24h=(spent * 24).quantize(MICRO),
            score=round(share, 4),
            severity=Severity.CRITICAL if share >= 1 else Severity.WARNING,
            drivers=[],
            decomposition=None,
            cause=FindingKind.BUDGET_BURN.value,
            explanation=self._sentence(month, share, now),
            remedies=[],
        )

    def _sentence(self, month: _Month, share: float, now: int) -> str:
        unit = "USD" if self.budget.unit == "usd" else "tokens"
        allowance = f"{self.budget.amount:,} {unit} of {utc(month.start):%B %Y}"
        said = f"{name_of(self.budget.series)} has used {share:.0%} of its {allowance}"
        if share >= 1:
            return f"{said}: the allowance is gone."
        exhausted = self._exhausted(now, month)
        if exhausted is None:
            return f"{said}; at the pace of the last hours it lasts the month."
        return f"{said}; at the pace of the last hours it is gone on {exhausted:%d %B}."

    def to_json(self) -> dict[str, Any]:
        month = self._month
        return {
            "hours": [[hour, str(used)] for hour, used in self._hours],
            "month": None if month is None else [
                month.start, month.end, str(month.used), str(month.usd), month.told, month.finding_at, month.revision,
            ],
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `to_json`."""
        self._hours = [(hour, Decimal(used)) for hour, used in state["hours"]]
        month = state["month"]
        self._month = None
        if month is not None:
            start, end, used, usd, *rest = month
            self._month = _Month(start, end, Decimal(used), Decimal(usd), *rest)
