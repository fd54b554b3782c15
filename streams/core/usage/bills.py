"""Line items by column: a sheet of a bill is given its money and owners at once.

What comes out is exactly what the pricer and the tagger would say, line by line. Lines beyond a deployment's limits and
lines that several owners share are left to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.base import maker
from schemas.events import LINE_ITEM, LineItem, UsageEvent
from schemas.records import PriceStatus
from streams.core.columns.amounts import MONEY, amounts
from streams.core.columns.block import (
    CACHED,
    EPOCH,
    TWINS,
    UNIQUE,
    Block,
    Mask,
    Whole,
    identities_of,
    mapping_text,
    micros,
)
from streams.core.columns.grouping import grouped
from streams.core.price.priced import times
from streams.core.tag import OWNED, Owner
from streams.core.usage.bounds import Bounds
from streams.core.usage.decode import LONGEST_TAG, LONGEST_TAG_VALUE, MOST_TAGS
from streams.core.usage.quick import usage_event
from streams.core.usage.sheet import Sheet

TEXT = {
    "provider": ("ServiceProviderName",), "service": ("ServiceName",), "sku": ("SkuMeter", "SkuId"),
    "sku_id": ("SkuId",), "region": ("RegionId",), "account": ("SubAccountId",), "account_name": ("SubAccountName",),
    "resource": ("ResourceId",), "resource_name": ("ResourceName",), "commitment": ("CommitmentDiscountId",),
    "charge_category": ("ChargeCategory",), "charge_class": ("ChargeClass",),
    "charge_description": ("ChargeDescription",), "unit": ("ConsumedUnit",), "currency": ("BillingCurrency",),
}  # fmt: skip
"""A text of a charge, and the columns that hold it, the first that is filled winning; empty where none is."""
AMOUNTS = {
    "list_cost": "ListCost", "contracted_cost": "ContractedCost", "effective_cost": "EffectiveCost",
    "billed_cost": "BilledCost", "quantity": "ConsumedQuantity",
}  # fmt: skip
UNIT_PRICES = {"list_unit_price": "ListUnitPrice", "contracted_unit_price": "ContractedUnitPrice"}
MOST_OWNERS = 50_000  # decisions kept: a flood of new tags must not fill the memory
DAY = 86_400_000_000
_line_item = maker(LineItem)


class Prices(Protocol):
    """What lines of a bill need of a pricer: dollars for one unit of a currency on a day; None where nobody knows."""

    def usd(self, currency: str, day: date) -> Decimal | None: ...


class Owners(Protocol):
    """What they need of a tagger. `version` changes whenever the same event may get another owner; `looks_at` names the
    fields of `LineItem` that it asks for beside the tags."""

    version: int
    looks_at: tuple[str, ...]

    def owner(self, event: UsageEvent) -> Owner | None: ...


class Bills:
    """Charges line items by column. Pure: the same lines give the same charges."""

    def __init__(self, prices: Prices, owners: Owners, bounds: Bounds) -> None:
        self._prices = prices
        self._owners = owners
        self._oldest, self._latest = (
            micros(datetime(year, 1, 1, tzinfo=UTC)) for year in (bounds.oldest_year, bounds.latest_year)
        )
        self._known: dict[tuple[str | None, ...], Owner | None] = {}
        self._version = owners.version

    def charge(self, sheet: Sheet) -> tuple[Block, Whole]:
        """The charges of the plain lines, and which lines these are; `records` of the block say as much."""
        places = np.flatnonzero(self._within(sheet.lines))
        lines = _taken(sheet.lines, places)
        codes, owners = self._owners_of(Sheet(sheet.source, lines))
        single = np.array([owner is not None for owner in owners], np.bool_)[codes]
        if not single.all():
            lines, codes, places = _taken(lines, np.flatnonzero(single)), codes[single], places[single]
        if not len(places):
            return Block(0), places
        block = Block(len(places), {"type": LINE_ITEM, "price_status": PriceStatus.BILLED, "price_source": "bill"})
        block.same["source"] = sheet.source
        block.records = places
        block.identities = identities_of([sheet.source] * len(places), lines.column("id").to_pylist())
        _put_lines(block, lines)
        self._put_dollars(block, lines)
        for name in OWNED:
            block.put_coded(name, [getattr(owner, name, "") for owner in owners], codes)
        return block, places

    def _within(self, lines: pa.RecordBatch) -> Mask:
        """The lines within the limits that hold for bills."""
        tags = lines.column("Tags").dictionary_encode() if "Tags" in lines.schema.names else None
        good = np.ones(lines.num_rows, np.bool_)
        if tags is not None:
            few = np.array([text is None or _is_bearable(text) for text in tags.dictionary.to_pylist()] + [True])
            good &= few[tags.indices.fill_null(-1).to_numpy()]
        for name in ("ChargePeriodStart", "ChargePeriodEnd"):
            moments = lines.column(name).view(pa.int64()).to_numpy()
            good &= (moments >= self._oldest) & (moments < self._latest)
        return good

    def _owners_of(self, sheet: Sheet) -> tuple[Whole, list[Owner | None]]:
        """For each line the number of its owner, and the owners; None for what a split decides."""
        if self._version != self._owners.version or len(self._known) > MOST_OWNERS:
            self._version = self._owners.version
            self._known.clear()
        looked_at = [name for name in ("Tags", *self._owners.looks_at) if name in sheet.lines.schema.names]
        names = looked_at or ["ServiceName"]  # which every sheet has
        columns = [sheet.lines.column(name).dictionary_encode(null_encoding="encode") for name in names]
        codes, first = grouped([column.indices.to_numpy() for column in columns])
        owners = []
        for place in first.tolist():
            key = (sheet.source, *(column[place].as_py() for column in columns))
            if key not in self._known:
                self._known[key] = self._owner(sheet.source, dict(zip(names, key[1:], strict=True)))
            owners.append(self._known[key])
        return codes, owners

    def _owner(self, source: str, texts: dict[str, str | None]) -> Owner | None:
        tags = orjson.loads(texts.pop("Tags", None) or "{}")
        data = _line_item(_ANY_LINE | texts | {"Tags": tags})
        return self._owners.owner(
            usage_event({"source": source, "id": "any", "type": LINE_ITEM, "time": EPOCH, "data": data})
        )

    def _put_dollars(self, block: Block, lines: pa.RecordBatch) -> None:
        """Dollars by the exchange rate of the day that the charge began."""
        effective = block.money("effective_cost")
        currency = lines.column("BillingCurrency").dictionary_encode()
        names = currency.dictionary.to_pylist()
        if names == ["USD"]:
            block.put("effective_cost_usd", effective)
            return
        days = lines.column("ChargePeriodStart").view(pa.int64()).to_numpy() // DAY
        codes, first = grouped([currency.indices.to_numpy(), days - days.min()])
        rates = [
            self._prices.usd(currency[place].as_py(), (EPOCH + timedelta(days=int(days[place]))).date())
            for place in first.tolist()
        ]
        converted = [
            None if amount is None or (rate := rates[code]) is None else times(amount, rate)
            for amount, code in zip(amounts(effective), codes.tolist(), strict=True)
        ]
        block.put("effective_cost_usd", pa.array(converted, MONEY))


_ANY_LINE = {name: None for name, field in LineItem.model_fields.items() if field.is_required()}


def _put_lines(block: Block, lines: pa.RecordBatch) -> None:
    """What a charge takes from its line as it is."""
    there = frozenset(lines.schema.names)
    block.put("id", lines.column("id"))
    start = lines.column("ChargePeriodStart")
    for name in ("time", "period_start", "received_at"):  # a file has no time of arrival
        block.put(name, start)
    block.put("period_end", lines.column("ChargePeriodEnd"))
    for name, columns in TEXT.items():
        found = [lines.column(column) for column in columns if column in there]
        if found:
            text = pc.coalesce(*found, "")
            block.put(name, text if name in UNIQUE else text.dictionary_encode())
    if "Tags" in there:
        block.put("tags", lines.column("Tags").fill_null("{}").dictionary_encode())
    for name, column in AMOUNTS.items():
        if column in there:
            amount = lines.column(column)
            twins = (block.columns.get(twin) for twin in TWINS.get(name, ()))
            block.put(name, next((twin for twin in twins if twin is not None and twin.equals(amount)), amount))
    if not there.isdisjoint(UNIT_PRICES.values()):
        _put_unit_prices(block, {name: lines.column(column) for name, column in UNIT_PRICES.items() if column in there})


def _put_unit_prices(block: Block, columns: dict[str, pa.Array]) -> None:
    prices = {name: amounts(column) for name, column in columns.items()}
    codes, first = grouped([_numbered(column) for column in prices.values()])
    texts = []
    for place in first.tolist():
        known = {name: price for name, column in prices.items() if (price := column[place]) is not None}
        texts.append(mapping_text(known))
    block.put_coded("unit_prices", texts, codes)


def _numbered(values: Sequence[object]) -> Whole:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)


def _taken(lines: pa.RecordBatch, places: Whole) -> pa.RecordBatch:
    return lines if len(places) == lines.num_rows else lines.take(pa.array(places))


@lru_cache(CACHED)
def _is_bearable(text: str) -> bool:
    """Whether tags are within what an event may have; which of them is not is for the full validation to say."""
    tags = orjson.loads(text)
    return len(tags) <= MOST_TAGS and all(
        len(key) <= LONGEST_TAG and len(value) <= LONGEST_TAG_VALUE for key, value in tags.items()
    )
