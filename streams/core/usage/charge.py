"""The `price` stage's decision: from one source record to its charges and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol

import numpy as np

from schemas.base import maker
from schemas.events import GpuUsage, LineItem, TokenCall, UsageEvent
from schemas.records import Charge, DeadLetter, Position, Reason
from streams.core.columns.block import Block, Unfit, Whole, joined, micros
from streams.core.columns.packed import ChargeBatch
from streams.core.price import Priced
from streams.core.tag import OWNED, Owner, Share, split
from streams.core.usage import bills, calls
from streams.core.usage.bills import Bills
from streams.core.usage.bounds import Bounds
from streams.core.usage.calls import UNKNOWN, Calls
from streams.core.usage.decode import RawRecord, Rejected, Rejection, dead_letter, event_of, items_of, parse_json
from streams.core.usage.plain import plain_calls
from streams.core.usage.rows import READ, Reading
from streams.core.usage.sheet import Sheet


class Prices(calls.Prices, bills.Prices, Protocol):
    """Gives an event its money. Never raises for a valid event."""

    def price(self, event: UsageEvent) -> Priced: ...


class Owners(calls.Owners, bills.Owners, Protocol):
    """Gives an event its owner, or the owners that share it."""

    def tag(self, event: UsageEvent) -> tuple[Share, ...]: ...


@dataclass(slots=True)
class Charged:
    """What came of some source records: their charges, numbered by record, 0 the first, and their dead letters."""

    block: Block = field(default_factory=lambda: Block(0))
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many events became charges: the parts of a split event are one."""
        return len(self.block.first_parts())

    def batch(self, positions: Sequence[Position]) -> ChargeBatch:
        """As it goes on: from the records at these positions of one source partition, in their order."""
        first, last = positions[0], positions[-1]
        offsets = np.array([position.offset for position in positions], dtype=np.int64)
        block = replace(self.block, records=offsets[self.block.records])
        return ChargeBatch(first.topic, first.partition, first.offset, last.offset, block)

    @property
    def charges(self) -> list[Charge]:
        """The charges one by one."""
        return list(self.block)


def refused(raw: RawRecord, error: Exception) -> DeadLetter:
    """What comes of a record that an error of ours keeps from being charged."""
    return dead_letter(raw, None, Rejection(Reason.INTERNAL_ERROR, problem=type(error).__name__), {})


