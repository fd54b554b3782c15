"""Events for tests of pricing and tagging, and where the shared data lies."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from schemas.events import GPU_USAGE, LINE_ITEM, TOKEN_CALL, GpuUsage, LineItem, TokenCall, UsageEvent
from streams.core.price import Pricer
from streams.io.rates import load_pricer

SHARED = Path(__file__).parents[2].parent / "shared"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@cache
def shipped() -> Pricer:
    """The pricer over what is shipped alone."""
    return load_pricer()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def call(at: datetime = NOON, **data: Any) -> UsageEvent:
    """A token call; by default one of a model that is priced."""
    fields = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100, **data}
    return UsageEvent(source="/test", id="1", type=TOKEN_CALL, time=at, data=TokenCall.model_validate(fields))


def gpu(at: datetime = NOON, **data: Any) -> UsageEvent:
    """GPU-minutes; by default an hour of an H100 on AWS."""
    fields = {"provider": "aws", "accelerator": "nvidia-h100-80gb", "gpu_minutes": 60, **data}
    return UsageEvent(source="/test", id="1", type=GPU_USAGE, time=at, data=GpuUsage.model_validate(fields))


def line(**data: Any) -> UsageEvent:
    """A line item of one dollar."""
    fields = {
        "BilledCost": "1",
        "EffectiveCost": "1",
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargePeriodStart": "2026-10-01T00:00:00Z",
        "ChargePeriodEnd": "2026-10-02T00:00:00Z",
        "ServiceName": "Amazon Elastic Compute Cloud",
        **data,
    }
    return UsageEvent(source="/test", id="1", type=LINE_ITEM, time=NOON, data=LineItem.model_validate(fields))
