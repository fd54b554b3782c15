"""Each event is new once, however few of them may be held in memory."""

from __future__ import annotations

import random

import pytest

from replay.seen import HOUR, Seen


@pytest.mark.parametrize("most", [1, 10, 333, 100_000])
def test_every_event_is_new_once_in_any_order(most: int) -> None:
    rng = random.Random(most)
    events = [(f"/s{n % 3}", str(n // 3), float((n % 97) * HOUR + n % 60)) for n in range(5_000)] * 2
    rng.shuffle(events)
    seen = Seen(most)
    told: set[tuple[str, str]] = set()
    for source, name, time in events:
        assert seen.is_new(source, name, time) is ((source, name) not in told)
        told.add((source, name))
    seen.close()


def test_what_is_held_stays_bounded() -> None:
    seen = Seen(1_000)
    for n in range(20_000):
        seen.is_new("/s", str(n), n * 60.0)  # 60 an hour, in order
        assert sum(map(len, seen._hours.values())) <= 1_000
    assert not seen.is_new("/s", "0", 0.0)
    seen.close()


def test_a_name_is_not_taken_for_another() -> None:
    seen = Seen()
    assert seen.is_new("/a", "1", 0.0)
    assert seen.is_new("/b", "1", 0.0)
    assert not seen.is_new("/a", "1", 1.0)
