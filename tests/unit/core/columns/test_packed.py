"""Charges by column: what comes back is what went in, and nothing else is taken for a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import ChargeRecord, PriceStatus
from streams.core.columns.block import Block, Unfit, joined
from streams.core.columns.packed import HEAD, CaughtUp, ChargeBatch, pack, pulse, unpack
from streams.core.columns.reading import Unreadable
from tests.support.records import NOON, batch, charge, split

CANARY = "sk-canary-51c0"
names = st.sampled_from(["", "a", "b", "Zürich", 'quote " and \\', "\0"])
money = st.none() | st.decimals(-(10**6), 10**6, places=18) | st.just(Decimal("1E-18"))
times = st.integers(-(10**15), 10**15).map(lambda number: NOON + timedelta(microseconds=number))
fields = st.fixed_dictionaries(
    {},
    optional={
        "time": times,
        "period_end": times,
        "provider": names,
        "service": names,
        "tags": st.dictionaries(names, names, max_size=3),
        "unit_prices": st.dictionaries(names, st.decimals(0, 100, places=6), max_size=3),
        "counts": st.dictionaries(names, st.decimals(0, 100, places=6), max_size=2),
        "list_cost": money,
        "contracted_cost": money,
        "effective_cost": money,
        "effective_cost_usd": money,
        "gpu_minutes": money,
        "utilization": st.none() | st.floats(0, 1),
        "batch": st.booleans(),
        "input_tokens": st.integers(0, 10**15),
        "price_status": st.sampled_from(PriceStatus),
    },
)


def said(packed: ChargeBatch) -> tuple[Any, ...]:
    """All that a batch says."""
    block = packed.block
    return (packed.topic, packed.partition, packed.first, packed.last, packed.caught_up, list(block),
            block.records.tolist(), block.identities.to_pylist())  # fmt: skip


@given(st.lists(fields, max_size=6))
def test_what_is_unpacked_is_what_was_packed(contents: list[dict[str, Any]]) -> None:
    charges = [charge(number, **content) for number, content in enumerate(contents)]
    given_batch = batch(*charges, offset=7, partition=3)
    assert list(given_batch.block) == charges
    assert said(unpack(pack(given_batch))) == said(given_batch)


@given(st.lists(fields, max_size=4))
def test_charges_one_by_one_as_version_1_wrote_them_are_read(contents: list[dict[str, Any]]) -> None:
    charges = [charge(number, **content) for number, content in enumerate(contents)]
    old = ChargeRecord(topic="usage.token-calls", partition=3, offset=7, charges=charges)
    assert said(unpack(old.model_dump_json(exclude_defaults=True).encode())) == said(
        batch(*charges, offset=7, partition=3)
    )


@given(st.lists(fields, max_size=5), st.lists(fields, max_size=5), st.randoms())
def test_blocks_are_joined_and_taken_apart_row_by_row(one: list[Any], other: list[Any], chance: Any) -> None:
    first, second = (
        [charge(base + number, **content) for number, content in enumerate(contents)]
        for base, contents in ((0, one), (100, other))
    )
    whole = joined([Block.of(first, range(len(first))), Block.of(second, range(len(second)))])
    assert list(whole) == [*first, *second]
    order = chance.sample(range(len(whole)), len(whole))
    taken = whole.take(np.array(order, dtype=np.int64))
    assert list(taken) == [[*first, *second][place] for place in order]
    assert taken.table().num_rows == len(order)


def test_charges_of_several_records_keep_their_numbers() -> None:
    block = Block.of([charge(1), charge(2), *split(3, ["1", "2"])], [4, 4, 9, 9])
    again = unpack(pack(ChargeBatch("usage.gpu", 0, 3, 11, block)))
    assert (again.first, again.last, again.block.records.tolist()) == (3, 11, [4, 4, 9, 9])
    assert again.block.events().tolist() == [0, 1, 2, 2]


def test_money_keeps_every_digit_and_times_every_microsecond() -> None:
    exact, time = Decimal("0.123456789012345678"), NOON + timedelta(microseconds=1)
    again = next(iter(unpack(pack(batch(charge(1, effective_cost=exact, time=time), charge(2)))).block))
    assert (str(again.effective_cost), again.time) == ("0.123456789012345678", time)


def test_a_pulse_has_no_charges() -> None:
    given_batch = pulse(CaughtUp("usage.gpu", 0, NOON), CaughtUp("usage.line-items", 3, NOON + timedelta(seconds=1)))
    assert said(unpack(pack(given_batch))) == said(given_batch)


def test_charges_of_one_of_several_records_name_it_once() -> None:
    one_record = ChargeBatch("usage.gpu", 0, 3, 11, Block.of([charge(1), charge(2)], [7, 7]))
    assert said(unpack(pack(one_record))) == said(one_record)
    assert b"#record" not in pack(one_record)


@pytest.mark.parametrize("name", ["charges", "pulse"])
def test_what_version_3_wrote_is_read(name: str) -> None:
    """Charges of the records 3 to 11 of a source partition, and its pulse."""
    value = (Path(__file__).parents[3] / "support" / "formats" / "by-source" / f"{name}.arrow").read_bytes()
    block = Block.of([charge(1), charge(2), *split(3, ["1", "2"])], [4, 4, 9, 9])
    told = replace(pulse(CaughtUp("usage.gpu", 2, NOON)), topic="usage.gpu", partition=2)
    assert said(unpack(value)) == said(told if name == "pulse" else ChargeBatch("usage.gpu", 2, 3, 11, block))


def test_what_all_share_stands_once() -> None:
    many = pack(batch(*(charge(number) for number in range(500))))
    assert many.count(b"gpt-4o") == 1
    assert len(many) < 500 * 40


def rewritten(change: Callable[[dict[str, Any], dict[str, pa.Array]], Any]) -> bytes:
    """A batch of two charges whose head or columns were changed."""
    with pa.ipc.open_stream(pack(batch(charge(1), charge(2, "0.5")))) as stream:
        head, rows = orjson.loads(stream.schema.metadata[HEAD]), stream.read_next_batch()
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    change(head, columns)
    table = pa.table(columns).replace_schema_metadata({HEAD: orjson.dumps(head)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_fields_of_a_newer_version_are_left_out() -> None:
    def more(head: dict[str, Any], columns: dict[str, pa.Array]) -> None:
        head["same"]["colour"], head["more"], columns["shape"] = "red", 1, pa.array(["round", "square"])

    assert said(unpack(rewritten(more))) == said(batch(charge(1), charge(2, "0.5")))


def test_mappings_of_one_charge_are_not_shared_with_another() -> None:
    first, second = unpack(pack(batch(charge(1, tags={"a": "b"}), charge(2, tags={"a": "b"})))).block
    first.tags["team"] = "other"
    assert second.tags == {"a": "b"}


def head(**changes: Any) -> bytes:
    return rewritten(lambda given, _: given.update(changes))


def same(**changes: Any) -> bytes:
    return rewritten(lambda given, _: given["same"].update(changes))


def without_rows() -> bytes:
    """A stream that ends after its schema."""
    schema = pa.ipc.open_stream(pack(batch(charge(1)))).schema
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, schema).close()
    return bytes(sink.getvalue())


def column(**changes: pa.Array) -> bytes:
    return rewritten(lambda _, given: given.update(changes))


TWO = pa.array([1, 2])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"\xff\xff\xff\xff",
        pack(batch(charge(1)))[:-40],
        without_rows(),
        head(version=5),
        head(topic=5),
        head(first=CANARY),
        head(record=5),
        head(record=CANARY),
        rewritten(lambda given, _: given.update(last=given.pop("record") + 5)),
        head(caught_up=[["usage.gpu", 0, CANARY]]),
        head(caught_up=[["usage.gpu", 0]]),
        head(charges="2"),
        head(charges=3),
        head(same=[CANARY]),
        head(like={"period_end": CANARY}),
        same(model=7),
        same(requests=CANARY),
        same(list_cost=CANARY),
        same(time=CANARY),
        same(price_status=CANARY),
        same(tags={"a": 5}),
        rewritten(lambda given, _: given["same"].pop("type")),
        column(id=TWO),
        column(requests=pa.array([1.5, 2.5])),
        column(requests=pa.array([1, None])),
        column(price_status=pa.array([CANARY, "priced"])),
        column(tags=pa.array(["{}", "{"]).dictionary_encode()),
        column(unit_prices=pa.array(["{}", '{"a": "x"}']).dictionary_encode()),
        column(**{"#identity": TWO}),
    ],
)
def test_what_pack_did_not_write_is_refused_without_a_word_of_its_content(value: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        unpack(value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"team": "\ud800"}, "team: is no Unicode text"),
        ({"tags": {"a": "\ud800"}}, "tags: is no Unicode text"),
        ({"billed_cost": Decimal("1E30")}, "billed_cost: has more than 20 digits before the point"),
        ({"unit_prices": {"input_mtok": Decimal("1E30")}}, "unit_prices: has more than 20 digits before the point"),
    ],
)
@pytest.mark.parametrize("others", [0, 1])
def test_what_no_column_holds_is_refused_with_the_name_of_its_field(
    fields: dict[str, Any], problem: str, others: int
) -> None:
    odd = charge(1).model_copy(update=fields)
    with pytest.raises(Unfit, match=f"^{problem}$"):
        Block.of([odd, *(charge(2 + number) for number in range(others))], [0] * (1 + others))
