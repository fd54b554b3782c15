"""Calls by column: what comes out is to the letter what the contracts, the pricer and the tagger make of each event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.records import DeadLetter, Position
from streams import build
from streams.core.columns.block import Block, micros
from streams.core.usage.calls import FEW
from streams.core.usage.charge import Charged, Charger
from streams.core.usage.decode import RawRecord
from streams.core.usage.rows import PIECE, TOKENS, Reading
from streams.settings import Settings, load

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
MODELS = ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "gpt-5", "no-such-model"]


@cache
def charger() -> Charger:
    return build.charger(load())


class Nothing:
    """Takes no call for plain."""

    def reading(self) -> Reading:
        return charger()._calls.reading()

    def charge(self, reading: Reading, received: Sequence[datetime | None]) -> tuple[Block, Any]:  # noqa: ARG002
        return Block(0), np.zeros(0, dtype=np.int64)


@cache
def one_by_one() -> Charger:
    """The same, by the way of every other event."""
    slow = build.charger(load())
    slow._calls = Nothing()  # type: ignore[assignment]
    return slow


def odd(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


counts = st.integers(0, 300_000) | odd(0, -1, 10**15, 10**15 + 1, 2**63 - 1, 1.0, True, None, "7", [])
texts = odd("", "a", "Zürich", "x" * 256, "x" * 257, None, 5, [], {})
times = odd(
    "2026-11-02T09:00:00Z", "2026-11-02T09:00:00.250Z", "2026-11-02T09:00:00.123456+01:00", "2026-11-02 09:00:00Z",
    "2026-11-02T09:00:00.1234567Z", "2026-11-02T09:00:00", "2026-11-02", "2026-11-02T09:00:00z", "1999-12-31T23:59:59Z",
    "2079-12-31T23:59:59Z", "2026-11-04T09:00:00Z", "2026-10-14T23:59:59.999999Z", "2026-10-15T00:00:00Z",
    "2026-11-02T24:00:00Z", "2026-W45-1T09:00:00.250Z", "20261102T090000.000Z", "", 1762074000, None,
)  # fmt: skip
FIELDS = {
    **dict.fromkeys(TOKENS, counts),
    "requests": counts,
    "provider": texts | odd("openai", "anthropic", "google"),
    "model": texts | odd(*MODELS),
    "operation": texts,
    "service_tier": texts | odd("flex", "priority"),
    "principal": texts,
    "account": texts,
    "region": texts,
    "status": texts,
    "batch": odd(True, False, None, 1),
    "duration_ms": odd(0, 812.5, -1, True, None, "1"),
    "tags": odd({}, {"team": "search"}, {"team": " Search ", "env": "prod"}, {"a": None}, {"a": 5}, [], None, "x"),
    "counts": odd({}, {"web_searches": 2}, None),
    "price_context": odd({}, {"speed": "fast"}),
    "usage": odd(None, {"prompt_tokens": 5, "completion_tokens": 1}),
    "colour": odd("red"),
}
ENVELOPE = {
    "specversion": odd("1.0", "1.1", 1),
    "id": odd("a", "b", "x" * 512, "x" * 513, "", 5),
    "source": odd("/other", "x" * 513, None),
    "type": odd("spendstream.gpu_usage.v1", "x", None),
    "time": times,
}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A plain call with up to two things that are odd, or another than usual."""
    event = {**PLAIN, "id": draw(odd("p", "q")), "data": dict(PLAIN["data"])}
    for name in draw(st.lists(odd(*FIELDS, *ENVELOPE, *(("time",) * 4)), max_size=2)):
        value = draw(FIELDS[name] if name in FIELDS else ENVELOPE[name])
        (event["data"] if name in FIELDS else event)[name] = value
    return event


PLAIN: dict[str, Any] = {
    "specversion": "1.0", "id": "p", "source": "/gateways/llm", "type": "spendstream.token_call.v1",
    "time": "2026-11-02T09:00:00Z",
    "data": {"provider": "openai", "model": "gpt-4o", "input_tokens": 1200, "output_tokens": 300,
             "cache_read_input_tokens": 400, "principal": "key-1", "tags": {"team": "search"}},
}  # fmt: skip


