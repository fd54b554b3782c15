"""Packed windows: they say what their JSON says, and what is none is refused by a ValueError."""

from __future__ import annotations

import struct
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import lz4.block
import orjson
import pytest

from streams.core.detect.feedback import feedback_from_json
from streams.core.windows.sums import Sums
from streams.core.windows.table import Table
from streams.core.windows.ticks import Origin, Part, Parts, Ticks, leaf_of, part_name
from streams.core.windows.ticks_json import Writer, from_json, is_packed
from streams.core.windows.ticks_packed import MARK, MOST_BYTES, unpack

FORMATS = Path(__file__).parents[3] / "support" / "formats" / "packed"


def window(*sums: Sums, team: str = "search") -> Ticks:
    parts = []
    for number, one in enumerate(sums):
        name = part_name(leaf_of((("team", team), ("principal", f"key-{number}"))), [("team",), ("principal",)])
        parts.append(Part(name, one, {60: number} if number else {}))
    return Ticks("token_call", 10, 1_800_000_000, Origin("spend.charges", 1), Parts.of(parts))


def written(ticks: Ticks) -> bytes:
    ((_, value),) = Writer().records(ticks)
    return value


SUMS = Sums(usd=Decimal("0.0015"), output_usd=Decimal("1e-12"), events=3, requests=3, input_tokens=2**40)
SPENT = window(SUMS, Sums(usd=Decimal("-2.5"), events=1), Sums(gpu_minutes=Decimal("0.25"), events=1))


def test_a_window_is_packed_and_read() -> None:
    assert is_packed(written(SPENT))
    assert from_json(written(SPENT)) == [SPENT]


@pytest.mark.parametrize("name", ["ticks-4.json", "ticks-5.bin"])
def test_what_was_written_is_read_for_ever(name: str) -> None:
    """Not to be written anew: what makes one of them unreadable is a new format, and needs a reader for the old one."""
    assert from_json((FORMATS / name).read_bytes()) == [SPENT]


def test_a_window_of_which_nothing_is_known_keeps_its_parts() -> None:
    nothing = window(Sums(), Sums(), team="nobody")
    found = from_json(written(nothing))
    assert isinstance(found, list)
    assert [part.name.key for part in found[0].parts] == [part.name.key for part in nothing.parts]


def test_sums_that_64_bits_do_not_hold_go_as_json() -> None:
    large = window(Sums(usd=Decimal("12345678901234567890.000000000000000001"), events=1))
    assert not is_packed(written(large))
    assert from_json(written(large)) == [large]


def test_a_window_is_no_feedback_whatever_its_bytes_are() -> None:
    """Compressed text may have anything in it."""
    value = written(SPENT) + b'"feedback"'
    assert feedback_from_json(value) is None


def test_what_was_not_packed_so_is_refused() -> None:
    value, random = written(SPENT), Random(5)
    for length in range(len(value)):
        with pytest.raises(ValueError, match=r"."):
            from_json(value[:length])
    for _ in range(3000):
        broken = bytearray(value)
        broken[random.randrange(1, len(value))] = random.randrange(256)
        try:
            from_json(bytes(broken))
        except ValueError:
            continue  # or it is another window


def test_a_record_that_claims_to_be_very_large_is_not_unpacked() -> None:
    with pytest.raises(ValueError, match="sizes"):
        from_json(struct.pack("<cII", MARK, 10, MOST_BYTES + 1) + b"\0" * 20)


@pytest.mark.parametrize(
    "other",
    [
        {"fields": ["events", "usd"], "places": [0, 12]},
        {"fields": ["usd", "usd"], "places": [12, 12]},
        {"fields": ["usd", "of nobody"], "places": [12, 0]},
        {"fields": ["usd", "events"], "places": [12, 3]},
        {"fields": ["usd", "events"], "places": [-1, 0]},
        {"fields": ["usd", "events"], "places": [True, 0]},
        {"fields": ["usd", "events"], "places": [12]},
        {"fields": ["usd"], "places": [12]},
        {"fields": None},
        {"parts": []},
    ],
)
def test_other_columns_are_refused(other: dict[str, object]) -> None:
    said, table = unpack(written(window(Sums(usd=Decimal(1), events=1))))
    assert (said["fields"], said["places"]) == (["usd", "events"], [12, 0])
    assert from_json(packed(said, table))
    with pytest.raises(ValueError, match=r"."):
        from_json(packed({**said, **other}, table))


def packed(said: dict[str, Any], table: Table) -> bytes:
    """As `pack` does it, whatever is said."""
    text = orjson.dumps(said)
    whole = text + table.units.tobytes()
    block: bytes = lz4.block.compress(whole, store_size=False)
    return struct.pack("<cII", MARK, len(text), len(whole)) + block
