"""What a planned workload would cost: list and negotiated, with each model and tier beside the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from genai_prices.data_snapshot import get_snapshot

from schemas.events import GPU_USAGE, TOKEN_CALL, GpuUsage, TokenCall, UsageEvent
from schemas.workload import PlannedCalls, PlannedGpus, Workload
from streams.core.price.priced import EXACT, Priced, money
from streams.core.price.pricer import Pricer

_HOUR = Decimal(60)


class Quote(NamedTuple):
    """The price of one unit (a call, or a GPU for an hour), and of `units` of them over the whole plan."""

    name: str
    provider: str
    model: str
    tier: str
    unit: str
    units: Decimal
    price: Priced

    def total(self, cost: Decimal | None) -> Decimal | None:
        """A cost of one unit times the units; None stays None."""
        return None if cost is None else money(EXACT.multiply(cost, self.units))


def quotes(pricer: Pricer, workload: Workload, at: datetime) -> Iterator[Quote]:
    """A quote for each model and tier of each kind of calls, then for the GPUs; prices are those of `at`.

    Raises LookupError where a model names no provider and none is known to sell it.
    """
    for calls in workload.calls:
        for model in calls.models:
            for tier in calls.tiers:
                yield _calls(pricer, calls, model, tier, days=workload.days, at=at)
    for gpus in workload.gpus:
        yield _gpus(pricer, gpus, workload.days, at)


def provider_of(model: str) -> tuple[str, str]:
    """The provider and model of `provider/model`, or of a model name that genai-prices knows the maker of."""
    snapshot = get_snapshot()
    provider, slash, name = model.partition("/")
    if slash and name:
        return provider, name
    try:
        return snapshot.find_provider(model.lower(), None, None).id, model
    except LookupError:
        raise LookupError(f"{model}: whose model is it? write provider/{model}") from None


def _calls(pricer: Pricer, calls: PlannedCalls, model: str, tier: str, *, days: Decimal, at: datetime) -> Quote:
    provider, name = provider_of(model)
    one = TokenCall(
        provider=provider,
        model=name,
        input_tokens=calls.input_tokens,
        output_tokens=calls.output_tokens,
        cache_read_input_tokens=calls.cached,
        service_tier=tier,
        batch=calls.batch,
        account=calls.account or None,
    )
    event = UsageEvent(source="/plan", id=calls.name, type=TOKEN_CALL, time=at, data=one)
    shown = "batch" if calls.batch else tier
    return Quote(calls.name, provider, name, shown, "call", calls.calls_per_day * days, pricer.price(event))


def _gpus(pricer: Pricer, gpus: PlannedGpus, days: Decimal, at: datetime) -> Quote:
    one = GpuUsage(
        provider=gpus.provider,
        accelerator=gpus.accelerator,
        gpu_minutes=_HOUR,
        capacity_type=gpus.capacity_type,
        region=gpus.region or None,
        account=gpus.account or None,
    )
    event = UsageEvent(source="/plan", id=gpus.name, type=GPU_USAGE, time=at, data=one)
    hours = gpus.gpus * gpus.hours_per_day * days
    return Quote(gpus.name, gpus.provider, gpus.accelerator, gpus.capacity_type, "GPU-hour", hours, pricer.price(event))
