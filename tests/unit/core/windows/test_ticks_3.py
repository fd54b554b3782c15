"""Ticks of format 3: what stands by a part's place is that part's."""

from __future__ import annotations

from decimal import Decimal

from schemas.watch import DIMENSIONS
from streams.core.windows import ticks_3

NAMED = {"provider": "openai", "model": "gpt-4o"}


def leaf(principal: str) -> list[str]:
    return [NAMED.get(name, principal if name == "principal" else "") for name in DIMENSIONS]


def test_what_stands_by_a_place_is_the_parts_at_it() -> None:
    parts = ticks_3.parts(
        {
            "names": [["principal"], ["model"]],
            "parts": [leaf("key-a"), leaf("key-b"), leaf("key-c")],
            "members": [[0], [0, 1], [1]],
            "sums": {"usd": ["1.5", 0, "0.000000000000000001"], "events": [3, 4, 5]},
            "aligned": {"1": {"60": 2, "300": 1}, "2": {"60": 4}},
        }
    )
    found = list(parts)
    assert [part.name.leaf for part in found] == [tuple(leaf(key)) for key in ("key-a", "key-b", "key-c")]
    assert [part.name.series for part in found] == [
        ((("principal", "key-a"),),),
        ((("principal", "key-b"),), (("model", "gpt-4o"),)),
        ((("model", "gpt-4o"),),),
    ]
    assert [part.sums.usd for part in found] == [Decimal("1.5"), 0, Decimal("1e-18")]
    assert [part.sums.events for part in found] == [3, 4, 5]
    assert [part.aligned for part in found] == [{}, {60: 2, 300: 1}, {60: 4}]
