"""Records as the stages write them, with what a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from schemas.records import Charge, DeadLetter, PriceStatus, Reason
from schemas.watch import Alert, Decomposition, Driver, Finding, FindingKind, Severity
from streams.core.columns.block import DEFAULTS, Block
from streams.core.columns.packed import ChargeBatch, pack
from streams.core.landing.land import Columns

NOON = datetime(2026, 5, 31, 12, tzinfo=UTC)


def charge(number: int = 1, usd: str = "0.25", **fields: Any) -> Charge:
    """The charge of a token call; `number` makes its identity."""
    values = {
        "source": "/gateway", "id": f"call-{number}", "type": "spendstream.token_call.v1",
        "time": NOON, "received_at": NOON, "period_start": NOON, "period_end": NOON,
        "provider": "openai", "model": "gpt-4o", "team": "search", "requests": 1, "input_tokens": 1000,
        "list_cost": Decimal(usd), "effective_cost": Decimal(usd), "effective_cost_usd": Decimal(usd),
        "price_status": PriceStatus.PRICED,
    }  # fmt: skip
    return Charge(**{**values, **fields})


def split(number: int, usds: Sequence[str]) -> list[Charge]:
    """One event's charge, shared among teams."""
    return [charge(number, usd, team=f"team-{part}", part=part, parts=len(usds)) for part, usd in enumerate(usds)]


def batch(*content: Charge, offset: int = 0, partition: int = 0, topic: str = "usage.token-calls") -> ChargeBatch:
    """What came of one usage record."""
    return ChargeBatch(topic, partition, offset, offset, Block.of(content, [offset] * len(content)))


def charges(*content: Charge, offset: int = 0, partition: int = 0) -> bytes:
    """A value on `spend.charges`."""
    return pack(batch(*content, offset=offset, partition=partition))


def rows_of(columns: Columns | None) -> list[dict[str, Any]]:
    """What goes into a table, row by row."""
    if isinstance(columns, pa.Table):
        return [DEFAULTS | row for row in columns.to_pylist(maps_as_pydicts="strict")]
    given = columns or {}
    return [dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)]


def finding(**fields: Any) -> Finding:
    """A finding with every field set."""
    values = {
        "finding_id": "f-1", "revision": 0, "status": "open", "kind": FindingKind.SPIKE, "meter": "token_call",
        "series": {"team": "search"}, "cadence_seconds": 10, "opened_at": NOON, "detected_at": NOON,
        "last_seen_at": NOON, "expected_usd_per_hour": "1.5", "observed_usd_per_hour": "9", "excess_usd": "7.5",
        "projected_usd_24h": "180", "score": 12.5, "severity": Severity.CRITICAL,
        "drivers": [Driver(series={"principal": "key-1"}, excess_usd=Decimal(7), share=0.9)],
        "decomposition": Decomposition(
            volume=Decimal(7), tokens_per_request=Decimal(0), unit_price=Decimal("0.5"), mix=Decimal(0)
        ),
        "cause": "volume", "explanation": "search spends six times what it does", "remedies": ["revoke key-1"],
    }  # fmt: skip
    return Finding(**{**values, **fields})


def alert(**fields: Any) -> Alert:
    """An alert with every field set."""
    shared = finding().model_dump(
        exclude={"type", "revision", "status", "cadence_seconds", "last_seen_at", "closed_at"}
    )
    values = {"alert_id": "a-1", "revision": 0, "status": "firing", "updated_at": NOON, "title": "search",
              "findings": ["f-1", "f-2"]}  # fmt: skip
    return Alert(**{**shared, **values, **fields})


def dead_letter(number: int = 1, **fields: Any) -> DeadLetter:
    """A dead letter; `number` makes its identity."""
    values = {"dead_letter_id": f"d-{number}", "topic": "usage.gpu", "partition": 2, "offset": number, "index": 3,
              "reason": Reason.NEGATIVE, "field": "gpu_minutes", "problem": "must not be negative",
              "payload_bytes": 120, "payload_sha256": "ab", "received_at": NOON}  # fmt: skip
    return DeadLetter(**{**values, **fields})
