"""Charges dealt to partitions: copies of an event meet, its parts stay together, what is left out is accounted for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Charge
from streams.core.columns.block import WASTE, Block, identities_of, identity_of
from streams.core.columns.dealing import Dealer
from streams.core.columns.packed import ChargeBatch, pack, unpack
from tests.support.records import charge, split


def batch(charges: list[Charge], records: list[int], first: int, last: int, partition: int = 0) -> ChargeBatch:
    return ChargeBatch("usage.token-calls", partition, first, last, Block.of(charges, records))


def event(number: int) -> list[Charge]:
    """An event's charges: some events are shared by two owners."""
    return split(number, ["1", "2"]) if number % 3 == 0 else [charge(number, tags={"n": str(number)})]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(1, 6))
def test_every_charge_goes_to_one_partition_and_copies_of_an_event_to_the_same(numbers: list[int], hands: int) -> None:
    charges = [one for number in numbers for one in event(number)]
    records = [at for at, number in enumerate(numbers) for _ in event(number)]
    whole = batch(charges, records, 0, len(numbers) - 1)
    dealt = Dealer(hands).deal(whole)
    back = [(one.records[at], row) for _, part in dealt for one in [part.block] for at, row in enumerate(one)]
    assert sorted(back, key=lambda pair: (pair[0], pair[1].part)) == list(zip(records, charges, strict=True))
    where: dict[str, set[int]] = {}
    for partition, part in dealt:
        assert list(unpack(pack(part)).block) == list(part.block)
        assert (part.block.records[1:] >= part.block.records[:-1]).all()
        named = [identity_of("usage", row.source, row.id) for row in part.block if row.part == 0]
        assert part.block.event_keys() == unpack(pack(part)).block.event_keys() == named
        for row in part.block:
            where.setdefault(row.id, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in where.values())


def test_no_charges_have_no_keys() -> None:
    assert Block(0).event_keys() == Block.of([], []).event_keys() == []


def test_an_event_goes_where_its_copy_goes_through_another_source_partition() -> None:
    dealer = Dealer(8)
    ((one, _),) = dealer.deal(batch([charge(7)], [3], 3, 3))
    ((other, _),) = dealer.deal(batch([charge(7)], [90], 90, 95, partition=2))
    assert one == other


def test_what_a_partition_gets_next_is_for_the_records_too_that_held_nothing_for_it() -> None:
    dealer = Dealer(4)
    home = {number: dealer.deal(batch([charge(number)], [0], 0, 0, partition=9))[0][0] for number in range(40)}
    mine, others = ([n for n in home if (home[n] == home[0]) == same] for same in (True, False))
    ((_, first),) = dealer.deal(batch([charge(mine[0])], [10], 10, 12))
    dealer.deal(batch([charge(others[0])], [15], 13, 19))
    dealer.deal(batch([], [], 20, 24))
    ((_, second),) = dealer.deal(batch([charge(mine[1])], [26], 25, 29))
    assert (first.first, first.last) == (10, 12)
    assert (second.first, second.last, second.block.records.tolist()) == (13, 29, [26])


def test_what_is_read_again_is_said_again() -> None:
    dealer = Dealer(1)
    dealer.deal(batch([charge(1), charge(2)], [10, 20], 10, 20))
    ((_, again),) = dealer.deal(batch([charge(1)], [10], 10, 14))
    ((_, rest),) = dealer.deal(batch([charge(2), charge(3)], [20, 30], 15, 30))
    assert [(one.first, one.last) for one in (again, rest)] == [(10, 14), (15, 30)]


def test_no_partition_is_sent_the_texts_of_the_others() -> None:
    charges = [charge(number, tags={"run": f"{number:0100}"}) for number in range(400)]
    dealt = Dealer(16).deal(batch(charges, [0] * 400, 0, 0))
    assert len(dealt) == 16
    assert sum(len(pack(part)) for _, part in dealt) < WASTE * 400 * 110 + 16 * 2_000


@pytest.mark.parametrize("name", ["a", "call-1", "Zürich", "a\0b", "x" * 512])
def test_events_are_known_by_source_and_id_whatever_stands_beside_them(name: str) -> None:
    sources, names = ["/a", "/gateways/llm", "/a", "/a"], [name, name, "other", f"{name}2"]
    known = [identity_of("usage", *pair) for pair in zip(sources, names, strict=True)]
    assert identities_of(sources, names).to_pylist() == known
