"""Re-pricing: from an event's charges as they stand to what they are by today's prices and rules, and what that moves.

The usage event is made again from its charges. All that prices and rules look at is there: counts, context, tags as
they came, names. Not kept, and not needed, are a call's `duration_ms` and `status`, a GPU's `energy_joules` and a
bill's billing period, invoice, issuer and pricing quantity. A line item keeps its billed costs: only its owner and its
value in USD can change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.events import GPU_USAGE, TOKEN_CALL, GpuUsage, LineItem, TokenCall, UsageEvent
from schemas.records import Charge, Correction, Position
from streams.core.columns.block import exact, identity_of
from streams.core.landing.land import LINEAGE, Content, Row, Table, charge_row
from streams.core.usage.charge import COSTS, Charger

ZERO = Decimal(0)
OWNER = ("team", "project", "environment", "feature", "cost_center", "principal", "allocation")
NATIVE_COSTS = tuple(name for name in COSTS if name != "effective_cost_usd")
FIELDS = tuple(Charge.model_fields)
_OF_CALLS = tuple(name for name in TokenCall.model_fields if name in FIELDS)
_OF_GPUS = tuple(name for name in GpuUsage.model_fields if name in FIELDS)
ADDITIVE = frozenset({
    *COSTS, "requests", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cache_creation_1h_input_tokens", "reasoning_output_tokens", "gpu_minutes", "quantity", "counts",
})  # fmt: skip
"""What a row that takes another back holds with the sign turned."""


class Standing(NamedTuple):
    """What an event is charged now: its parts in order, the correction they are of (0: as landed), and its record."""

    charges: tuple[Charge, ...]
    revision: int
    position: Position


class Repricer:
    """Prices and tags events anew. Pure: the same charges, prices and rules give the same correction."""

    def __init__(self, charger: Charger, reprice_id: str) -> None:
        self._charger = charger
        self._id = reprice_id

    def correct(self, standing: Standing) -> Correction | None:
        """What corrects the event's charges; None where neither its money nor its owner is other than it was."""
        before = standing.charges
        after = self._charger.charge_event(rebuild(before), before[0].received_at)
        if _decided(before) == _decided(after):
            return None
        topic, partition, offset = standing.position
        return Correction.model_construct(
            reprice_id=self._id,
            revision=standing.revision + 1,
            topic=topic,
            partition=partition,
            offset=offset,
            before=list(before),
            after=after,
        )


def _decided(charges: Sequence[Charge]) -> list[tuple[object, ...]]:
    """What a re-price may change, as columns keep it. A new version of a price book that says the same changes
    nothing."""
    return [
        (
            charge.part,
            charge.parts,
            charge.currency,
            charge.price_status,
            *(getattr(charge, name) for name in OWNER),
            *(None if (cost := getattr(charge, name)) is None else exact(cost) for name in COSTS),
        )
        for charge in charges
    ]


def rebuild(charges: Sequence[Charge]) -> UsageEvent:
    """The usage event that `charges`, all parts of one event in order, came of. The first part carries the usage."""
    first = charges[0]
    if first.type == TOKEN_CALL:
        data: TokenCall | GpuUsage | LineItem = _token_call(first)
    elif first.type == GPU_USAGE:
        data = _gpu_usage(first)
    else:
        data = _line_item(charges)
    return UsageEvent.model_construct(source=first.source, id=first.id, type=first.type, time=first.time, data=data)


def _token_call(charge: Charge) -> TokenCall:
    same = {name: getattr(charge, name) for name in _OF_CALLS}
    for name in ("region", "account", "service_tier", "principal"):
        same[name] = same[name] or None
    return TokenCall.model_construct(**same)


def _gpu_usage(charge: Charge) -> GpuUsage:
    same = {name: getattr(charge, name) for name in _OF_GPUS}
    for name in ("region", "account", "cluster", "namespace", "workload", "principal"):
        same[name] = same[name] or None
    return GpuUsage.model_construct(**same, instance_type=charge.sku or None)


def _line_item(charges: Sequence[Charge]) -> LineItem:
    first = charges[0]
    content: dict[str, Any] = {
        "BilledCost": _whole(charges, "billed_cost"),
        "EffectiveCost": _whole(charges, "effective_cost"),
        "ListCost": _whole(charges, "list_cost"),
        "ContractedCost": _whole(charges, "contracted_cost"),
        "BillingCurrency": first.currency,
        "ChargeCategory": first.charge_category,
        "ChargeClass": first.charge_class or None,
        "ChargePeriodStart": first.period_start,
        "ChargePeriodEnd": first.period_end,
        "ServiceName": first.service,
        "ServiceProviderName": first.provider or None,
        "SubAccountId": first.account or None,
        "SubAccountName": first.account_name or None,
        "RegionId": first.region or None,
        "ResourceId": first.resource or None,
        "ResourceName": first.resource_name or None,
        "SkuId": first.sku_id or None,
        "SkuMeter": first.sku or None,
        "ChargeDescription": first.charge_description or None,
        "CommitmentDiscountId": first.commitment or None,
        "ListUnitPrice": first.unit_prices.get("list_unit_price"),
        "ContractedUnitPrice": first.unit_prices.get("contracted_unit_price"),
        "ConsumedQuantity": first.quantity,
        "ConsumedUnit": first.unit or None,
        "Tags": first.tags,
    }
    return LineItem.model_construct(**content)


