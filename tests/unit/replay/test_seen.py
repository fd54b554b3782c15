"""Each event is new once, however few of them may be held in memory."""

from __future__ import annotations

import random

import pytest

from replay.seen import Seen


@pytest.mark.parametrize("most", [1, 10, 333, 100_000])
def test_every_event_is_new_once_in_any_order(most: int) -> None:
    rng = random.Random(most)
    events = [(n.to_bytes(16, "big"), n % 97) for n in range(5_000)] * 2
    rng.shuffle(events)
    seen = Seen(most)
    told: set[bytes] = set()
    for event, hour in events:
        assert seen.new([event], [hour]) == [event not in told]
        told.add(event)
    seen.close()


def test_what_is_held_stays_bounded() -> None:
    seen = Seen(1_000)
    for n in range(20_000):
        seen.new([n.to_bytes(16, "big")], [n // 60])
        assert sum(map(len, seen._hours.values())) <= 1_000
    assert seen.new([bytes(16)], [0]) == [False]
    seen.close()


def test_an_event_that_comes_twice_at_once_is_new_once() -> None:
    one, two = bytes(16), bytes([1] * 16)
    assert Seen().new([one, two, one], [7, 7, 7]) == [True, True, False]
