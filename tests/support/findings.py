"""Findings, marks and alerts for tests, by what matters in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.watch import Alert, Driver, Finding, FindingKind, Mark, Severity

START = datetime(2026, 11, 12, 10, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """A moment of the tests' day."""
    return START + timedelta(minutes=minutes)


def driver(share: float, **series: str) -> Driver:
    return Driver(series=series, excess_usd=Decimal(1), share=share)


def finding(
    series: dict[str, str],
    excess: float = 10.0,
    *,
    opened: float = 0.0,
    seen: float | None = None,
    closed: float | None = None,
    revision: int = 0,
    kind: FindingKind = FindingKind.SPIKE,
    drivers: Sequence[Driver] = (),
    per_hour: float | None = None,
    **more: Any,
) -> Finding:
    """A finding by its series and its excess in USD; times in minutes. Its id is that of kind, series and opening."""
    name = ",".join(f"{k}={v}" for k, v in sorted(series.items())) or "all"
    rate = Decimal(str(per_hour if per_hour is not None else excess))
    expected = Decimal(2) if excess >= 0 else -rate
    body: dict[str, Any] = {
        "finding_id": f"{kind.value}|{name}|{opened:g}",
        "revision": revision,
        "status": "open" if closed is None else "closed",
        "kind": kind,
        "meter": "token_call",
        "series": series,
        "cadence_seconds": 60,
        "opened_at": at(opened),
        "detected_at": at(opened + 1),
        "last_seen_at": at(seen if seen is not None else opened + 1),
        "closed_at": None if closed is None else at(closed),
        "expected_usd_per_hour": expected,
        "observed_usd_per_hour": expected + rate,
        "excess_usd": Decimal(str(excess)),
        "projected_usd_24h": rate * 24,
        "score": 9.0,
        "severity": Severity.WARNING,
        "drivers": list(drivers),
        "explanation": "",
    }
    return Finding(**body | more)


def mark(minutes: float, partition: int = 0, **more: Any) -> Mark:
    body: dict[str, Any] = {"meter": "token_call", "window_seconds": 10, "partition": partition, "time": at(minutes)}
    return Mark(**body | more)


def last(alerts: Sequence[Alert]) -> dict[str, Alert]:
    """The newest state of each alert, by what its series names."""
    newest = {alert.alert_id: alert for alert in alerts}
    return {",".join(f"{k}={v}" for k, v in sorted(a.series.items())) or "all": a for a in newest.values()}
