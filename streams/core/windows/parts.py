"""From charges by column to the sums of a window's finest parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from schemas.events import GPU_USAGE
from schemas.records import PriceStatus
from schemas.watch import DIMENSIONS
from streams.core.columns.amounts import amount, amounts, counts, equal_units, sums, zeros
from streams.core.columns.block import Block, Mask, Whole
from streams.core.columns.grouping import grouped
from streams.core.windows.sums import ZERO, Sums
from streams.core.windows.ticks import Leaf

LEAF = DIMENSIONS
"""What names a part of a window: the charge's fields of these names, in this order."""

_PER_MILLION = Decimal("0.000001")
# What must be the same for charges to be added up as one. Each is a bit of a charge's traits.
KNOWN, TOKENS, PLAIN, UNOWNED, UNPRICED, METERED = (1 << bit for bit in range(6))


@dataclass(slots=True)
class Cell:
    """What some charges of one window and part add up to. `aligned`: how many events end a bucket, by its width."""

    start: int
    leaf: Leaf
    sums: Sums
    aligned: dict[int, int] = field(default_factory=dict)


def cells(block: Block, starts: Whole, aligned: Mapping[int, Mask]) -> Iterator[Cell]:
    """The sums of the charges, whose windows begin at `starts`, in the order of each sum's first charge.

    `aligned` marks the charges whose events end a bucket, by its width.
    """
    keys = [block.codes(name) for name in LEAF]
    traits = _traits(block)
    prices, known_prices = block.codes("unit_prices")
    group, first = grouped([starts - starts.min(), traits, prices, *(coded for coded, _ in keys)])
    events = (block.numbers("part") == 0).astype(np.int64)
    added = _Added(block, group, len(first))
    ends = {step: counts(events * mask, group, len(first)) for step, mask in aligned.items()}
    happened = counts(events, group, len(first))
    special = _one_by_one(block, traits, group)
    leaves = zip(*([values[code] for code in coded[first].tolist()] for coded, values in keys), strict=True)
    marks = zip(starts[first].tolist(), traits[first].tolist(), prices[first].tolist(), strict=True)
    for number, (leaf, (start, trait, price)) in enumerate(zip(leaves, marks, strict=True)):
        into = added.sums(number, trait, known_prices[price])
        into.events = happened[number]
        if trait & UNPRICED:
            into.unpriced_events = happened[number]
        if extra := special.get(number):
            into.output_usd += extra.output_usd
            into.cache_read_usd += extra.cache_read_usd
            into.metered_usd += extra.metered_usd
            into.idle_usd += extra.idle_usd
        yield Cell(start, leaf, into, {step: ended[number] for step, ended in ends.items() if ended[number]})


class _Added:
    """The sums of all groups, column by column."""

    def __init__(self, block: Block, group: Whole, count: int) -> None:
        def money(name: str) -> list[int]:
            column = block.money(name)
            return [0] * count if column.null_count == len(column) else sums(column, group, count)

        self._usd = money("effective_cost_usd")
        self._at_risk = money("estimated_cost")
        self._gpu_minutes = money("gpu_minutes")
        self._counts = [counts(block.numbers(name), group, count) for name in _COUNTED]

    def sums(self, number: int, trait: int, prices: Mapping[str, Decimal]) -> Sums:
        """The sums of a group whose charges have these traits and unit prices."""
        usd = amount(self._usd[number]) if self._usd[number] else ZERO
        requests, input_tokens, output_tokens, cached = (column[number] for column in self._counts)
        made = Sums(
            usd=usd, requests=requests, input_tokens=input_tokens, output_tokens=output_tokens,
            cache_read_input_tokens=cached,
        )  # fmt: skip
        if self._gpu_minutes[number]:
            made.gpu_minutes = amount(self._gpu_minutes[number])
        if trait & UNPRICED:
            made.at_risk_usd = amount(self._at_risk[number])
        if trait & UNOWNED and trait & KNOWN:
            made.unallocated_usd = usd
        if trait & TOKENS and trait & PLAIN:
            made.output_usd = output_tokens * prices.get("output_mtok", ZERO) * _PER_MILLION
            made.cache_read_usd = cached * prices.get("cache_read_mtok", ZERO) * _PER_MILLION
        return made


_COUNTED = ("requests", "input_tokens", "output_tokens", "cache_read_input_tokens")
READ = frozenset(LEAF) | set(_COUNTED) | {
    "type", "part", "parts", "unit_prices", "list_cost", "effective_cost_usd", "estimated_cost", "gpu_minutes",
    "utilization", "allocation", "price_status",
}  # fmt: skip
"""The fields that are looked at here."""


def _traits(block: Block) -> Whole:
    usd, listed = block.money("effective_cost_usd"), block.money("list_cost")
    known = usd.is_valid().to_numpy(zero_copy_only=False)
    plain = equal_units(usd, listed) | zeros(listed)  # else a discount holds, which its parts share
    tokens = known & (block.numbers("requests") > 0) & (block.numbers("parts") == 1)
    out = known * KNOWN + tokens * TOKENS + plain * PLAIN
    out = out + block.has("allocation", "unallocated") * UNOWNED
    out = out + block.has("price_status", PriceStatus.UNPRICED) * UNPRICED
    if "utilization" in block.columns or block.shared("utilization") is not None:
        metered = np.array([value is not None for value in block.values("utilization")])
        out = out + (known & metered & block.has("type", GPU_USAGE)) * METERED
    return np.asarray(out, dtype=np.int64)


def _one_by_one(block: Block, traits: Whole, group: Whole) -> dict[int, Sums]:
    """What is no sum of a column: the idle part of GPU time, and the parts of a call's cost where a discount holds."""
    metered = (traits & METERED) > 0
    discounted = ((traits & TOKENS) > 0) & ((traits & PLAIN) == 0)
    places = np.flatnonzero(metered | discounted)
    if not len(places):
        return {}
    rows = block.take(places)
    out: dict[int, Sums] = {}
    names = ("unit_prices", "utilization", "output_tokens", "cache_read_input_tokens")
    columns = (group[places].tolist(), metered[places].tolist(), amounts(rows.money("effective_cost_usd")),
               amounts(rows.money("list_cost")), *map(rows.values, names))  # fmt: skip
    for number, is_metered, usd, listed, prices, used, output, cached in zip(*columns, strict=True):
        into = out.setdefault(number, Sums())
        if is_metered:
            into.metered_usd += usd
            into.idle_usd += usd * (1 - Decimal(str(used)))
        else:
            scale = _PER_MILLION * usd / listed
            into.output_usd += output * prices.get("output_mtok", ZERO) * scale
            into.cache_read_usd += cached * prices.get("cache_read_mtok", ZERO) * scale
    return out
