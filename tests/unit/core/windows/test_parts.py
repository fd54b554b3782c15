"""From charges to parts: what each charge adds, by column and in any batch, as said charge by charge."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import SMALLEST
from schemas.events import GPU_USAGE, TOKEN_CALL
from schemas.records import Charge, PriceStatus
from streams.core.columns.block import Block
from streams.core.windows.parts import LEAF, cells
from streams.core.windows.sums import Sums
from streams.core.windows.ticks import Leaf

TIME = datetime(2026, 11, 2, tzinfo=UTC)
USD = st.one_of(
    st.integers(0, 10**6).map(lambda micros: Decimal(micros).scaleb(-6)),
    st.integers(0, 10**20).map(lambda units: Decimal(units).scaleb(-18)),
)
PRICES = st.sampled_from([
    {},
    {"output_mtok": Decimal("10.5"), "cache_read_mtok": Decimal("0.3125")},
    {"output_mtok": Decimal("0.0000012345")},
    {"cache_read_mtok": Decimal(10**9)},
])  # fmt: skip


@st.composite
def a_charge(draw: st.DrawFn) -> Charge:
    values: dict[str, Any] = {
        "source": "/gw", "id": str(draw(st.integers(0, 10**9))), "time": TIME, "received_at": TIME,
        "period_start": TIME, "period_end": TIME, "team": draw(st.sampled_from(["a", ""])), "price_status": "priced",
        "allocation": draw(st.sampled_from(["tags", "unallocated"])), "part": draw(st.integers(0, 1)),
    }  # fmt: skip
    usd = draw(st.none() | USD)
    listed = draw(st.sampled_from([usd, usd, Decimal(3), Decimal(0)]))
    if usd is None:
        values |= {"price_status": PriceStatus.UNPRICED, "estimated_cost": draw(st.none() | USD)}
    if draw(st.booleans()):
        values |= {
            "type": TOKEN_CALL, "requests": draw(st.integers(0, 2)), "output_tokens": draw(st.integers(0, 10**12)),
            "cache_read_input_tokens": draw(st.integers(0, 9)), "parts": draw(st.integers(1, 2)),
            "unit_prices": draw(PRICES),
        }  # fmt: skip
    else:
        used = draw(st.none() | st.floats(0, 1, allow_subnormal=False))
        values |= {"type": GPU_USAGE, "gpu_minutes": draw(USD), "utilization": used}
    return Charge(**values, effective_cost=usd, effective_cost_usd=usd, list_cost=listed)


def added(charge: Charge) -> Sums:
    """What one charge adds."""
    usd, listed, prices = charge.effective_cost_usd, charge.list_cost, charge.unit_prices
    first = charge.part == 0
    out = Sums(
        usd=usd or Decimal(0), events=int(first), requests=charge.requests, input_tokens=charge.input_tokens,
        output_tokens=charge.output_tokens, cache_read_input_tokens=charge.cache_read_input_tokens,
        gpu_minutes=charge.gpu_minutes or Decimal(0),
    )  # fmt: skip
    if charge.price_status is PriceStatus.UNPRICED:
        out.unpriced_events, out.at_risk_usd = int(first), charge.estimated_cost or Decimal(0)
    if usd is not None and charge.allocation == "unallocated":
        out.unallocated_usd = usd
    if usd is not None and charge.requests and charge.parts == 1:
        share = usd / listed if listed and usd != listed else Decimal(1)  # of a discount, which its parts share
        out.output_usd = charge.output_tokens * prices.get("output_mtok", Decimal(0)) / 10**6 * share
        out.cache_read_usd = charge.cache_read_input_tokens * prices.get("cache_read_mtok", Decimal(0)) / 10**6 * share
    if usd is not None and charge.type == GPU_USAGE and charge.utilization is not None:
        out.metered_usd, out.idle_usd = usd, usd * (1 - Decimal(str(charge.utilization)))
    return out


def near(one: Sums, other: Sums, charges: int) -> bool:
    """The same, but for what a share of a charge's cost is rounded by."""
    rounded = {"output_usd", "cache_read_usd", "idle_usd"}
    return all(
        abs(getattr(one, name) - getattr(other, name)) <= (charges * SMALLEST * 10**12 if name in rounded else 0)
        for name in Sums.__slots__
    )


@settings(deadline=None)
@given(st.lists(a_charge(), min_size=1, max_size=12))
def test_a_part_is_the_sum_of_its_charges(charges: list[Charge]) -> None:
    expected: dict[Leaf, Sums] = {}
    for charge in charges:
        leaf = tuple(str(getattr(charge, name)) for name in LEAF)
        into, more = expected.setdefault(leaf, Sums()), added(charge)
        for name in Sums.__slots__:
            setattr(into, name, getattr(into, name) + getattr(more, name))
    block = Block.of(charges, [0] * len(charges))
    (found,) = cells(block, np.zeros(len(charges), dtype=np.int64), {})
    assert found.leaves == list(expected)
    for sums, wanted in zip(found.table.sums(), expected.values(), strict=True):
        assert near(sums, wanted, len(charges)), (sums, wanted)


@settings(deadline=None)
@given(st.lists(a_charge(), min_size=2, max_size=12), st.data())
def test_how_charges_are_batched_changes_no_digit(charges: list[Charge], data: st.DataObject) -> None:
    """Also of what is a share of a cost, which has no end of digits."""
    at = data.draw(st.integers(1, len(charges) - 1))
    alone: dict[Leaf, Sums] = {}
    for piece in (charges[:at], charges[at:]):
        (some,) = cells(Block.of(piece, [0] * len(piece)), np.zeros(len(piece), dtype=np.int64), {})
        for leaf, sums in zip(some.leaves, some.table.sums(), strict=True):
            into = alone.setdefault(leaf, Sums())
            for name in Sums.__slots__:
                setattr(into, name, getattr(into, name) + getattr(sums, name))
    (whole,) = cells(Block.of(charges, [0] * len(charges)), np.zeros(len(charges), dtype=np.int64), {})
    assert dict(zip(whole.leaves, whole.table.sums(), strict=True)) == alone
