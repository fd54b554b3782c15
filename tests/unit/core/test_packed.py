"""Charges by column: what comes back is what went in, and nothing else is taken for a record."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Charge, ChargeRecord, PriceStatus
from streams.core.packed import Unreadable, Unwritable, pack, unpack
from tests.support.records import NOON, charge

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


def record(*charges: Charge, **more: Any) -> ChargeRecord:
    return ChargeRecord(topic="usage.token-calls", partition=3, offset=7, charges=list(charges), **more)


@given(st.lists(fields, max_size=6))
def test_what_is_unpacked_is_what_was_packed(contents: list[dict[str, Any]]) -> None:
    given_record = record(*(charge(number, **content) for number, content in enumerate(contents)))
    assert unpack(pack(given_record)) == given_record


@given(st.lists(fields, max_size=4))
def test_charges_one_by_one_as_version_1_wrote_them_are_read(contents: list[dict[str, Any]]) -> None:
    given_record = record(*(charge(number, **content) for number, content in enumerate(contents)))
    assert unpack(given_record.model_dump_json(exclude_defaults=True).encode()) == given_record


def test_money_keeps_every_digit_and_times_every_microsecond() -> None:
    exact, time = Decimal("0.123456789012345678"), NOON + timedelta(microseconds=1)
    again = unpack(pack(record(charge(1, effective_cost=exact, time=time), charge(2)))).charges[0]
    assert (str(again.effective_cost), again.time) == ("0.123456789012345678", time)


def test_a_pulse_has_no_charges() -> None:
    pulse = ChargeRecord(topic="usage.gpu", partition=0, offset=-1, charges=[], caught_up_at=NOON)
    assert unpack(pack(pulse)) == pulse


def test_what_all_share_stands_once() -> None:
    many = pack(record(*(charge(number) for number in range(500))))
    assert many.count(b"gpt-4o") == 1
    assert len(many) < 500 * 20


def test_fields_of_a_newer_version_are_left_out() -> None:
    wire = orjson.loads(pack(record(charge(1), charge(2))))
    wire["same"]["colour"] = "red"
    wire["columns"]["shape"] = ["round", "square"]
    wire["more"] = 1
    assert unpack(orjson.dumps(wire)) == record(charge(1), charge(2))


def test_mappings_of_one_record_are_not_shared_between_records() -> None:
    first, second = (unpack(pack(record(charge(1)))).charges[0] for _ in range(2))
    first.tags["team"] = "other"
    assert not second.tags


def broken(**changes: Any) -> bytes:
    wire = orjson.loads(pack(record(charge(1), charge(2))))
    for path, value in changes.items():
        *groups, last = path.split("__")
        into = wire
        for group in groups:
            into = into[group]
        if value is None:
            del into[last]
        else:
            into[last] = value
    return orjson.dumps(wire)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        broken(version=3),
        broken(topic=None),
        broken(topic=5),
        broken(offset=CANARY),
        broken(charges="2"),
        broken(charges=3),
        broken(same=[CANARY]),
        broken(same__model=7),
        broken(same__requests=CANARY),
        broken(same__list_cost=CANARY),
        broken(same__time=CANARY),
        broken(same__price_status=CANARY),
        broken(same__type=None),
        broken(columns={"id": ["one"]}),
        broken(like={"period_end": CANARY}),
        broken(numbered={"tags": [[{}], [0, 1]]}),
        broken(numbered={"tags": [[5], [0, 0]]}),
    ],
)
def test_what_pack_did_not_write_is_refused_without_a_word_of_its_content(value: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        unpack(value)
    assert CANARY not in str(caught.value)


def test_text_that_is_no_unicode_is_refused_before_it_is_sent() -> None:
    with pytest.raises(Unwritable):
        pack(record(charge(1).model_copy(update={"team": "\ud800"})))
