"""A planned workload: what `spendstream price --workload FILE` reads."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.ratecards import Positive, Price, Share
from schemas.rules import Entry, Label

Tokens = Annotated[int, Field(strict=True, ge=0, le=10**12)]


class PlannedCalls(Entry):
    """Calls of one kind: so many a day, each with so many tokens. Several `models` are compared with each other."""

    name: Label
    models: Annotated[tuple[Label, ...], Field(min_length=1)]  # `provider/model`, or a model that only one sells
    tiers: Annotated[tuple[str, ...], Field(min_length=1)] = ("standard",)
    calls_per_day: Positive
    input_tokens: Tokens
    output_tokens: Tokens
    cache_share: Share = Decimal(0)  # of the input tokens that are read from the cache
    cached_tokens: Tokens | None = None  # or their number
    batch: bool = False
    account: str = ""

    @model_validator(mode="after")
    def cached_within_input(self) -> Self:
        if self.cached_tokens is not None and self.cached_tokens > self.input_tokens:
            raise ValueError("cached tokens are more than input_tokens, which counts them too")
        return self

    @property
    def cached(self) -> int:
        """Input tokens of one call that are read from the cache."""
        return int(self.input_tokens * self.cache_share) if self.cached_tokens is None else self.cached_tokens


class PlannedGpus(Entry):
    """GPUs held for so many hours a day."""

    name: Label
    provider: Label
    accelerator: Label
    gpus: Positive
    hours_per_day: Annotated[Price, Field(le=24)] = Decimal(24)
    capacity_type: Literal["on_demand", "spot", "reserved", "owned"] = "on_demand"
    region: str = ""
    account: str = ""


class Workload(Entry):
    """The file: `[[calls]]` and `[[gpus]]`, over `days`."""

    days: Positive = Decimal(30)
    calls: tuple[PlannedCalls, ...] = ()
    gpus: tuple[PlannedGpus, ...] = ()

    @model_validator(mode="after")
    def plans_something(self) -> Self:
        if not self.calls and not self.gpus:
            raise ValueError("has neither [[calls]] nor [[gpus]]")
        return self
