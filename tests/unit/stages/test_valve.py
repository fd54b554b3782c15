"""The valve: what is held, when it goes, in which order, and that nothing goes once it has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from schemas.records import Reason
from streams.core.columns.block import Block
from streams.core.usage.charge import Charged
from streams.core.usage.dead_letters import Limit
from streams.stages.valve import Valve
from tests.support.records import charge, dead_letter

TOPIC = "usage.gpu"
LIMIT = Limit(share=0.5, window=100, minimum=10)


class Came(NamedTuple):
    """What came of the record at an offset."""

    offset: int
    charged: Charged


def of(offset: int, *, good: int = 0, bad: int = 0) -> Came:
    block = Block.of([charge(n) for n in range(good)], [0] * good)
    return Came(offset, Charged(block, [dead_letter(n, reason=Reason.BAD_TIME) for n in range(bad)]))


class Rig:
    """A valve, what went through it, and why it stopped."""

    def __init__(self, hold_seconds: float = 60.0) -> None:
        self.went: list[int] = []
        self.stopped: list[str] = []
        self.something = asyncio.Event()
        self.valve = Valve(self._send, LIMIT, hold_seconds, self._stop)

    async def _send(self, _topic: str, offset: int, _: Charged) -> None:
        await asyncio.sleep(0)
        self.went.append(offset)
        self.something.set()

    def _stop(self, why: str) -> None:
        self.stopped.append(why)
        self.something.set()

    async def put(self, *records: Came, topic: str = TOPIC) -> None:
        for record in records:
            await self.valve.put(topic, *record)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(bounded())


def test_good_records_go_at_once_and_odd_bad_ones_with_them() -> None:
    async def scenario() -> None:
        rig = Rig()
        await rig.put(of(0, good=3), of(1, bad=1), of(2, good=1), of(3, bad=1))
        assert rig.went == [0, 1, 2, 3]

    run(scenario)


def test_bad_records_are_held_until_good_ones_outweigh_them_and_go_in_order() -> None:
    async def scenario() -> None:
        rig = Rig()
        await rig.put(of(0, bad=3), of(1, good=1), of(2, good=1))
        assert rig.went == []
        await rig.put(of(3, good=1))
        assert rig.went == [0, 1, 2, 3]

    run(scenario)


def test_on_a_quiet_topic_they_go_after_a_while() -> None:
    async def scenario() -> None:
        rig = Rig(hold_seconds=0.2)
        async with rig.valve:
            await rig.put(of(0, bad=1), of(1, bad=1))
            assert rig.went == []
            await rig.something.wait()
        assert rig.went == [0, 1]
        assert not rig.stopped

    run(scenario)


def test_once_sure_it_stops_for_good_and_says_so_once() -> None:
    async def scenario() -> None:
        rig = Rig(hold_seconds=0.1)
        async with rig.valve:
            await rig.put(of(0, good=1), of(1, bad=1))
            rig.something.clear()
            agent = asyncio.create_task(rig.put(*[of(n, bad=1) for n in range(2, 40)]))
            await rig.something.wait()
            await asyncio.sleep(0.4)  # as long as it would take to let the held ones go
            assert not agent.done()
            agent.cancel()
        assert rig.went == [0, 1]  # of two events one bad is not most
        (why,) = rig.stopped
        assert "10 of the newest 11 events of usage.gpu are dead letters (bad_time 10)" in why

    run(scenario)


@pytest.mark.parametrize("bad", [1, 9])
def test_topics_do_not_cover_for_each_other(bad: int) -> None:
    async def scenario() -> None:
        rig = Rig()
        await rig.put(*[of(n, good=1) for n in range(50)], topic="usage.token-calls")
        await rig.put(of(99, bad=bad))
        assert 99 not in rig.went

    run(scenario)


def test_a_topic_may_come_in_while_another_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.stages.valve.LOOK_SECONDS", 0.0)

    async def scenario() -> None:
        rig = Rig(hold_seconds=0.0)
        async with rig.valve:
            await rig.put(of(0, bad=3))
            lane = rig.valve._lanes[TOPIC]
            async with lane.turn:
                while not lane.turn._waiters:  # noqa: ASYNC110  (until the look waits for its turn: a lock tells nobody)
                    await asyncio.sleep(0)
                await rig.put(of(1, bad=3), topic="usage.line-items")
            while sorted(rig.went) != [0, 1]:
                assert not rig.valve.crashed
                await asyncio.sleep(0)

    run(scenario)
