"""What the stages write: positions, charges, dead letters."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from schemas.base import Contract, Count, Money, UtcTime
from schemas.events import EventType


class Position(NamedTuple):
    """Where a record stands in Kafka, or in a replayed file (topic = file, partition 0, offset = row)."""

    topic: str
    partition: int
    offset: int

    @property
    def origin(self) -> tuple[str, int]:
        """The source partition."""
        return self.topic, self.partition


class PriceStatus(StrEnum):
    """How a charge's money came about."""

    PRICED = "priced"  # from a price book or a rate card, by event time
    BILLED = "billed"  # the bill's own costs
    UNPRICED = "unpriced"  # no price is known: the costs are missing, not zero


class Charge(Contract):
    """One usage event (or one owner's part of it), priced and tagged.

    Money is in `currency`; None means not known, never zero.
    """

    source: str
    id: str
    type: EventType
    time: UtcTime
    received_at: UtcTime
    period_start: UtcTime
    period_end: UtcTime

    provider: str = ""
    service: str = ""
    model: str = ""
    sku: str = ""
    sku_id: str = ""
    region: str = ""
    account: str = ""
    account_name: str = ""
    resource: str = ""
    resource_name: str = ""
    commitment: str = ""  # the commitment discount that a line of a bill belongs to
    operation: str = ""
    cluster: str = ""
    namespace: str = ""
    workload: str = ""
    accelerator: str = ""
    capacity_type: str = ""
    service_tier: str = ""
    batch: bool = False
    charge_category: str = "Usage"
    charge_class: str = ""
    charge_description: str = ""

    requests: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_input_tokens: Count = 0
    cache_creation_input_tokens: Count = 0
    cache_creation_1h_input_tokens: Count = 0
    reasoning_output_tokens: Count = 0
    counts: dict[str, Money] = Field(default_factory=dict)  # what else was billed, by genai-prices' unit names
    price_context: dict[str, str] = Field(default_factory=dict)  # what else the price depended on
    gpu_minutes: Money | None = None
    utilization: float | None = None
    quantity: Money | None = None
    unit: str = ""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    list_cost: Money | None = None
    contracted_cost: Money | None = None
    effective_cost: Money | None = None
    billed_cost: Money | None = None
    effective_cost_usd: Money | None = None  # what windows and budgets sum; None where no dated rate converts it
    estimated_cost: Money | None = None  # spend at risk of an unpriced charge, in USD
    unit_prices: dict[str, Money] = Field(default_factory=dict)
    price_source: str = ""
    price_version: str = ""
    price_status: PriceStatus

    team: str = ""
    project: str = ""
    environment: str = ""
    feature: str = ""
    cost_center: str = ""
    principal: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    allocation: str = "unallocated"  # the rule that decided
    part: int = 0  # a shared cost is split among owners: part 0, 1, ... of `parts`, which sum to the whole
    parts: int = 1


class ChargeRecord(Contract):
    """What came of one source record. Its position lets a redelivery be recognised.

    Charges stand on `spend.charges` by column, for several records at a time (`streams.core.columns.packed`). This is
    how release 0.1 wrote them, and it is read still.

    A record with `caught_up_at` has no charges and no offset (-1): it says that at this time the source partition was
    read to its end, so that silence can be told from a backlog.
    """

    topic: str
    partition: int
    offset: int
    charges: list[Charge]
    caught_up_at: UtcTime | None = None

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset)


class Correction(Contract):
    """A re-priced event: what it was charged until now, and what from now on. It lands as signed rows that take back
    the one and add the other. `revision` counts the event's corrections; with its identity it counts once."""

    reprice_id: str
    revision: Annotated[int, Field(ge=1)]
    topic: str  # the position of the usage record, as before
    partition: int
    offset: int
    before: Annotated[list[Charge], Field(min_length=1)]
    after: Annotated[list[Charge], Field(min_length=1)]


class Reason(StrEnum):
    """Why an event became a dead letter. Bounded: it is a metric label."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_AN_EVENT = "not_an_event"
    UNKNOWN_TYPE = "unknown_type"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NEGATIVE = "negative"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    PART_EXCEEDS_WHOLE = "part_exceeds_whole"
    BAD_PERIOD = "bad_period"
    BAD_USAGE = "bad_usage"  # a provider's usage body of a shape that is not known
    BAD_TIME = "bad_time"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    INTERNAL_ERROR = "internal_error"


class DeadLetter(Contract):
    """An event that could not be charged: where it stands and why. Never its content."""

    dead_letter_id: str
    topic: str
    partition: int
    offset: int
    index: int | None = None  # place in the record's array; None when the record holds one event, or could not be read
    reason: Reason
    field: str = ""
    problem: str = ""
    event_source: str = ""
    event_id: str = ""
    event_type: str = ""
    payload_bytes: int = 0
    payload_sha256: str = ""
    received_at: UtcTime


Meter = Literal["token_call", "gpu_usage", "line_item"]
METER_BY_TYPE: dict[str, Meter] = {
    "spendstream.token_call.v1": "token_call",
    "spendstream.gpu_usage.v1": "gpu_usage",
    "spendstream.line_item.v1": "line_item",
}