class Charger:
    """Validates, prices by event time and tags to an owner. Pure: the same records give the same charges."""

    def __init__(self, prices: Prices, owners: Owners, bounds: Bounds) -> None:
        self._prices = prices
        self._owners = owners
        self._bounds = bounds
        self._calls = Calls(prices, owners, bounds)
        self._bills = Bills(prices, owners, bounds)

    def charge(self, raw: RawRecord, item: object = None) -> Charged:
        """Charge every event of a record. `item` is its one event when a reader has parsed it already."""
        return self.charge_all([raw], [item])

    def charge_all(self, raws: Sequence[RawRecord], parsed: Sequence[object] = ()) -> Charged:
        """Charge every event of some records; what can't be charged is a dead letter and costs its neighbours nothing.

        `parsed` has the one event of each record where a reader has parsed it already, or why it is none.
        """
        letters: list[tuple[int, int, DeadLetter]] = []  # with the number of the record and the place in it
        reading = self._calls.reading()
        items: list[object] = []
        firsts, arrays = [0], []  # of each record its first item, and whether they stand in an array
        for number, raw in enumerate(raws):
            try:
                kept, is_array = _taken(reading, raw, self._bounds, parsed[number] if parsed else None)
            except Rejected as rejected:
                letters.append((number, 0, dead_letter(raw, None, rejected.rejection, {})))
                kept, is_array = [], False
            items += kept
            arrays.append(is_array)
            firsts.append(len(items))
        records = np.repeat(np.arange(len(raws)), np.diff(firsts))  # of each item
        arrived = [micros(raw.received_at) if raw.received_at else UNKNOWN for raw in raws]
        quick, places = self._calls.charge(reading, np.array(arrived, dtype=np.int64)[records])
        rest: list[_Charged] = []
        refused: list[tuple[int, Rejection]] = []
        for at in _others(len(items), places):
            number = int(records[at])
            raw = raws[number]
            try:
                if items[at] is READ:  # it was not as plain as it looked
                    items[firsts[number] : firsts[number + 1]], _ = items_of(raw, self._bounds)
                event = event_of(items[at], raw.received_at, self._bounds)
                rest.append(_Charged(at, self.charge_event(event, raw.received_at)))
            except Rejected as rejected:
                refused.append((at, rejected.rejection))
            except Exception as error:  # noqa: BLE001, RUF100  one event must never stop the stream; named, not hidden
                refused.append((at, Rejection(Reason.INTERNAL_ERROR, problem=type(error).__name__)))
        other, unfit = _block(rest)
        for at, rejection in (*refused, *unfit):
            number = int(records[at])
            place = at - firsts[number]  # 0 where it is the only one
            at_place = place if arrays[number] else None
            letters.append((number, place, dead_letter(raws[number], at_place, rejection, items[at])))
        whole, order = joined([quick, other]), np.concatenate([places, other.records])
        if len(places) and other.count:
            ranks = np.argsort(order, kind="stable")
            whole, order = whole.take(ranks), order[ranks]
        block = replace(whole, records=records[order])
        return Charged(block, [letter for *_, letter in sorted(letters, key=itemgetter(0, 1))])

    def charge_sheet(self, topic: str, sheet: Sheet) -> Charged:
        """Charge the lines of a bill, each as a record of its own: the same as their events one by one."""
        try:
            block, places = self._bills.charge(sheet)
        except Exception:  # noqa: BLE001, RUF100  one by one it will be named, and the lines beside it charged
            block, places = Block(0), np.zeros(0, dtype=np.int64)
        rest = _others(sheet.lines.num_rows, places)
        if not rest:
            return Charged(block)
        raws = [RawRecord(None, (), Position(topic, 0, sheet.row(place)), None) for place in rest]
        other = self.charge_all(raws, [sheet.event(place) for place in rest])
        whole = joined([block, other.block])
        order = np.concatenate([places, np.array(rest)[other.block.records]])
        ranks = np.argsort(order, kind="stable")
        return Charged(replace(whole.take(ranks), records=order[ranks]), other.dead_letters)

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
COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost", "effective_cost_usd", "estimated_cost")
_USAGE = (
    "requests", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cache_creation_1h_input_tokens", "reasoning_output_tokens", "counts", "gpu_minutes", "quantity",
)  # fmt: skip


_costs, _owner = attrgetter(*COSTS), attrgetter(*OWNED)


def _others(count: int, places: Whole) -> list[int]:
    """The places among `count` that these are not."""
    return sorted(set(range(count)).difference(places.tolist())) if len(places) < count else []


def _items(raw: RawRecord, bounds: Bounds, parsed: object) -> tuple[list[Any], bool]:
    """The events of a record, and whether they stand in an array. Raises Rejected, whatever is wrong with it."""
    if isinstance(parsed, Rejection):
        raise Rejected(parsed.reason, parsed.field, parsed.problem)
    if parsed is not None:
        return [parsed], False
    try:
        return items_of(raw, bounds, _read)
    except Rejected:
        raise
    except Exception as error:  # noqa: BLE001, RUF100  what nobody thought of is a dead letter too
        raise Rejected(Reason.INTERNAL_ERROR, problem=type(error).__name__) from None


def _taken(reading: Reading, raw: RawRecord, bounds: Bounds, parsed: object) -> tuple[list[Any], bool]:
    """What is kept of a record's events, and whether they stand in an array. Raises Rejected."""
    found, is_array = _items(raw, bounds, parsed)
    return reading.take(found), is_array


def _read(value: bytes) -> Any:
    """The JSON in `value`, as plain calls where there is nothing else in it. Raises Rejected."""
    calls = plain_calls(value)
    return parse_json(value) if calls is None else calls


class _Charged(NamedTuple):
    """The charges of the event at a place among others."""

    place: int
    charges: list[Charge]


def _block(events: Sequence[_Charged]) -> tuple[Block, list[tuple[int, Rejection]]]:
    """The charges of the events, numbered by their places, and why those that no column holds are not among them."""
    try:
        return Block.of(
            [charge for event in events for charge in event.charges],
            [event.place for event in events for _ in event.charges],
        ), []
    except Unfit as problem:
        if len(events) == 1:
            name, _, text = str(problem).partition(": ")
            return Block(0), [(events[0].place, Rejection(Reason.OUT_OF_RANGE, name, text))]
    found = [_block([event]) for event in events]
    return joined([block for block, _ in found]), [one for _, refused in found for one in refused]


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
