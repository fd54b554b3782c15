"""Plain calls as they are read: what is taken at once, and what is left to the contracts' own validation."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.events import TokenCall
from streams.core.usage.plain import SAID, PlainCall, plain_call, plain_calls

SAYING: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "input_tokens": 7, "tags": {"team": "search"}}
CALL: dict[str, Any] = {
    "specversion": "1.0", "id": "a", "source": "/gateways/llm", "type": "spendstream.token_call.v1",
    "time": "2026-11-02T09:00:00Z", "data": SAYING, "subject": "any",
}  # fmt: skip


def test_each_field_of_the_contract_is_read_or_makes_a_call_not_plain() -> None:
    assert set(SAID) == {*TokenCall.model_fields, "usage"}


def test_defaults_are_those_of_the_contract() -> None:
    read = plain_calls(orjson.dumps({**CALL, "data": {"provider": "openai", "model": "gpt-4o"}}))
    assert isinstance(read, PlainCall)
    said, contract = read.data, TokenCall(provider="openai", model="gpt-4o")
    assert orjson.loads(bytes(said.tags)) == contract.tags
    left = {"tags", "usage", "counts", "price_context"}
    assert {name: getattr(said, name) for name in set(SAID) - left} == contract.model_dump(exclude=left)


def test_an_array_and_a_single_event_are_read_as_calls() -> None:
    single = plain_calls(orjson.dumps(CALL))
    assert isinstance(single, PlainCall)
    assert (single.id, single.data.input_tokens, bytes(single.data.tags)) == ("a", 7, b'{"team":"search"}')
    assert plain_calls(orjson.dumps([CALL, CALL])) == [single, single]


def test_a_parsed_event_is_the_call_that_its_text_is() -> None:
    assert plain_call(CALL) == plain_calls(orjson.dumps(CALL))


@pytest.mark.parametrize(
    "said",
    [
        {"input_tokens": 7.0}, {"input_tokens": True}, {"input_tokens": "7"}, {"input_tokens": -1},
        {"input_tokens": 10**15 + 1}, {"requests": 0}, {"requests": 10**12 + 1}, {"duration_ms": -1},
        {"duration_ms": True}, {"duration_ms": "1"}, {"batch": 1}, {"model": None}, {"status": "x" * 257},
        {"region": 5}, {"usage": None}, {"counts": {}}, {"price_context": {}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_plain_is_left(said: dict[str, Any]) -> None:
    event = {**CALL, "data": SAYING | said}
    assert plain_calls(orjson.dumps([CALL, event])) is None
    assert plain_call(event) is None


@pytest.mark.parametrize(
    "said",
    [
        {"specversion": "1.1"}, {"type": "spendstream.gpu_usage.v1"}, {"id": ""}, {"id": "x" * 513}, {"id": 5},
        {"source": None}, {"time": "2026-11-02"}, {"time": 1762074000}, {"data": None}, {"data": []},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_plain_event_is_left(said: dict[str, Any]) -> None:
    assert plain_calls(orjson.dumps([CALL | said])) is None
    assert plain_call(CALL | said) is None


@pytest.mark.parametrize("item", [None, 5, "x", [], {}, {"type": "spendstream.token_call.v1"}])
def test_what_is_no_event_is_left(item: object) -> None:
    assert plain_calls(orjson.dumps([item])) is None
    assert plain_call(item) is None


def test_text_that_is_no_utf_8_is_left_also_where_nobody_reads_it() -> None:
    value = orjson.dumps([CALL])
    assert plain_calls(value.replace(b'"any"', b'"\xc3\xa9"')) is not None
    assert plain_calls(value.replace(b'"any"', b'"\xff"')) is None
