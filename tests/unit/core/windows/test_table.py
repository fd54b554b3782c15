"""Sums by column are what adding up one by one gives, to the last digit, however large and however written."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.watch import MONEY
from streams.core.windows.sums import Sums
from streams.core.windows.table import Table, finer, joined, of_decimals, product, whole
from streams.core.windows.ticks_json import table_from_json, table_to_json

AMOUNTS = st.one_of(
    st.just(Decimal(0)),
    st.integers(-(10**4), 10**9).map(lambda micros: Decimal(micros).scaleb(-6)),
    st.integers(-(10**19), 10**19).map(lambda units: Decimal(units).scaleb(-18)),  # about as much as 64 bits hold
    st.integers(-(10**26), 10**26).map(lambda units: Decimal(units).scaleb(-10)),
)
NUMBERS = st.one_of(st.just(0), st.integers(0, 10**6), st.integers(2**62, 2**63 - 1))
FEW = ("usd", "at_risk_usd", "events", "requests")  # what is drawn of each part: all would take long to make smaller
SUMS_OF_A_PART = st.builds(Sums, usd=AMOUNTS, at_risk_usd=AMOUNTS, events=NUMBERS, requests=NUMBERS)
ALIGNED = st.dictionaries(st.sampled_from([60, 300, 3600]), st.integers(1, 9))
PARTS = st.lists(st.tuples(SUMS_OF_A_PART, ALIGNED), min_size=1, max_size=3)


def table_of(parts: list[tuple[Sums, dict[int, int]]]) -> Table:
    return Table.of_sums([sums for sums, _ in parts], [aligned for _, aligned in parts])


def plain(table: Table) -> list[tuple[Sums, dict[int, int]]]:
    steps = table.steps()
    return [
        (sums, {step: int(counts[at]) for step, counts in steps if counts[at]}) for at, sums in enumerate(table.sums())
    ]


def total(values: list[Decimal]) -> Decimal:
    """Without a limit of digits."""
    units = sum(int(value.scaleb(18)) for value in values)
    return Decimal(units) / 10**18 if abs(units) < 10**27 else Decimal(f"{units}E-18")


@settings(deadline=None)
@given(PARTS)
def test_what_goes_into_columns_comes_out_of_them(parts: list[tuple[Sums, dict[int, int]]]) -> None:
    assert plain(table_of(parts)) == parts


@settings(deadline=None)
@given(PARTS)
def test_a_table_is_the_same_after_json(parts: list[tuple[Sums, dict[int, int]]]) -> None:
    written = json.loads(json.dumps(table_to_json(table_of(parts))))
    assert plain(table_from_json(written, len(parts))) == parts


def test_parts_of_which_only_the_ends_of_buckets_are_known_have_sums_of_nothing() -> None:
    assert plain(table_of([(Sums(), {300: 2}), (Sums(), {})])) == [(Sums(), {300: 2}), (Sums(), {})]
    assert plain(table_of([(Sums(), {})])) == [(Sums(), {})]


@settings(deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=3), st.data())
def test_groups_are_added_up_exactly(tables: list[list[tuple[Sums, dict[int, int]]]], data: st.DataObject) -> None:
    """Whatever rows each table has, and in whatever units."""
    rows = [row for table in tables for row in table]
    begins = sorted({0, *data.draw(st.sets(st.integers(0, len(rows) - 1)))})
    found = plain(joined([table_of(table) for table in tables]).added(np.array(begins)))
    for (sums, aligned), first, behind in zip(found, begins, [*begins[1:], len(rows)], strict=True):
        group = rows[first:behind]
        for name in FEW:
            values = [getattr(one, name) for one, _ in group]
            assert getattr(sums, name) == (total(values) if name in MONEY else sum(values)), name
        for step in (60, 300, 3600):
            assert aligned.get(step, 0) == sum(one.get(step, 0) for _, one in group)


def test_64_bits_are_left_only_where_they_may_not_hold_a_sum() -> None:
    few = Table.of({"usd": (12, whole([2**60, 2**60]))}, 2)
    assert few.added(np.array([0])).units.dtype == np.int64
    many = Table.of({"usd": (12, whole([2**62, 2**62]))}, 2)
    assert many.added(np.array([0])).units.tolist() == [[2**63]]
    assert many.added(np.array([0, 1])).units.dtype == np.int64, "and are gone back to"


@given(st.integers(0, 10**12), st.integers(-(10**9), 10**9))
def test_products_and_finer_units_are_exact(count: int, price: int) -> None:
    assert product(whole([count, 0]), whole([price, price])).tolist() == [count * price, 0]
    assert finer(whole([price]), 12).tolist() == [price * 10**12]


@pytest.mark.parametrize("amount", ["1E+999999", "1E-999999", "NaN", "Infinity"])
def test_what_is_no_sum_of_money_is_refused(amount: str) -> None:
    """Read from a topic it would fill the memory with zeros."""
    with pytest.raises(ValueError, match=r"."):
        of_decimals([Decimal(amount)])


@pytest.mark.parametrize(
    "wire",
    [
        {"sums": {"usd": [1.5]}, "places": {"usd": 12}, "aligned": {}},
        {"sums": {"usd": [True]}, "places": {"usd": 12}, "aligned": {}},
        {"sums": {"usd": [None]}, "places": {"usd": 12}, "aligned": {}},
        {"sums": {"usd": [[1]]}, "places": {"usd": 12}, "aligned": {}},
        {"sums": {"usd": [2**64]}, "places": {"usd": 12}, "aligned": {}},
        {"sums": {"usd": [1, 2]}, "places": {"usd": 12}, "aligned": {}},
        {"sums": {"usd": [1]}, "places": {}, "aligned": {}},
        {"sums": {"events": [1]}, "places": {}, "aligned": {"x": [1]}},
    ],
)
def test_other_columns_are_refused(wire: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        table_from_json(wire, 1)
