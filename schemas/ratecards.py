"""Rate cards: what a row of `schemas/rates/*.toml`, or of a rate card of your own, may say.

A price is never edited in place: a new row supersedes the old one of the same key from its `from` date. Dates are UTC
days; `from` is the first day a row holds, `until` the first day it no longer does. Money is a number or decimal text.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from schemas.base import Contract

Key = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256, to_lower=True)]
Currency = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{3}$")]


def _decimal(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise ValueError("must be a decimal number")
    return value


def _day(value: Any) -> Any:
    """TOML dates arrive as dates; refuse a time of day, which would be cut without a word."""
    if not isinstance(value, date | str) or hasattr(value, "hour"):
        raise ValueError("must be a date such as 2026-01-31")
    return value


Price = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[Decimal, BeforeValidator(_decimal), Field(gt=0, allow_inf_nan=False)]
Day = Annotated[date, BeforeValidator(_day)]


class Dated(Contract):
    """A row that holds from a day on. `source` is where a reader can check it, `note` what that source says."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    starts: Day = Field(alias="from")
    until: Day | None = None
    source: Annotated[str, Field(strict=True, min_length=1, max_length=512)]
    checked: Day | None = None  # the day somebody read the source
    note: str = ""

    @model_validator(mode="after")
    def runs_forward(self) -> Self:
        if self.until is not None and self.until <= self.starts:
            raise ValueError("until must be after from")
        return self

    def holds(self, day: date) -> bool:
        return self.starts <= day and (self.until is None or day < self.until)


class Amortisation(Contract):
    """What a machine of one's own costs: `capital` spread evenly over `years`, and what running it costs each hour."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    capital: Positive
    years: Positive
    gpus: Positive
    operating_per_hour: Price = Decimal(0)  # power, cooling, space, people: for the whole machine

    def per_gpu_hour(self) -> Decimal:
        """Per GPU and hour, to 18 decimals. A year has 8,766 hours."""
        hourly = self.capital / (self.years * 8766) + self.operating_per_hour
        return round(hourly / self.gpus, 12)


class GpuRate(Dated):
    """Price of one GPU for one hour. `region` "*" is any region that has no row of its own.

    `reserved` with `upfront` and `owned` are paid elsewhere (a purchase, a depreciation): nothing is billed
    by the minute.
    """

    provider: Key
    accelerator: Key
    capacity_type: Literal["on_demand", "spot", "reserved", "owned"] = "on_demand"
    region: Key = "*"
    instance_type: str = ""
    price_per_gpu_hour: Price | None = None
    amortisation: Amortisation | None = None
    currency: Currency = "USD"
    upfront: bool = False

    @model_validator(mode="after")
    def one_price(self) -> Self:
        if (self.price_per_gpu_hour is None) == (self.amortisation is None):
            raise ValueError("exactly one of price_per_gpu_hour and amortisation must be given")
        return self

    @cached_property
    def price(self) -> Decimal:
        """In `currency` per GPU and hour."""
        if self.amortisation is not None:
            return self.amortisation.per_gpu_hour()
        assert self.price_per_gpu_hour is not None  # noqa: S101  one_price
        return self.price_per_gpu_hour

    @property
    def key(self) -> tuple[str, ...]:
        return self.provider, self.accelerator, self.capacity_type, self.region


class TokenPrice(Dated):
    """A price of tokens that `genai-prices` has no row for: absolute, or made from its standard price.

    `model` is a glob over the model's id there, or over the name the event gives. `when` is the request context that
    it is for (`processing`, `service_tier`, ...), as in `genai-prices`. Exactly one of:
    `prices`   by genai-prices' price keys (`input_mtok`, USD per million input tokens, ...);
    `factor`   times the standard price, for `keys`;
    `backdate` the ratio of genai-prices' own later rates for the same context to the standard price of that day.
    `override` puts a row before what genai-prices knows: for your own contracts and self-hosted models.
    """

    provider: Key
    model: Key = "*"
    when: dict[str, str] = Field(default_factory=dict)
    prices: dict[str, Price] = Field(default_factory=dict)
    factor: Positive | None = None
    keys: tuple[str, ...] = ("input_mtok", "output_mtok")
    backdate: bool = False
    override: bool = False

    @model_validator(mode="after")
    def one_way(self) -> Self:
        if sum((bool(self.prices), self.factor is not None, self.backdate)) != 1:
            raise ValueError("exactly one of prices, factor and backdate must be given")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        way = "backdate" if self.backdate else "factor" if self.factor is not None else "prices"
        return self.provider, self.model, *(f"{k}={v}" for k, v in sorted(self.when.items())), way


class Discount(Dated):
    """A negotiated discount off the list price: `percent` 12.5 makes the contracted cost 87.5 % of the list cost."""

    meter: Literal["token_call", "gpu_usage"] = "token_call"
    provider: Key
    model: Key = "*"  # the accelerator, for GPUs
    account: str = "*"
    percent: Annotated[Decimal, BeforeValidator(_decimal), Field(gt=0, le=100, allow_inf_nan=False)]

    @property
    def key(self) -> tuple[str, ...]:
        return self.meter, self.provider, self.model, self.account


class Commitment(Dated):
    """Token throughput paid for in advance: calls that it covers are billed as its purchase, not one by one.

    `provisioned` units cost `usd_per_hour` and are planned to serve `planned_mtok_per_hour` (input and output tokens):
    a token's effective cost is its part of that. `prepaid` spend is drawn down at the contracted price.
    """

    kind: Literal["provisioned", "prepaid"]
    provider: Key
    model: Key = "*"
    account: str = "*"
    service_tier: str = "*"
    usd_per_hour: Positive | None = None
    planned_mtok_per_hour: Positive | None = None

    @model_validator(mode="after")
    def provisioned_has_its_price(self) -> Self:
        given = (self.usd_per_hour is not None, self.planned_mtok_per_hour is not None)
        if self.kind == "provisioned" and not all(given):
            raise ValueError("provisioned needs usd_per_hour and planned_mtok_per_hour")
        if self.kind == "prepaid" and any(given):
            raise ValueError("prepaid takes neither usd_per_hour nor planned_mtok_per_hour")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        return self.provider, self.model, self.account, self.service_tier


class FxRate(Contract):
    """From this day on one unit of `currency` is worth `usd` US dollars."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    date: Day
    currency: Currency
    usd: Positive


CARD_TABLES: dict[str, type[GpuRate] | type[TokenPrice] | type[Discount] | type[Commitment]] = {
    "gpu": GpuRate,
    "token": TokenPrice,
    "discount": Discount,
    "commitment": Commitment,
}
