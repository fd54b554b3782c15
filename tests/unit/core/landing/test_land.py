"""From records to rows and batches: every event once, none lost, wherever batches are cut and whatever is repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import ChargeRecord
from schemas.topics import ALERTS, CHARGES, DEAD_LETTERS, FINDINGS
from schemas.watch import Mark
from streams.core.columns.block import Unfit, exact, identity_of
from streams.core.columns.packed import pack, pulse
from streams.core.landing.batches import (
    Batch,
    Partition,
    Record,
    Span,
    cut,
    digest,
    distinct,
    due,
    patience,
    read_record,
    resting,
)
from streams.core.landing.land import TABLES, columns
from streams.stages.landing import Store, put
from tests.support.clickhouse import FailingStore, MemoryStore
from tests.support.records import NOON, alert, charge, charges, dead_letter, finding, rows_of, split

CHARGE_TABLE = TABLES[CHARGES.name]


def read(value: bytes | None, offset: int = 0) -> Record:
    return read_record(CHARGE_TABLE, offset, value)


# Rows.


def test_a_charge_becomes_a_row_that_names_its_source_record() -> None:
    record = read(charges(charge(7, "0.1234567890125"), offset=42, partition=3))
    (row,) = rows_of(columns(CHARGE_TABLE, [record.content], NOON))
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == ("usage.token-calls", 3, 42)
    assert row["id"] == "call-7"
    assert row["effective_cost"] == Decimal("0.1234567890125")
    assert row["billed_cost"] is None  # missing is not zero
    assert row["landed_at"] == NOON


def test_a_text_or_a_key_of_a_mapping_stands_once_however_many_rows_have_it() -> None:
    """ClickHouse takes a dictionary as it is; of plain texts it makes one, by looking up each row's."""
    tagged = [{"app": "a", "tier": "1"}, {"app": "b"}, {}, {"tier": "1", "app": "a"}, {"app": "a", "tier": "1"}]
    prices = [{"input": Decimal(n), "output": Decimal("0.5")} for n in (1, 2, 1, 1, 3)]
    some = [
        charge(n, team="ab"[n % 2], tags=tags, unit_prices=price)
        for n, (tags, price) in enumerate(zip(tagged, prices, strict=True))
    ]
    records = [read(charges(*some[:3])), read(charges(*some[3:4])), read(charges(*some[4:], offset=7, partition=1))]
    table = columns(CHARGE_TABLE, [record.content for record in records], NOON)
    assert isinstance(table, pa.Table)
    texts = [table["team"].chunk(0), table["tags"].chunk(0).keys, table["unit_prices"].chunk(0).keys]
    assert [sorted(each.dictionary.to_pylist()) for each in texts] == [["a", "b"], ["app", "tier"], ["input", "output"]]
    rows = rows_of(table)
    assert [(row["team"], row["tags"], row["unit_prices"]) for row in rows] == [
        (one.team, one.tags, one.unit_prices) for one in some
    ]
    lineage = [(row["source_topic"], row["source_partition"], row["source_offset"]) for row in rows]
    assert lineage == [("usage.token-calls", 0, 0)] * 4 + [("usage.token-calls", 1, 7)]


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


def filled(*offsets: int, now: float = 100.0, committed: int = 0) -> Partition:
    """A partition with a record of one event at each offset, polled at `now`."""
    partition = Partition(committed)
    partition.add([read(charges(charge(n)), offset=n) for n in offsets], now)
    return partition


def offsets(batch: Batch) -> dict[int, list[int]]:
    return {partition: [record.offset for record in records] for partition, records in batch.parts.items()}


def test_a_batch_is_due_when_nothing_is_to_be_read_or_the_oldest_record_has_waited() -> None:
    partitions = {0: filled(5, 6), 1: filled(1, now=100.5), 2: Partition(0)}
    assert not due(partitions, {0, 1}, 100.9, linger=1.0)
    assert due(partitions, {0, 1}, 101.0, linger=1.0)
    assert due(partitions, {0, 1, 2}, 100.9, linger=1.0)
    assert not due({0: Partition(0)}, {0}, 999.0, linger=0.0)


def test_what_is_late_already_waits_for_a_fuller_batch_within_bounds() -> None:
    assert [patience(0.5, age) for age in (-9.0, 0.0, 10.0, 20.0, 40.0, 999.0)] == [0.5, 0.5, 0.5, 1.0, 2.0, 2.0]


def test_what_waits_knows_when_its_first_event_arrived() -> None:
    partition = Partition(4)
    assert partition.received_at is None
    partition.add([read(pack(pulse()), offset=4)], 100.0)
    assert partition.received_at is None
    first, second = charge(5), charge(6, received_at=NOON + timedelta(seconds=30))
    partition.add([read(pack(pulse()), offset=5), read(charges(first), offset=6)], 101.0)
    partition.add([read(charges(second), offset=7)], 131.0)
    assert partition.received_at == first.received_at.timestamp()
    partition.take(3)
    assert partition.received_at == second.received_at.timestamp()
    partition.take(1)
    assert partition.received_at is None


