"""The `price` stage's decision: from one source record to its charges and dead letters."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, Protocol

from schemas.base import maker
from schemas.events import GpuUsage, LineItem, TokenCall, UsageEvent
from schemas.records import Charge, ChargeRecord, DeadLetter, Position, Reason
from streams.core.decode import Bounds, Decoded, RawRecord, Rejection, dead_letter, decode
from streams.core.price import Priced
from streams.core.tag import Owner, Share, split


class Prices(Protocol):
    """Gives an event its money. Never raises for a valid event."""

    def price(self, event: UsageEvent) -> Priced: ...


class Owners(Protocol):
    """Gives an event its owner, or the owners that share it."""

    def tag(self, event: UsageEvent) -> tuple[Share, ...]: ...


@dataclass(slots=True)
class Charged:
    """What came of one source record."""

    record: ChargeRecord
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many events became charges: the parts of a split event are one."""
        return sum(charge.part == 0 for charge in self.record.charges)


def refused(value: bytes | None, position: Position, error: Exception, received_at: datetime | None) -> Charged:
    """What comes of a record that an error of ours keeps from being charged."""
    rejection = Rejection(Reason.INTERNAL_ERROR, problem=type(error).__name__)
    letter = dead_letter(RawRecord(value, (), position, received_at), None, rejection, {})
    record = ChargeRecord(topic=position.topic, partition=position.partition, offset=position.offset, charges=[])
    return Charged(record, [letter])


class Charger:
    """Validates, prices by event time and tags to an owner. Pure: the same record gives the same charges."""

    def __init__(self, prices: Prices, owners: Owners, bounds: Bounds) -> None:
        self._prices = prices
        self._owners = owners
        self._bounds = bounds

    def charge(self, raw: RawRecord, item: object = None) -> Charged:
        """Charge every event of a record; what can't be charged is a dead letter and costs its neighbours nothing.

        `item` is the one event of the record when a reader has parsed it already.
        """
        try:
            decoded = decode(raw, self._bounds, item)
        except Exception as error:  # noqa: BLE001, RUF100  as below: what nobody thought of is a dead letter too
            rejection = Rejection(Reason.INTERNAL_ERROR, problem=type(error).__name__)
            decoded = Decoded(dead_letters=[dead_letter(raw, None, rejection, {})])
        charges: list[Charge] = []
        for place, event in zip(decoded.places, decoded.events, strict=True):
            try:
                charges += self.charge_event(event, raw.received_at)
            except Exception as error:  # noqa: BLE001, RUF100  one event must never stop the stream; named, not hidden
                rejection = Rejection(Reason.INTERNAL_ERROR, problem=type(error).__name__)
                identity = {"source": event.source, "id": event.id, "type": event.type}
                decoded.dead_letters.append(dead_letter(raw, place, rejection, identity))
        position = raw.position
        record = charge_record(
            {"topic": position[0], "partition": position[1], "offset": position[2], "charges": charges}
        )
        return Charged(record, decoded.dead_letters)

    def charge_event(self, event: UsageEvent, received_at: datetime | None) -> list[Charge]:
        """The event's charge, or its parts where owners share it."""
        priced = self._prices.price(event)
        shares = self._owners.tag(event)
        common = _common(event, priced, received_at or event.time)
        if len(shares) == 1:
            common |= _money(priced)
            common |= _owned(shares[0].owner)
            return [_charge(common)]
        parts = [_money(priced) for _ in shares]
        for name in COSTS:
            whole = getattr(priced, name)
            if whole is not None:
                for part, amount in zip(parts, split(whole, shares), strict=True):
                    part[name] = amount
        # The first part carries the usage, so that sums of requests and tokens count the event once.
        rest = common | {name: type(common[name])() for name in _USAGE if common.get(name) is not None}
        return [
            _charge((rest if index else common) | part | _owned(share.owner) | {"part": index, "parts": len(shares)})
            for index, (share, part) in enumerate(zip(shares, parts, strict=True))
        ]


