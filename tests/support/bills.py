"""Small bills with an incident in them, as NDJSON of events, and what is known of the incident."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 2, tzinfo=UTC)
SPIKE = (24 * 7 + 3, 24 * 7 + 15)  # hours of the history in which the service `search` costs eight times as much


def line(hour: int, service: str, usd: float, currency: str = "USD") -> dict[str, object]:
    """One line of an hourly bill."""
    start = START + timedelta(hours=hour)
    end = start + timedelta(hours=1)
    data = {
        "BilledCost": usd, "EffectiveCost": usd, "ListCost": usd, "ContractedCost": usd, "BillingCurrency": currency,
        "ChargeCategory": "Usage", "ChargePeriodStart": start.isoformat(), "ChargePeriodEnd": end.isoformat(),
        "ServiceName": service, "ServiceProviderName": "AWS", "SubAccountId": "acct-1", "SkuMeter": f"{service}-hours",
        "Tags": {"team": "ads"} if service == "search" else {},
    }  # fmt: skip
    return {
        "specversion": "1.0", "id": f"{service}-{hour}-{currency}", "source": "/bills/test",
        "type": "spendstream.line_item.v1", "time": end.isoformat(), "data": data,
    }  # fmt: skip


def bill(path: Path, hours: int = 24 * 10, currencies: tuple[str, ...] = ("USD",), times: float = 8.0) -> Path:
    """Write an hourly bill of two services; `search` costs `times` as much in SPIKE."""
    lines = []
    for hour in range(hours):
        wobble = 1 + 0.03 * ((hour * 7) % 5)
        usual = 1.5 * wobble * (times if SPIKE[0] <= hour < SPIKE[1] else 1.0)
        for currency in currencies:
            lines += [line(hour, "search", round(usual, 4), currency), line(hour, "store", 0.5, currency)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in lines) or "[]\n", encoding="utf-8")
    return path


def labels(path: Path, *, kind: str = "bill", warmup_days: float = 4) -> Path:
    """Write what is known of `bill` as the benchmarks' labels."""
    start, end = (START + timedelta(hours=hour) for hour in SPIKE)
    known = {
        "kind": kind, "start": START.isoformat(), "end": (START + timedelta(days=10)).isoformat(),
        "warmup_days": warmup_days,
        "labels": [
            {"id": "spike-0", "kind": "bill_spike", "start": start.isoformat(), "end": end.isoformat(),
             "series": {"service": "search"}, "excess_usd": 126.0, "expect": "alert"},
            {"id": "quiet-0", "kind": "ordinary", "start": (START + timedelta(days=5)).isoformat(),
             "end": (START + timedelta(days=6)).isoformat(), "series": {"service": "store"}, "expect": "silence"},
        ],
    }  # fmt: skip
    path.write_text(json.dumps(known), encoding="utf-8")
    return path
