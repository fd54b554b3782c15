"""From records to rows and batches: every event once, none lost, wherever batches are cut and whatever is repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import ChargeRecord
from schemas.topics import ALERTS, CHARGES, DEAD_LETTERS, FINDINGS
from schemas.watch import Mark
from streams.core.columns.block import Unfit, exact, identity_of
from streams.core.landing.batches import Intent, Partition, Record, Work, digest, distinct, read_record
from streams.core.landing.land import TABLES, columns
from streams.stages.landing import Store, put
from tests.support.clickhouse import FailingStore, MemoryStore
from tests.support.records import NOON, alert, charge, charges, dead_letter, finding, rows_of, split

CHARGE_TABLE = TABLES[CHARGES.name]


def read(value: bytes | None, offset: int = 0) -> Record:
    return read_record(CHARGE_TABLE, offset, value)


def intent(work: Work, number: int = 1) -> Intent:
    first, last = work.records[0].offset, work.records[-1].offset
    return Intent("spend.charges", 0, first, last, number, digest(work.records), NOON)


# Rows.


def test_a_charge_becomes_a_row_that_names_its_source_record() -> None:
    record = read(charges(charge(7, "0.1234567890125"), offset=42, partition=3))
    (row,) = rows_of(columns(CHARGE_TABLE, [record.content], NOON))
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == ("usage.token-calls", 3, 42)
    assert row["id"] == "call-7"
    assert row["effective_cost"] == Decimal("0.1234567890125")
    assert row["billed_cost"] is None  # missing is not zero
    assert row["landed_at"] == NOON


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("0.0000000000000000005", "0"),
        ("0.0000000000000000015", "0.000000000000000002"),
        ("-1", "-1"),
        ("9" * 20, "9" * 20),
    ],
)
def test_money_is_rounded_half_to_even_at_eighteen_decimals(text: str, kept: str) -> None:
    assert exact(Decimal(text)) == Decimal(kept)


@pytest.mark.parametrize("text", ["1E20", "-1E300", "99999999999999999999.9999999999999999999"])
def test_money_that_no_column_holds_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        exact(Decimal(text))


def test_an_event_that_does_not_fit_leaves_its_neighbours_and_names_the_field() -> None:
    """An older release wrote it: now `price` makes it a dead letter."""
    some = [charge(1), charge(2, billed_cost=Decimal("1E30")), charge(3)]
    old = ChargeRecord(topic="usage.token-calls", partition=0, offset=0, charges=some)
    record = read(old.model_dump_json().encode())
    rows = rows_of(columns(CHARGE_TABLE, [record.content], NOON))
    assert [row["id"] for row in rows] == ["call-1", "call-3"]
    assert record.content.problems == ("billed_cost: has more than 20 digits before the point",)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{", b"[]", b'{"topic": "usage"}', b'"secret"'])
def test_what_is_not_ours_keeps_its_place_and_tells_nothing_of_its_content(value: bytes | None) -> None:
    record = read(value, offset=9)
    assert (record.offset, record.content.keys, len(record.content.problems)) == (9, (), 1)
    assert "secret" not in record.content.problems[0]


def test_parts_of_a_split_event_stay_together_and_a_duplicate_loses_all_of_its_own() -> None:
    once = split(1, ["0.5", "0.25", "0.25"])
    again = split(1, ["0.4", "0.3", "0.2", "0.1"])  # priced again after the sharing rule changed
    records = [read(charges(*once, *again, charge(2))), read(charges(*once))]
    assert distinct(records)[1] == 2
    rows = rows_of(columns(CHARGE_TABLE, [record.content for record in records], NOON))
    assert [(row["id"], row["part"], row["parts"]) for row in rows] == [
        ("call-1", 0, 3), ("call-1", 1, 3), ("call-1", 2, 3), ("call-2", 0, 1),
    ]  # fmt: skip


def test_of_what_another_batch_has_claimed_nothing_lands() -> None:
    record = read(charges(*split(1, ["0.5", "0.5"]), charge(2)))
    first, second = record.content.keys
    taken = rows_of(columns(CHARGE_TABLE, [record.content], NOON, {first}))
    assert [row["id"] for row in taken] == ["call-2"]
    assert columns(CHARGE_TABLE, [record.content], NOON, {first, second}) is None


def test_identities_do_not_run_into_each_other() -> None:
    names = [("a", "bc"), ("ab", "c"), ("a\0", "b"), ("a", "\0b"), ("", "abc"), ("abc", "")]
    assert len({identity_of(kind, *pair) for pair in names for kind in ("usage", "finding")}) == 12


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        (FINDINGS.name, finding().model_dump_json()),
        (ALERTS.name, alert().model_dump_json()),
        (DEAD_LETTERS.name, dead_letter().model_dump_json()),
    ],
)
def test_states_and_dead_letters_count_once_each(topic: str, value: str) -> None:
    records = [read_record(TABLES[topic], offset, value.encode()) for offset in (0, 1)]
    keys, repeated = distinct(records)
    assert (len(keys), repeated) == (1, 1)
    assert len(rows_of(columns(TABLES[topic], [record.content for record in records], NOON))) == 1


def test_a_revision_is_a_row_of_its_own_and_a_mark_is_none() -> None:
    table = TABLES[FINDINGS.name]
    mark = Mark(meter="token_call", window_seconds=10, partition=0, time=NOON)
    values = [finding(revision=0), finding(revision=1, decomposition=None), mark]
    records = [read_record(table, n, value.model_dump_json().encode()) for n, value in enumerate(values)]
    assert len(distinct(records)[0]) == 2
    assert not any(record.content.problems for record in records)


# Batches.


def test_an_intent_beyond_the_end_of_the_log_is_given_up_when_it_stays_so() -> None:
    records = [read(charges(charge(n)), offset=n) for n in range(10)]
    partition = Partition(0, [intent(Work(tuple(records[2:6])))], patience=60.0)
    partition.add(records[:4], now=0.0)
    assert partition.next(0.0, rows=1, linger=0.0, end=4) is None
    assert partition.next(59.0, rows=1, linger=0.0, end=6) is None  # the end was behind, and came back
    assert partition.next(90.0, rows=1, linger=0.0, end=4) is None
    work = partition.next(150.0, rows=1, linger=0.0, end=4)
    assert work is not None
    assert not work.intact
    partition.finish(work)
    assert partition.next(150.0, rows=4, linger=0.0) == Work(tuple(records[:4]))


def test_a_batch_is_due_when_full_or_when_its_oldest_record_has_waited() -> None:
    partition = Partition(committed=5)
    partition.add([read(charges(charge(n)), offset=5 + n) for n in range(3)], now=100.0)
    assert partition.next(100.9, rows=4, linger=1.0) is None
    due = partition.next(101.0, rows=4, linger=1.0)
    assert due is not None
    assert len(due.records) == 3
    full = partition.next(100.0, rows=2, linger=1.0)
    assert full is not None
    assert [record.offset for record in full.records] == [5, 6]
    assert partition.finish(full) == 7
    assert partition.rows == 1


def test_what_came_while_another_batch_landed_waits_since_it_came() -> None:
    partition = Partition(committed=5)
    partition.add([read(charges(charge(5)), offset=5)], now=100.0)
    first = partition.next(101.0, rows=4, linger=1.0)
    assert first is not None
    partition.add([read(charges(charge(6)), offset=6)], now=101.1)
    partition.add([read(charges(charge(7)), offset=7)], now=101.5)
    partition.finish(first)
    assert partition.next(102.0, rows=4, linger=1.0) is None
    due = partition.next(102.1, rows=4, linger=1.0)
    assert due is not None
    assert [record.offset for record in due.records] == [6, 7]


def test_an_open_intent_comes_first_with_exactly_its_records() -> None:
    records = [read(charges(charge(n)), offset=n) for n in range(10)]
    cut_off = intent(Work(tuple(records[2:6])))
    partition = Partition(2, [cut_off])
    partition.add(records[2:5], now=0.0)
    assert partition.next(100.0, rows=1, linger=0.0) is None  # not all of it is here
    partition.add(records[5:], now=1.0)
    work = partition.next(1.0, rows=1, linger=9.0)
    assert work == Work(tuple(records[2:6]), cut_off)
    assert work is not None
    assert work.intact
    assert partition.finish(work) == 6
    assert not partition.replaying


def test_an_intent_before_the_committed_offset_is_repeated_and_moves_nothing_back() -> None:
    records = [read(charges(charge(n)), offset=n) for n in range(10)]
    apart = intent(Work(tuple(records[1:4])))
    partition = Partition(8, [apart])
    assert partition.start == 1
    partition.add(records[1:], now=0.0)
    work = partition.next(0.0, rows=1, linger=0.0)
    assert work is not None
    assert partition.finish(work) is None
    rest = partition.next(9.0, rows=9, linger=0.0)
    assert rest is not None
    assert [record.offset for record in rest.records] == [8, 9]


def test_an_intent_for_other_records_is_told_apart_and_given_up() -> None:
    before, now = (tuple(read(charges(charge(base + n)), offset=n) for n in range(3)) for base in (0, 100))
    partition = Partition(0, [intent(Work(before))])
    partition.add(now, now=0.0)
    work = partition.next(0.0, rows=3, linger=0.0)
    assert work is not None
    assert not work.intact
    assert partition.finish(work) is None
    again = partition.next(0.0, rows=3, linger=0.0)
    assert again == Work(now)


class Died(Exception):  # noqa: N818
    """The worker is gone."""


@st.composite
def logs(draw: st.DrawFn) -> list[list[Record]]:
    """Partitions of records whose events repeat within a record, between records and between partitions."""
    record = st.lists(st.integers(0, 12), max_size=4)
    partitions = draw(st.lists(st.lists(record, min_size=1, max_size=12), min_size=1, max_size=3))
    return [
        [read(charges(*(part for n in events for part in SPLIT[n])), offset) for offset, events in enumerate(log)]
        for log in partitions
    ]


SPLIT = [split(n, ["0.5"] * (1 + n % 3)) for n in range(13)]


@given(log=logs(), seed=st.integers(0, 2**32), life=st.integers(0, 12))
def test_no_event_twice_and_none_lost_wherever_batches_are_cut_and_workers_die(
    log: list[list[Record]], seed: int, life: int
) -> None:
    chance, numbers, store = Random(seed), count(1), MemoryStore()
    committed = [0] * len(log)
    for deaths in range(30, -1, -1):
        left = count(chance.randint(0, life) if deaths else 10**9, -1)  # calls that take effect before it dies

        def fault(_: str, left: count[int] = left) -> None:
            if next(left) <= 0:
                raise Died

        with suppress(Died):
            for at in chance.sample(range(len(log)), len(log)):
                land(FailingStore(store, fault), log[at], at, committed, numbers, chance)
    assert committed == [len(records) for records in log]
    every = [record.content for records in log for record in records]
    wanted = rows_of(columns(CHARGE_TABLE, every, NOON)) if any(content.keys for content in every) else []
    assert sorted(map(_part, store.rows("charges"))) == sorted(map(_part, wanted))


def _part(row: dict[str, Any]) -> tuple[str, int]:
    return row["id"], row["part"]


def land(
    store: Store, records: Sequence[Record], at: int, committed: list[int], numbers: Iterator[int], chance: Random
) -> None:
    """Land a partition from its committed offset, as the stage does, with batches cut anywhere."""
    partition = Partition(committed[at], store.open_intents("spend.charges", at))
    partition.add(records[partition.start :], now=0.0)
    while (work := partition.next(1.0, chance.randint(1, 9), 0.0)) is not None:
        first, last = work.records[0].offset, work.records[-1].offset
        new = Intent("spend.charges", at, first, last, next(numbers), digest(work.records), NOON)
        put(store, CHARGE_TABLE, work.records, work.replay or new, NOON)
        committed[at] = partition.finish(work) or committed[at]
