"""The three usage events, as producers send them in the `data` of a CloudEvent."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from schemas.base import Amount, Contract, Count, Name, OptionalName, Quantity, Tags, Text, UtcTime

TOKEN_CALL = "spendstream.token_call.v1"  # noqa: S105  the name of an event type, not a secret
GPU_USAGE = "spendstream.gpu_usage.v1"
LINE_ITEM = "spendstream.line_item.v1"

EventType = Literal["spendstream.token_call.v1", "spendstream.gpu_usage.v1", "spendstream.line_item.v1"]


class TokenCall(Contract):
    """A model call, or a bucket of calls. Names follow OpenTelemetry GenAI without the `gen_ai.` prefix.

    `input_tokens` counts all input, cached included; `output_tokens` all output, reasoning included.
    `principal` is an API key's id, a user or a service account: never the key itself. `counts` holds what else is
    billed, by genai-prices' unit names (`input_audio_tokens`, `output_image_tokens`, `web_searches`, `audio_seconds`):
    its token counts are parts of `input_tokens` or `output_tokens`. `price_context` is what else a price depends on
    (`speed`, `route`, `search_type`, `inference_geo`).
    """

    PARTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "input_tokens": ("cache_read_input_tokens", "cache_creation_input_tokens"),
        "cache_creation_input_tokens": ("cache_creation_1h_input_tokens",),
        "output_tokens": ("reasoning_output_tokens",),
    }

    provider: Name
    model: Name
    operation: Name = "chat"
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_input_tokens: Count = 0
    cache_creation_input_tokens: Count = 0
    cache_creation_1h_input_tokens: Count = 0  # written to be kept for an hour, not the usual five minutes: dearer
    reasoning_output_tokens: Count = 0
    counts: Annotated[dict[Name, Quantity], Field(max_length=64)] = Field(default_factory=dict)
    price_context: Annotated[dict[Name, Name], Field(max_length=8)] = Field(default_factory=dict)
    service_tier: OptionalName = None
    batch: Annotated[bool, Field(strict=True)] = False
    requests: Annotated[int, Field(strict=True, ge=1, le=10**12)] = 1
    duration_ms: Annotated[float, Field(strict=True, ge=0)] | None = None
    status: OptionalName = None
    principal: OptionalName = None
    account: OptionalName = None
    region: OptionalName = None
    tags: Tags = Field(default_factory=dict)

    @model_validator(mode="after")
    def parts_within_whole(self) -> Self:
        """A part larger than its whole means the producer counts cached tokens outside `input_tokens`."""
        for whole, parts in self.PARTS.items():
            total = sum(getattr(self, part) for part in parts)
            if total > getattr(self, whole):
                raise ValueError(f"part_exceeds_whole:{parts[0]}: {' + '.join(parts)} is more than {whole}")
        return self


class GpuUsage(Contract):
    """GPU time used or held, in GPU-minutes (8 GPUs for 1 minute are 8). `energy_joules` is measured, not billed."""

    provider: Name
    accelerator: Name
    gpu_minutes: Quantity
    utilization: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    capacity_type: Literal["on_demand", "spot", "reserved", "owned"] = "on_demand"
    instance_type: OptionalName = None
    region: OptionalName = None
    cluster: OptionalName = None
    namespace: OptionalName = None
    workload: OptionalName = None
    energy_joules: Annotated[float, Field(strict=True, ge=0)] | None = None
    principal: OptionalName = None
    account: OptionalName = None
    tags: Tags = Field(default_factory=dict)


Category = Literal["Usage", "Purchase", "Tax", "Credit", "Adjustment"]


class LineItem(Contract):
    """A row of a cloud bill under its FOCUS 1.4 column names; the names of 1.0 to 1.3 are taken as aliases.

    Costs may be negative in credits and corrections. Money may be sent as decimal text to keep every digit.
    """

    BilledCost: Amount
    EffectiveCost: Amount
    ListCost: Amount | None = None
    ContractedCost: Amount | None = None
    BillingCurrency: Annotated[str, Field(strict=True, pattern=r"^[A-Z]{3}$")]
    ChargeCategory: Category
    ChargeClass: Literal["Correction"] | None = None
    ChargePeriodStart: UtcTime
    ChargePeriodEnd: UtcTime
    BillingPeriodStart: UtcTime | None = None
    BillingPeriodEnd: UtcTime | None = None
    ServiceName: Name
    ServiceCategory: OptionalName = None
    ServiceProviderName: OptionalName = Field(
        default=None, validation_alias=AliasChoices("ServiceProviderName", "ProviderName")
    )
    HostProviderName: OptionalName = Field(
        default=None, validation_alias=AliasChoices("HostProviderName", "PublisherName")
    )
    InvoiceIssuerName: OptionalName = None
    InvoiceId: OptionalName = None
    BillingAccountId: OptionalName = None
    SubAccountId: OptionalName = None
    SubAccountName: OptionalName = None
    RegionId: OptionalName = None
    ResourceId: Text | None = None
    ResourceName: Text | None = None
    SkuId: OptionalName = None
    SkuPriceId: OptionalName = None
    SkuMeter: OptionalName = None
    ChargeDescription: Text | None = None
    ChargeFrequency: OptionalName = None
    CommitmentDiscountId: Text | None = None
    CommitmentDiscountStatus: OptionalName = None
    PricingCategory: OptionalName = None
    ListUnitPrice: Amount | None = None
    ContractedUnitPrice: Amount | None = None
    ConsumedQuantity: Amount | None = None
    ConsumedUnit: OptionalName = None
    PricingQuantity: Amount | None = None
    PricingUnit: OptionalName = None
    Tags: dict[str, str | None] = Field(default_factory=dict)

    @field_validator("Tags", mode="before")
    @classmethod
    def no_tags_is_empty(cls, value: object) -> object:
        return {} if value is None else value

    @model_validator(mode="after")
    def period_runs_forward(self) -> Self:
        if self.ChargePeriodEnd < self.ChargePeriodStart:
            raise ValueError("bad_period:ChargePeriodEnd: is before ChargePeriodStart")
        return self


UsageData = TokenCall | GpuUsage | LineItem
DATA_BY_TYPE: dict[str, type[TokenCall] | type[GpuUsage] | type[LineItem]] = {
    TOKEN_CALL: TokenCall,
    GPU_USAGE: GpuUsage,
    LINE_ITEM: LineItem,
}


class UsageEvent(Contract):
    """A usage event with its CloudEvents identity: (`source`, `id`) is unique per distinct event."""

    source: Annotated[str, Field(strict=True, min_length=1, max_length=512)]
    id: Annotated[str, Field(strict=True, min_length=1, max_length=512)]
    type: EventType
    time: UtcTime
    data: UsageData

    @property
    def identity(self) -> tuple[str, str]:
        """What duplicates share."""
        return self.source, self.id