def _whole(charges: Sequence[Charge], name: str) -> Decimal | None:
    """The event's cost: the sum over its parts, None where it is not known."""
    parts = [getattr(charge, name) for charge in charges]
    return None if None in parts else sum(parts, ZERO)


# How a correction lands.


def read_correction(value: bytes) -> Content:
    """A correction's JSON as what lands: signed rows that count once."""
    correction = Correction.model_validate_json(value)
    first = correction.before[0]
    key = identity_of("correction", first.source, first.id, first.time.isoformat(), str(correction.revision))
    lineage = (correction.topic, correction.partition, correction.offset)
    said = (correction.revision, correction.reprice_id)
    taken = (_negative(charge_row(charge)) + lineage + (-1, *said) for charge in correction.before)
    added = (charge_row(charge) + lineage + (1, *said) for charge in correction.after)
    return Content((key,), ((*taken, *added),))


TABLE = Table("charges", (*FIELDS, *LINEAGE, "sign", "revision", "reprice_id"), read_correction)


def _negative(row: Row) -> Row:
    return tuple(_minus(value) if name in ADDITIVE else value for name, value in zip(FIELDS, row, strict=True))


def _minus(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: -part for name, part in value.items()}
    return None if value is None else -value


# What moves.


class Move(NamedTuple):
    """A kind of change. `reason` joins with "+" what is other: status, price, exchange (USD alone), owner."""

    currency: str
    team_before: str
    team_after: str
    model: str
    reason: str


@dataclass(slots=True)
class Moved:
    """Effective costs of a move's events, before and after, in its currency and in USD. What had no known cost adds
    nothing to `before` and is counted in `unknown_before`; likewise after."""

    events: int = 0
    before: Decimal = ZERO
    after: Decimal = ZERO
    usd_before: Decimal = ZERO
    usd_after: Decimal = ZERO
    unknown_before: int = 0
    unknown_after: int = 0


@dataclass(slots=True)
class Moves:
    """What corrections move, summed by kind."""

    by_move: dict[Move, Moved] = field(default_factory=dict)

    def add(self, correction: Correction) -> None:
        """Add one event's correction."""
        before, after = correction.before, correction.after
        moved = self.by_move.setdefault(_move(before, after), Moved())
        old, new = _whole(before, "effective_cost"), _whole(after, "effective_cost")
        moved.events += 1
        moved.before += old or ZERO
        moved.after += new or ZERO
        moved.usd_before += _whole(before, "effective_cost_usd") or ZERO
        moved.usd_after += _whole(after, "effective_cost_usd") or ZERO
        moved.unknown_before += old is None
        moved.unknown_after += new is None

    def largest_first(self) -> list[tuple[Move, Moved]]:
        """By what changes hands or value, the most first."""
        weight = {m: max(abs(s.after - s.before), abs(s.before), abs(s.after)) for m, s in self.by_move.items()}
        return sorted(self.by_move.items(), key=lambda item: (-weight[item[0]], item[0]))


def _move(before: Sequence[Charge], after: Sequence[Charge]) -> Move:
    old, new = before[0], after[0]
    reasons = []
    if old.price_status != new.price_status:
        reasons.append("status")
    elif old.currency != new.currency or any(_differs(before, after, name) for name in NATIVE_COSTS):
        reasons.append("price")
    elif _differs(before, after, "effective_cost_usd"):
        reasons.append("exchange")
    if _owners(before) != _owners(after) or not reasons:  # else the same owners share it by other parts
        reasons.append("owner")
    currency = old.currency if old.currency == new.currency else f"{old.currency} -> {new.currency}"
    return Move(currency, _teams(before), _teams(after), new.model or new.accelerator or new.service, "+".join(reasons))


def _differs(before: Sequence[Charge], after: Sequence[Charge], name: str) -> bool:
    return _whole(before, name) != _whole(after, name)


def _owners(charges: Iterable[Charge]) -> list[tuple[str, ...]]:
    return [tuple(getattr(charge, name) for name in OWNER) for charge in charges]


def _teams(charges: Iterable[Charge]) -> str:
    return " + ".join(dict.fromkeys(charge.team for charge in charges))
