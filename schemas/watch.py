"""What is watched and what comes of it: sums of a window, findings, alerts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Contract, Money, UtcTime
from schemas.records import Meter

DIMENSIONS = (
    "provider", "model", "service", "account", "region", "team", "project", "environment", "feature", "principal",
    "cluster", "accelerator", "capacity_type",
)  # fmt: skip
"""What a series may be named by. A series is a {dimension: value}; the empty one is everything."""


MONEY = (
    "usd", "output_usd", "cache_read_usd", "gpu_minutes", "idle_usd", "metered_usd", "unallocated_usd", "at_risk_usd",
)  # fmt: skip
COUNTS = ("events", "requests", "input_tokens", "output_tokens", "cache_read_input_tokens", "unpriced_events")
SUMS = (*MONEY, *COUNTS)
"""What windows sum: decimals, and whole numbers. `usd` is effective cost, of which `output_usd` for answers and
`cache_read_usd` for cached input; `idle_usd` of GPUs paid for and unused, `metered_usd` of GPUs whose utilization is
known; `at_risk_usd` the estimated cost of events without a price."""

_PART = rf"^[\d,]*(\|[^|]*){{{len(DIMENSIONS)}}}$"


class Ticks(Contract):
    """The parts of a closed window as one partition of `spend.charges` has them, which is `topic` and `partition`.

    They are those that count in series of this partition of `spend.ticks`. A part is what shares all dimensions.

    An upsert of (window, partition of charges), so repeating it is harmless: what has the `piece` 0 takes the place of
    all that was said before, and a window with very many parts goes on in further pieces.

    It is by column: the part at each place of `parts` has its sums at the same place of each column of `sums`.

    Since format 5 the topic has it as bytes, but for sums that 64 bits do not hold: a 5, the lengths of the JSON and of
    all (4 bytes each, the least first), then all as one LZ4 block: JSON with `fields` and `places` by position where it
    had `sums`, `places` and `aligned`, and behind it the fields' columns, 8 bytes a number. States have it as JSON.
    """

    type: Literal["ticks"] = "ticks"
    meter: Meter
    window_start: UtcTime
    window_seconds: int
    topic: str
    partition: int
    piece: int = 0
    names: list[list[str]]
    """The dimensions that series are named by (`roll.series`)."""
    parts: list[Annotated[str, Field(pattern=_PART)]]
    """Each part as one text of fields with a `|` between them: the places in `names` of the series that it counts in,
    by commas (its values of these dimensions name the series), and its values in the order of `DIMENSIONS`, empty where
    it has none. In a value `~1` stands for a `|` and `~0` for a `~`."""
    sums: dict[Literal[SUMS], list[int] | list[str]]  # type: ignore[valid-type]  # of names that stand above once
    """A column without anything is left out. Money is in whole units of 10 to the minus `places`. A column with a sum
    that 64 bits do not hold is decimal text."""
    places: dict[Literal[MONEY], int]  # type: ignore[valid-type]  # as above
    aligned: dict[int, list[int]] = Field(default_factory=dict)
    """By the seconds of a bucket, how many of each part's events stand exactly at the end of one: from it the pace of a
    source that reports buckets is learnt."""


class Watermark(Contract):
    """All windows of a meter that end at or before `time` are complete, as far as a partition of `spend.charges` goes.

    It goes to every partition of `spend.ticks`, behind the ticks it speaks of. `idle` takes the partition out of the
    minimum until it speaks again. `over` ends one: what it said of windows that end after `time` does not count (until
    format 3 source partitions had windows of their own).
    """

    type: Literal["watermark"] = "watermark"
    meter: Meter
    window_seconds: int
    topic: str
    partition: int
    time: UtcTime
    idle: bool = False
    over: bool = False


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
    excess_usd: Money
    share: float


class Decomposition(Contract):
    """Price, volume and mix of the excess. The four sum to `excess_usd` exactly. USD."""

    volume: Money  # more (or fewer) requests or GPU-minutes
    tokens_per_request: Money  # longer prompts or answers
    unit_price: Money  # dearer tokens: cache misses, tiers, prices
    mix: Money  # other models


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
    expected_usd_per_hour: Money
    observed_usd_per_hour: Money
    excess_usd: Money  # observed less expected since opened_at; negative for a drop
    projected_usd_24h: Money  # the excess of the next 24 hours if nothing changes
    score: float
    severity: Severity
    drivers: list[Driver] = Field(default_factory=list)
    decomposition: Decomposition | None = None
    cause: str = ""  # volume, tokens_per_request, unit_price, mix, or the kind where no such part applies
    explanation: str
    remedies: list[str] = Field(default_factory=list)


Says = Literal["false_positive", "expected"]
"""What a person says of a finding. `expected`: this level is the usual one from now on. `false_positive`: it is not,
but the same again shall not be told."""


class Feedback(Contract):
    """What a person said of a finding, on `spend.ticks` in the partition of the finding's series.

    It takes effect behind the windows that stand before it. Repeating it is harmless.
    """

    type: Literal["feedback"] = "feedback"
    finding_id: str
    meter: Meter
    series: dict[str, str]
    kind: FindingKind
    says: Says
    by: str  # who said it: a user name, or what answered for the user
    at: UtcTime


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
    excess_usd: Money
    expected_usd_per_hour: Money
    observed_usd_per_hour: Money
    projected_usd_24h: Money
    drivers: list[Driver] = Field(default_factory=list)
    decomposition: Decomposition | None = None
    cause: str = ""
    remedies: list[str] = Field(default_factory=list)
    findings: list[str]  # ids of all findings grouped under it