def test_who_has_its_share_of_a_batch_waits_for_who_has_more_to_read() -> None:
    partitions = {0: filled(5, 6), 1: filled(1), 2: Partition(0)}
    assert resting(partitions, {0: 9, 1: 3, 2: 0}, rows=6) == {0}
    assert resting(partitions, {0: 9, 1: 2, 2: 0}, rows=6) == set()  # the others are read to their ends
    assert resting(partitions, {0: 9, 1: 2, 2: 0}, rows=3) == {0, 1, 2}
    assert resting(partitions, {0: 9, 1: 2, 2: 1}, rows=3) == {0, 1}
    assert resting({0: filled(5, 6)}, {0: 9}, rows=2) == {0}


def test_a_batch_takes_its_share_of_each_partition_and_the_rest_of_who_waited_longest() -> None:
    partitions = {0: filled(5, 6, now=101.0), 1: filled(1, 2, 3), 2: filled(9, now=102.0), 3: Partition(0)}
    assert offsets(cut(partitions, rows=4)) == {0: [5], 1: [1, 2], 2: [9]}
    assert {number: one.rows for number, one in partitions.items()} == {0: 1, 1: 1, 2: 0, 3: 0}
    assert offsets(cut(partitions, rows=1)) == {1: [3]}
    assert offsets(cut(partitions, rows=9)) == {0: [6]}
    assert offsets(cut(partitions, rows=9)) == {}


def test_what_came_while_another_batch_landed_waits_since_it_came() -> None:
    partition = filled(5, committed=5)
    taken = partition.take(4)
    partition.add([read(charges(charge(6)), offset=6)], now=101.1)
    partition.add([read(charges(charge(7)), offset=7)], now=101.5)
    assert partition.committed == 5
    partition.finish(taken)
    assert partition.committed == 6
    assert not due({0: partition}, set(), 102.0, linger=1.0)
    assert due({0: partition}, set(), 102.1, linger=1.0)
    assert [record.offset for record in partition.take(1)] == [6]
    assert partition.waiting_since == 101.5


def test_an_intent_names_what_it_has_of_each_partition() -> None:
    batch = cut({2: filled(7, 8), 0: filled(3, now=101.0)}, rows=9)
    written = batch.intent("spend.charges", 255, NOON)
    assert written.spans == (Span(0, 3, 3), Span(2, 7, 8))
    assert written.token.split(":", 1) == ["spend.charges", "0:3:3,2:7:8:00000000000000ff"]
    assert (written.span(2), written.span(1)) == (Span(2, 7, 8), None)
    assert written.digest == digest(batch.records)
    others = cut({2: filled(8, 9), 0: filled(3, now=101.0)}, rows=9)
    assert others.intent("spend.charges", 255, NOON).digest != written.digest


def test_a_batch_of_one_partition_has_the_token_that_it_had_before_there_were_others() -> None:
    """One that an older release was cut off in is repeated under it."""
    written = cut({3: filled(7, 8)}, rows=9).intent("spend.charges", 1, NOON)
    assert written.token.split(":", 1) == ["spend.charges", "3:7:8:0000000000000001"]


@pytest.mark.parametrize(("committed", "after"), [(3, 3), (4, 8), (7, 8), (8, 8), (9, 9)])
def test_a_partition_goes_on_behind_what_is_landed_of_it_and_never_back(committed: int, after: int) -> None:
    assert Span(0, 4, 7).after(committed) == after


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
    """Each life a worker holds some of the partitions; batches go over what it holds."""
    chance, numbers, store = Random(seed), count(1), MemoryStore()
    committed = [0] * len(log)
    for deaths in range(30, -1, -1):
        left = count(chance.randint(0, life) if deaths else 10**9, -1)  # calls that take effect before it dies

        def fault(_: str, left: count[int] = left) -> None:
            if next(left) <= 0:
                raise Died

        holds = chance.sample(range(len(log)), chance.randint(1, len(log)) if deaths else len(log))
        with suppress(Died):
            land(FailingStore(store, fault), log, holds, committed, numbers, chance)
    assert committed == [len(records) for records in log]
    every = [record.content for records in log for record in records]
    wanted = rows_of(columns(CHARGE_TABLE, every, NOON)) if any(content.keys for content in every) else []
    assert sorted(map(_part, store.rows("charges"))) == sorted(map(_part, wanted))
    assert store.open_intents("spend.charges", range(len(log))) == []


def _part(row: dict[str, Any]) -> tuple[str, int]:
    return row["id"], row["part"]


def land(
    store: Store,
    log: Sequence[Sequence[Record]],
    holds: Sequence[int],
    committed: list[int],
    numbers: Iterator[int],
    chance: Random,
) -> None:
    """Land partitions from their committed offsets, as the stage does, with batches cut anywhere."""
    partitions: dict[int, Partition] = {}
    for at in holds:
        for cut_off in store.open_intents("spend.charges", [at]):
            records = [record for span in cut_off.spans for record in log[span.partition][span.first : span.last + 1]]
            assert digest(records) == cut_off.digest
            put(store, CHARGE_TABLE, records, cut_off, NOON)
            own = cut_off.span(at)
            assert own is not None
            committed[at] = own.after(committed[at])
        partitions[at] = Partition(committed[at])
        partitions[at].add(log[at][committed[at] :], now=chance.random())
    while (batch := cut(partitions, chance.randint(1, 9))).parts:
        put(store, CHARGE_TABLE, batch.records, batch.intent("spend.charges", next(numbers), NOON), NOON)
        for at, part in batch.parts.items():
            partitions[at].finish(part)
            committed[at] = partitions[at].committed
