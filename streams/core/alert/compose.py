"""A group of findings as the alert that says it."""

from __future__ import annotations

from typing import Literal, cast

from schemas.watch import Alert
from streams.core.alert import words
from streams.core.alert.group import Group
from streams.core.alert.remedies import remedies_for


def compose(group: Group) -> Alert:
    """The alert as it stands. `detected_at` is when it paged, in event time; the severity is the highest so far."""
    core = group.core
    if group.paged_at is None:
        raise ValueError(f"group of finding {group.first}: it hasn't paged, so there is no alert")
    resolved = group.status == "resolved"
    return Alert(
        alert_id=group.alert_id,
        revision=group.alert_revision,
        status=cast(Literal["firing", "resolved"], group.status),
        finding_id=core.finding_id,
        kind=core.kind,
        meter=core.meter,
        series=core.series,
        opened_at=core.opened_at,
        detected_at=group.paged_at,
        updated_at=group.updated_at or group.paged_at,
        resolved_at=group.ended_at if resolved else None,
        severity=group.severity,
        title=words.title(core),
        explanation=words.explanation(core),
        excess_usd=core.excess_usd,
        expected_usd_per_hour=core.expected_usd_per_hour,
        observed_usd_per_hour=core.observed_usd_per_hour,
        projected_usd_24h=core.projected_usd_24h,
        drivers=core.drivers,
        decomposition=core.decomposition,
        cause=core.cause,
        remedies=remedies_for(core),
        findings=sorted(group.findings),
    )