_charge = maker(Charge)
charge_record = maker(ChargeRecord)
COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost", "effective_cost_usd", "estimated_cost")
_USAGE = (
    "requests", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cache_creation_1h_input_tokens", "reasoning_output_tokens", "counts", "gpu_minutes", "quantity",
)  # fmt: skip


OWNED = ("team", "project", "environment", "feature", "cost_center", "principal", "allocation")
_costs, _owner = attrgetter(*COSTS), attrgetter(*OWNED)


def _money(priced: Priced) -> dict[str, Any]:
    return dict(zip(COSTS, _costs(priced), strict=True))


def _owned(owner: Owner) -> dict[str, Any]:
    return dict(zip(OWNED, _owner(owner), strict=True))


def _common(event: UsageEvent, priced: Priced, received_at: datetime) -> dict[str, Any]:
    data = event.data
    if isinstance(data, TokenCall):
        specific = _token_call(data, event.time)
    elif isinstance(data, GpuUsage):
        specific = _gpu_usage(data, event.time)
    else:
        specific = _line_item(data)
    specific |= {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "time": event.time,
        "received_at": received_at,
        "currency": priced.currency,
        "unit_prices": priced.unit_prices,
        "price_source": priced.source,
        "price_version": priced.version,
        "price_status": priced.status,
    }
    return specific


def _token_call(data: TokenCall, time: datetime) -> dict[str, Any]:
    return {
        "period_start": time,
        "period_end": time,
        "provider": data.provider,
        "service": data.provider,
        "model": data.model,
        "region": data.region or "",
        "account": data.account or "",
        "operation": data.operation,
        "service_tier": data.service_tier or "",
        "batch": data.batch,
        "requests": data.requests,
        "input_tokens": data.input_tokens,
        "output_tokens": data.output_tokens,
        "cache_read_input_tokens": data.cache_read_input_tokens,
        "cache_creation_input_tokens": data.cache_creation_input_tokens,
        "cache_creation_1h_input_tokens": data.cache_creation_1h_input_tokens,
        "reasoning_output_tokens": data.reasoning_output_tokens,
        "counts": data.counts,
        "price_context": data.price_context,
        "quantity": Decimal(data.input_tokens + data.output_tokens),
        "unit": "Tokens",
        "tags": data.tags,
    }


def _gpu_usage(data: GpuUsage, time: datetime) -> dict[str, Any]:
    return {
        "period_start": time - timedelta(minutes=1),
        "period_end": time,
        "provider": data.provider,
        "service": "GPU",
        "sku": data.instance_type or "",
        "region": data.region or "",
        "account": data.account or "",
        "cluster": data.cluster or "",
        "namespace": data.namespace or "",
        "workload": data.workload or "",
        "accelerator": data.accelerator,
        "capacity_type": data.capacity_type,
        "gpu_minutes": data.gpu_minutes,
        "utilization": data.utilization,
        "quantity": data.gpu_minutes,
        "unit": "GPU-Minutes",
        "tags": data.tags,
    }


def _line_item(data: LineItem) -> dict[str, Any]:
    return {
        "period_start": data.ChargePeriodStart,
        "period_end": data.ChargePeriodEnd,
        "provider": data.ServiceProviderName or "",
        "service": data.ServiceName,
        "sku": data.SkuMeter or data.SkuId or "",
        "sku_id": data.SkuId or "",
        "region": data.RegionId or "",
        "account": data.SubAccountId or "",
        "account_name": data.SubAccountName or "",
        "resource": data.ResourceId or "",
        "resource_name": data.ResourceName or "",
        "commitment": data.CommitmentDiscountId or "",
        "charge_category": data.ChargeCategory,
        "charge_class": data.ChargeClass or "",
        "charge_description": data.ChargeDescription or "",
        "quantity": data.ConsumedQuantity,
        "unit": data.ConsumedUnit or "",
        "tags": {key: value or "" for key, value in data.Tags.items()} if None in data.Tags.values() else data.Tags,
    }
