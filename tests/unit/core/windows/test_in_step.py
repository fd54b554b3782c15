"""Partitions of a backlog are read in step, and none waits long for one that can't be read."""

from __future__ import annotations

import math
from random import Random

from streams.core.windows.in_step import BACKLOG_SECONDS, HOLD_SECONDS, SILENT_SECONDS, STEP_SECONDS, InStep

NOW = 1_000_000.0
OLD = NOW - 3600.0


def step(**arrived: float) -> InStep[str]:
    """Partitions that were read up to what arrived at these times."""
    found = InStep[str]()
    for name, at in arrived.items():
        found.took(name, at, NOW)
    return found


def test_who_is_ahead_in_a_backlog_waits_for_the_slowest() -> None:
    assert step(a=OLD, b=OLD + STEP_SECONDS, c=OLD + 2 * STEP_SECONDS).ahead({"a": 9, "b": 9, "c": 9}, NOW) == {"c"}


def test_nobody_waits_for_one_that_is_read_to_its_end() -> None:
    assert step(a=OLD, b=OLD + 60.0).ahead({"a": 0, "b": 9}, NOW) == frozenset()


def test_who_is_live_waits_for_nobody() -> None:
    assert step(a=OLD, b=NOW - BACKLOG_SECONDS + 0.1).ahead({"a": 9, "b": 9}, NOW) == frozenset()


def test_one_that_was_never_read_is_the_slowest() -> None:
    assert step(a=OLD).ahead({"a": 9, "b": 9}, NOW) == {"a"}
    assert step(a=OLD).ahead({"a": 9, "b": 0}, NOW) == frozenset()


def test_one_that_brings_nothing_is_soon_not_waited_for() -> None:
    found = step(a=OLD, b=OLD + 60.0)
    assert found.ahead({"a": 9, "b": 9}, NOW + SILENT_SECONDS - 0.1) == {"b"}
    assert found.ahead({"a": 9, "b": 9}, NOW + SILENT_SECONDS) == frozenset()


def test_nobody_waits_long_at_a_stretch() -> None:
    found = step(a=OLD, b=OLD + 60.0)
    assert found.ahead({"a": 9, "b": 9}, NOW) == {"b"}
    later = NOW + HOLD_SECONDS
    found.took("a", OLD + 0.1, later)
    assert found.ahead({"a": 9, "b": 9}, later) == frozenset()
    found.took("b", OLD + 61.0, later)
    assert found.ahead({"a": 9, "b": 9}, later) == {"b"}


def test_one_that_is_gone_is_forgotten() -> None:
    found = step(a=OLD, b=OLD + 60.0)
    assert found.ahead({"b": 9}, NOW) == frozenset()
    assert found.ahead({"a": 0, "b": 9}, NOW) == frozenset()


def test_a_backlog_stays_in_step_whatever_a_broker_answers_first() -> None:
    chance = Random(1)
    found, read = InStep[int](), [0.0] * 4  # seconds of arrival that are read of an hour
    now = NOW
    while min(read) < 3600.0:
        now += 0.001
        left = {number: math.ceil(3600.0 - at) for number, at in enumerate(read)}
        asked = [number for number in left if number not in found.ahead(left, now) and left[number]]
        answers = chance.choice(asked)  # a broker gives one partition all that a fetch may hold
        read[answers] = min(3600.0, read[answers] + chance.random())
        found.took(answers, OLD - 7200.0 + read[answers], now)
        assert max(read) - min(read) <= STEP_SECONDS + 1.0
