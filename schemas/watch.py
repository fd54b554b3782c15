"""What is watched and what comes of it: sums of a window, findings, alerts."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import Amount, Contract, UtcTime
from schemas.records import Meter

DIMENSIONS = (
    "provider", "model", "service", "account", "region", "team", "project", "environment", "feature", "principal",
    "cluster", "accelerator", "capacity_type",
)  # fmt: skip
"""What a series may be named by. A series is a {dimension: value}; the empty one is everything."""


class Sums(Contract):
    """What one window of one series adds up to. Costs are effective costs in USD."""

    usd: Amount = Decimal(0)
    events: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    gpu_minutes: Amount = Decimal(0)
    idle_usd: Amount = Decimal(0)  # of GPUs paid for and unused
    metered_usd: Amount = Decimal(0)  # of GPUs with utilization
    unallocated_usd: Amount = Decimal(0)
    unpriced_events: int = 0
    at_risk_usd: Amount = Decimal(0)


class Cell(Contract):
    """A part of a series' window: everything in it that shares these dimensions."""

    series: dict[str, str]
    sums: Sums


class Tick(Contract):
    """A closed window of one series as one source partition saw it. An upsert, so repeating it is harmless.

    `cells` are the window's finest parts, dearest first, at most `roll.max_cells`; what was cut is in `sums` alone.
    `aligned` counts the events that stand exactly at the end of a 60, 300, 3600, 86400 seconds bucket: from it the
    pace of a source that reports buckets is learnt.
    """

    type: Literal["tick"] = "tick"
    meter: Meter
    series: dict[str, str]
    window_start: UtcTime
    window_seconds: int
    topic: str
    partition: int
    sums: Sums
    cells: list[Cell] = Field(default_factory=list)
    aligned: dict[int, int] = Field(default_factory=dict)


class Watermark(Contract):
    """All windows of a meter that end at or before `time` are complete, as far as one source partition goes.

    It goes to every partition of `spend.ticks`, behind the ticks it speaks of. `idle` takes the source partition out
    of the minimum until it speaks again.
    """

    type: Literal["watermark"] = "watermark"
    meter: Meter
    window_seconds: int
    topic: str
    partition: int
    time: UtcTime
    idle: bool = False


class FindingKind(StrEnum):
    SPIKE = "spike"
    DROP = "drop"
    CREEP = "creep"
    NEW_SERIES = "new_series"
    UNPRICED = "unpriced"
    UNALLOCATED = "unallocated"
    IDLE = "idle"
    BUDGET_BURN = "budget_burn"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Driver(Contract):
    """A part of the series that explains the excess. `share` is its part of the excess, 0 to 1."""

    series: dict[str, str]
    excess_usd: Amount
    share: float


class Decomposition(Contract):
    """Price, volume and mix of the excess. The four sum to `excess_usd` exactly. USD."""

    volume: Amount  # more (or fewer) requests or GPU-minutes
    tokens_per_request: Amount  # longer prompts or answers
    unit_price: Amount  # dearer tokens: cache misses, tiers, prices
    mix: Amount  # other models


class Finding(Contract):
    """Something that a series did unlike itself: a lifecycle. Each record on the topic is its whole state so far.

    `finding_id` depends only on kind, series and start, so that a repeated run writes the same. Times are event times.
    """

    type: Literal["finding"] = "finding"
    finding_id: str
    revision: int  # 0, 1, 2, ...: the highest is the newest
    status: Literal["open", "closed"]
    kind: FindingKind
    meter: Meter
    series: dict[str, str]
    cadence_seconds: int  # the width of the windows that the series is watched by
    opened_at: UtcTime  # when the unusual began
    detected_at: UtcTime  # when it could first be known: the end of the deciding window
    last_seen_at: UtcTime
    closed_at: UtcTime | None = None
    expected_usd_per_hour: Amount
    observed_usd_per_hour: Amount
    excess_usd: Amount  # observed less expected since opened_at; negative for a drop
    projected_usd_24h: Amount  # the excess of the next 24 hours if nothing changes
    score: float
    severity: Severity
    drivers: list[Driver] = Field(default_factory=list)
    decomposition: Decomposition | None = None
    cause: str = ""  # volume, tokens_per_request, unit_price, mix, or the kind where no such part applies
    explanation: str
    remedies: list[str] = Field(default_factory=list)


class Mark(Contract):
    """Everything that one partition of `spend.ticks` had to say up to `time` stands before this on `spend.findings`."""

    type: Literal["mark"] = "mark"
    meter: Meter
    window_seconds: int
    partition: int
    time: UtcTime


class Alert(Contract):
    """What pages: one per incident. Each record on the topic is its whole state so far."""

    alert_id: str
    revision: int
    status: Literal["firing", "resolved"]
    finding_id: str  # of the narrowest series that explains it
    kind: FindingKind
    meter: Meter
    series: dict[str, str]
    opened_at: UtcTime
    detected_at: UtcTime
    updated_at: UtcTime
    resolved_at: UtcTime | None = None
    severity: Severity
    title: str
    explanation: str
    excess_usd: Amount
    expected_usd_per_hour: Amount
    observed_usd_per_hour: Amount
    projected_usd_24h: Amount
    drivers: list[Driver] = Field(default_factory=list)
    decomposition: Decomposition | None = None
    cause: str = ""
    remedies: list[str] = Field(default_factory=list)
    findings: list[str]  # ids of all findings grouped under it