def charged(using: Charger, content: Sequence[Any], received_at: datetime | None = NOW) -> Charged:
    value = orjson.dumps(content, default=str)
    return using.charge(RawRecord(value, (), Position("usage.token-calls", 0, 3), received_at))


def by_column(using: Charger, content: list[Any]) -> list[int]:
    """Where the events stand that were charged by column."""
    reading = using._calls.reading()
    reading.take(content)
    _, places = using._calls.charge(reading, np.full(len(content), micros(NOW)))
    at: list[int] = places.tolist()
    return at


def without_input(letters: Sequence[DeadLetter]) -> list[Any]:
    return [letter.model_dump(exclude={"payload_sha256"}) for letter in letters]


@given(st.lists(events(), min_size=FEW, max_size=30), odd(NOW, None))
@example([PLAIN] * FEW, NOW)
@example([PLAIN | {"data": PLAIN["data"] | {"id": "x", "source": "/x", "time": "2026-11-01T00:00:00Z"}}] * FEW, NOW)
@example([PLAIN | {"data": {"provider": "openai", "model": "gpt-4o"}}] * FEW, NOW)
@example([PLAIN | {"data": {"model": "gpt-4o", "input_tokens": 5}}] * FEW, NOW)
@example([*[PLAIN] * FEW, PLAIN | {"data": PLAIN["data"] | {"principal": []}}], NOW)
def test_they_come_out_as_one_by_one(content: list[Any], received_at: datetime | None) -> None:
    fast, slow = (charged(using, content, received_at) for using in (charger(), one_by_one()))
    assert fast.charges == slow.charges
    assert fast.block == slow.block
    assert without_input(fast.dead_letters) == without_input(slow.dead_letters)


HOSTILE = (
    b"\xff", b"\xed\xa0\x80", b"\xc3\xa9", b"\\ud800", b"\\ud83d\\ude00", b"\\", b'"', b"{", b"}", b",", b"\x00", b" ",
    b"NaN", b'"zz":1e999,', b'"zz":"\xff",', b'"zz":[NaN],', b'"zz":"\\ud800",', b'"tags":{},', b'"id":"q",',
    b'"data":{},',
    b'"zz":' + b"[" * 1500 + b"]" * 1500 + b",",
)  # fmt: skip


@given(st.lists(events(), min_size=FEW, max_size=12), odd(*HOSTILE), st.integers(0, 10_000), st.booleans())
@example([PLAIN] * FEW, b'"zz":"\xff",', 0, True)
@example([PLAIN] * FEW, b'"zz":1e999,', 0, True)
def test_whatever_stands_in_a_record_comes_out_as_one_by_one(
    content: list[Any], hostile: bytes, at: int, is_field: bool
) -> None:
    value = orjson.dumps(content, default=str)
    at %= len(value)
    at = value.find(b"{", at) + 1 if is_field else at
    value = value[:at] + hostile + value[at:]
    raw = RawRecord(value, (), Position("usage.token-calls", 0, 3), NOW)
    fast, slow = (using.charge(raw) for using in (charger(), one_by_one()))
    assert fast.block == slow.block
    assert fast.dead_letters == slow.dead_letters


@given(st.lists(events(), min_size=FEW, max_size=12))
def test_events_that_a_reader_parsed_come_out_as_they_would_from_a_record(content: list[Any]) -> None:
    raws = [RawRecord(None, (), Position("usage.token-calls", 0, number), NOW) for number in range(len(content))]
    fast, slow = (using.charge_all(raws, content) for using in (charger(), one_by_one()))
    assert fast.block == slow.block
    assert fast.dead_letters == slow.dead_letters


def test_all_plain_calls_go_by_column() -> None:
    content = [{**PLAIN, "id": str(number)} for number in range(50)]
    assert by_column(charger(), content) == list(range(50))


