"""From charges by column to the sums of a window's finest parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import repeat

import numpy as np

from schemas.base import SMALLEST
from schemas.events import GPU_USAGE
from schemas.records import PriceStatus
from schemas.watch import DIMENSIONS
from streams.core.columns.amounts import amounts, equal_units, units, zeros
from streams.core.columns.block import Block, Mask, Whole
from streams.core.columns.grouping import as_one, together
from streams.core.windows.sums import ZERO
from streams.core.windows.table import EXACT, Table, Units, finer, of_decimals, product
from streams.core.windows.ticks import Leaf

LEAF = DIMENSIONS
"""What names a part of a window: the charge's fields of these names, in this order."""

_PER_MILLION = Decimal("0.000001")
_COUNTED = ("requests", "input_tokens", "output_tokens", "cache_read_input_tokens")
READ = frozenset(LEAF) | set(_COUNTED) | {
    "type", "part", "parts", "unit_prices", "list_cost", "effective_cost_usd", "estimated_cost", "gpu_minutes",
    "utilization", "allocation", "price_status",
}  # fmt: skip
"""The fields that are looked at here."""

Rows = dict[str, tuple[int, Units]]


@dataclass(slots=True)
class Cells:
    """What some charges of one window add up to: the leaves that they are of, each once, and their sums."""

    start: int
    leaves: list[Leaf]
    table: Table


def cells(block: Block, starts: Whole, aligned: Mapping[int, Mask]) -> Iterator[Cells]:
    """The sums of the charges, of which there is at least one, whose windows begin at `starts`; leaves in the order of
    their first charge.

    `aligned` marks the charges whose events end a bucket, by its width.
    """
    keys = [block.codes(name) for name in LEAF]
    order, begins = together(as_one([starts - starts.min(), *(coded for coded, _ in keys)]))
    ranked = np.argsort(order[begins])
    first = order[begins[ranked]]
    table = Table.of(_rows(block, aligned), block.count).take(order).added(begins).take(ranked)
    columns = [
        repeat(values[0], len(first)) if len(values) == 1 else [values[code] for code in coded[first].tolist()]
        for coded, values in keys
    ]
    leaves: list[Leaf] = list(zip(*columns, strict=True))
    begun = starts[first]
    if (begun == begun[0]).all():
        yield Cells(int(begun[0]), leaves, table)
        return
    for start in np.unique(begun).tolist():
        at = np.flatnonzero(begun == start)
        yield Cells(start, [leaves[number] for number in at.tolist()], table.take(at))


def _rows(block: Block, aligned: Mapping[int, Mask]) -> Rows:
    """What each charge adds to the sums, by their names."""
    events = (block.numbers("part") == 0).astype(np.int64)
    rows: Rows = {"events": (0, events)}
    for name in _COUNTED:
        rows[name] = 0, block.numbers(name)
    usd = block.money("effective_cost_usd")
    places, dollars = rows["usd"] = units(usd)
    known = usd.is_valid().to_numpy(zero_copy_only=False)
    if (loose := block.has("allocation", "unallocated")).any():
        rows["unallocated_usd"] = places, dollars * loose
    if (unpriced := block.has("price_status", PriceStatus.UNPRICED)).any():
        rows["unpriced_events"] = 0, events * unpriced
        at, risk = units(block.money("estimated_cost"))
        rows["at_risk_usd"] = at, risk * unpriced
    if (minutes := block.money("gpu_minutes")).null_count < block.count:
        rows["gpu_minutes"] = units(minutes)
    _put_tokens(block, known, rows)
    _put_idle(block, known, rows)
    for step, ends in aligned.items():
        rows[str(step)] = 0, events * ends
    return rows


def _put_tokens(block: Block, known: Mask, rows: Rows) -> None:
    """The parts of calls' costs that answers and cached input are."""
    usd, listed = block.money("effective_cost_usd"), block.money("list_cost")
    calls = known & (block.numbers("requests") > 0) & (block.numbers("parts") == 1)
    if not calls.any():
        return
    plain = equal_units(usd, listed) | zeros(listed)  # else a discount holds, which its parts share
    codes, prices = block.codes("unit_prices")
    for name, (unit, tokens) in _PRICED.items():
        places, each = of_decimals([_money(known_prices.get(unit, ZERO) * _PER_MILLION) for known_prices in prices])
        if each.any():
            rows[name] = places, product(block.numbers(tokens) * (calls & plain), each[codes])
    special = np.flatnonzero(calls & ~plain)
    if len(special):
        _put_discounted(block.take(special), special, rows)


_PRICED = {
    "output_usd": ("output_mtok", "output_tokens"),
    "cache_read_usd": ("cache_read_mtok", "cache_read_input_tokens"),
}


def _put_discounted(block: Block, at: Whole, rows: Rows) -> None:
    """The same of calls, at some places, that were cheaper or dearer than listed: their parts are so by as much."""
    paid = zip(_decimals(block, "effective_cost_usd"), _decimals(block, "list_cost"), strict=True)
    scale = [_PER_MILLION * part / whole for part, whole in paid]
    for name, (unit, tokens) in _PRICED.items():
        priced = zip(block.numbers(tokens).tolist(), block.values("unit_prices"), scale, strict=True)
        _put(rows, name, at, [count * prices.get(unit, ZERO) * share for count, prices, share in priced])


def _put_idle(block: Block, known: Mask, rows: Rows) -> None:
    """What GPUs cost whose use is known, and what of that was for nothing."""
    if "utilization" not in block.columns and block.shared("utilization") is None:
        return
    used = block.values("utilization")
    metered = known & block.has("type", GPU_USAGE) & np.array([one is not None for one in used])
    places = np.flatnonzero(metered)
    if not len(places):
        return
    paid = _decimals(block.take(places), "effective_cost_usd")
    _put(rows, "metered_usd", places, paid)
    shares = [1 - Decimal(str(used[at])) for at in places.tolist()]
    _put(rows, "idle_usd", places, [usd * share for usd, share in zip(paid, shares, strict=True)])


def _decimals(block: Block, name: str) -> list[Decimal]:
    return [amount or ZERO for amount in amounts(block.money(name))]


def _money(amount: Decimal) -> Decimal:
    """To money's scale. Quotients have no end, and what is rounded charge by charge is the same in any partitioning."""
    return amount.quantize(SMALLEST, ROUND_HALF_EVEN, EXACT).normalize(EXACT)


def _put(rows: Rows, name: str, at: Whole, values: Sequence[Decimal]) -> None:
    """Give a row these decimals at some places, where it has nothing yet."""
    places, given = of_decimals(list(map(_money, values)))
    before, had = rows.get(name, (places, np.zeros(len(rows["events"][1]), dtype=np.int64)))
    most = max(places, before)
    given, had = finer(given, most - places), finer(had, most - before)
    row = had.astype(given.dtype) if had.dtype != np.object_ else had.copy()
    row[at] = given
    rows[name] = most, row
