"""The pulse of `price`: what it says is true, is said when a window may close, and outlives a rebalance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from schemas.topics import TOKEN_CALLS
from streams.core.columns.packed import ChargeBatch
from streams.metrics import Metrics
from streams.stages import pulse
from streams.stages.price import Outlet, progress
from streams.stages.pulse import Beat, Pulse

GONE, MOVING, OURS = (TP(TOKEN_CALLS.name, number) for number in range(3))
AFTER = 0.25
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp()


class Rebalancing:
    """Faust's consumer while aiokafka has given two of its partitions away."""

    unacked: ClassVar[set[Any]] = set()
    _read_offset: ClassVar[dict[TP, int]] = {OURS: 5}

    def assignment(self) -> set[TP]:
        return {GONE, MOVING, OURS}

    def heard_at(self, tp: TP) -> float:
        assert tp != GONE, "Partition is not assigned"
        return datetime.now(UTC).timestamp()

    def highwater(self, tp: TP) -> int:
        assert tp != GONE, "Partition is not assigned"
        return 5

    async def position(self, tp: TP) -> int:
        raise IllegalStateError(f"No current assignment for partition {tp}")


class Reading:
    """Faust's consumer with one partition: `end` is where the broker said at `heard` that it ends."""

    def __init__(self, end: int, heard: float) -> None:
        self.end, self.heard = end, heard
        self.unacked: set[Any] = set()
        self._read_offset: dict[TP, int] = {}

    def assignment(self) -> set[TP]:
        return {OURS}

    def heard_at(self, _: TP) -> float:
        return self.heard

    def highwater(self, _: TP) -> int:
        return self.end

    async def position(self, _: TP) -> int:
        return self.end


class Says(Outlet):
    def __init__(self) -> None:
        super().__init__(lambda: None, 1, lambda topic: topic.name)
        self.said: list[ChargeBatch] = []

    async def say(self, batch: ChargeBatch) -> None:
        self.said.append(batch)

    def times(self) -> list[float]:
        """When each pulse says that all was read, in seconds after NOON."""
        return [one.at.timestamp() - NOON for record in self.said for one in record.caught_up]


class App:
    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer


def made(consumer: Any, outlet: Says, clock: Callable[[], float]) -> Pulse:
    app: Any = App(consumer)
    beats = {TOKEN_CALLS.name: Beat(TOKEN_CALLS.name, AFTER)}
    return Pulse(app, outlet, beats, lambda: datetime.fromtimestamp(clock(), UTC))


def look(service: Pulse, times: int = 1) -> bool:
    """Whether after so many looks nothing is left to say."""
    return [asyncio.run(service._look()) for _ in range(times)][-1]


def test_a_rebalance_in_the_middle_of_a_look_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 0.001)
    outlet = Says()

    async def run() -> None:
        service = made(Rebalancing(), outlet, lambda: datetime.now(UTC).timestamp())
        async with asyncio.timeout(120), service:
            while len(outlet.said) < 3 and not service.crashed:  # noqa: ASYNC110  what is awaited has no event
                await asyncio.sleep(0.01)
            assert not service.crashed
        assert progress(service._app, outlet, Metrics())[0] == 0

    asyncio.run(run())
    assert {one.partition for record in outlet.said for one in record.caught_up} == {OURS.partition}


def test_it_says_when_the_broker_told_the_end_and_not_what_the_clock_shows() -> None:
    """An event may have come in between, and while fetches hang nobody knows of it: its window must stay open."""
    outlet, reading = Says(), Reading(end=0, heard=NOON + 10.2)
    service = made(reading, outlet, lambda: NOON + 11.4)
    assert not look(service)  # the window that ends at 10 may close at 11.25, and nothing was heard since
    assert outlet.times() == []
    reading.heard = NOON + 11.3
    assert look(service)
    assert outlet.times() == [pytest.approx(11.3)]


def test_it_says_so_once_for_each_moment_at_which_a_window_may_close() -> None:
    outlet, reading, now = Says(), Reading(end=0, heard=NOON), NOON
    service = made(reading, outlet, lambda: now)
    for hundredths in range(300):
        now = reading.heard = NOON + hundredths / 100
        look(service)
    assert outlet.times() == pytest.approx([0, 0.25, 1.25, 2.25], abs=0.011)


def test_what_is_read_and_not_acked_is_not_done() -> None:
    outlet, reading = Says(), Reading(end=5, heard=NOON + 1)
    service = made(reading, outlet, lambda: NOON + 1)
    reading._read_offset[OURS] = 5
    reading.unacked = {type("Message", (), {"tp": OURS})()}
    assert not look(service)
    reading.unacked.clear()
    assert look(service)
    assert len(outlet.said) == 1


def test_what_retention_took_is_done_when_nothing_comes_for_some_beats() -> None:
    outlet, reading, now = Says(), Reading(end=5, heard=NOON), NOON
    service = made(reading, outlet, lambda: now)
    for second in range(pulse.STILL):
        assert outlet.said == []
        now = reading.heard = NOON + second
        look(service, times=10)
    assert len(outlet.said) == 1