def test_an_odd_one_leaves_its_neighbours_to_the_columns() -> None:
    content = [{**PLAIN, "id": str(number)} for number in range(50)]
    content[7] = {**PLAIN, "data": {**PLAIN["data"], "input_tokens": -1}}
    content[9] = {**PLAIN, "data": {**PLAIN["data"], "model": "no-such-model"}}
    content[11] = {**PLAIN, "data": {**PLAIN["data"], "duration_ms": True}}
    content[13] = {**PLAIN, "data": {**PLAIN["data"], "duration_ms": -1}}
    content[15] = {**PLAIN, "data": {**PLAIN["data"], "region": ["eu"]}}
    assert by_column(charger(), content) == [number for number in range(50) if number not in {7, 9, 11, 13, 15}]


def test_records_that_make_several_pieces_come_out_as_one_by_one() -> None:
    """Plain arrays, one with an odd call, one that is not all calls, single calls, and what is none."""
    calls = [
        {**PLAIN, "id": f"{number}", "time": f"2026-11-02T09:00:00.{number % 1000:03}Z",
         "data": {**PLAIN["data"], "input_tokens": 400 + number, "principal": f"key-{number % 7}"}}
        for number in range(PIECE)
    ]  # fmt: skip
    unpriced = {**PLAIN, "data": {**PLAIN["data"], "model": "no-such-model"}}
    gpu = {
        **PLAIN, "type": "spendstream.gpu_usage.v1",
        "data": {"provider": "aws", "accelerator": "H100", "gpu_minutes": 8, "utilization": 0.5},
    }  # fmt: skip
    contents: list[Any] = [calls, [*calls[:9], unpriced], calls[:300], calls[9], [gpu, *calls[:20], None], calls, {}]
    raws = [
        RawRecord(orjson.dumps(content), (), Position("usage.token-calls", 0, number), NOW)
        for number, content in enumerate([*contents, *calls[:10]])
    ]
    fast, slow = (using.charge_all(raws) for using in (charger(), one_by_one()))
    assert fast.block == slow.block
    assert fast.dead_letters == slow.dead_letters


CONTRACTS = """
[[discount]]
provider = "openai"
from = 2026-01-01
percent = 12.3456789
source = "contract 17"

[[commitment]]
kind = "provisioned"
provider = "azure"
model = "gpt-4o*"
from = 2026-01-01
usd_per_hour = 100
planned_mtok_per_hour = 7
source = "PTU reservation 3"

[[commitment]]
kind = "prepaid"
provider = "google"
from = 2026-01-01
source = "commit 2026"
"""


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-4o"), ("azure", "gpt-4o"), ("google", "gemini-2.5-flash")]
)
def test_discounts_and_commitments_are_kept_to_the_last_digit(provider: str, model: str, tmp_path: Path) -> None:
    (tmp_path / "contracts.toml").write_text(CONTRACTS)
    settings = Settings()
    settings = settings.model_copy(update={"prices": settings.prices.model_copy(update={"rates_dir": tmp_path})})
    fast, slow = build.charger(settings), build.charger(settings)
    slow._calls = Nothing()  # type: ignore[assignment]
    named = {"provider": provider, "model": model}
    content = [{**PLAIN, "id": str(n), "data": {**PLAIN["data"], **named, "output_tokens": n}} for n in range(40)]
    assert len(by_column(fast, content)) == 40
    together, one_by_one = charged(fast, content).charges, charged(slow, content).charges
    assert together == one_by_one
    assert together[0].effective_cost != together[0].list_cost or together[0].billed_cost == 0


def test_each_call_pays_the_price_of_its_own_time() -> None:
    """o3 became cheaper on 10 June 2025."""
    times = ["2025-06-09T23:59:59Z", "2025-06-10T00:00:01Z"] * 10
    data = {**PLAIN["data"], "model": "o3"}
    content = [{**PLAIN, "id": str(n), "time": time, "data": data} for n, time in enumerate(times)]
    together = charged(charger(), content).charges
    assert together == charged(one_by_one(), content).charges
    assert together[0].effective_cost != together[1].effective_cost
