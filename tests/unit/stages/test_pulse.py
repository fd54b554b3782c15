"""The pulse of `price` outlives a rebalance: a partition that is taken away while it looks says nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from schemas.records import ChargeRecord
from schemas.topics import TOKEN_CALLS
from streams.metrics import Metrics
from streams.stages import pulse
from streams.stages.price import Outlet, progress
from streams.stages.pulse import Pulse

GONE, MOVING, OURS = (TP(TOKEN_CALLS.name, number) for number in range(3))


class Rebalancing:
    """Faust's consumer while aiokafka has given two of its partitions away."""

    unacked: ClassVar[set[Any]] = set()
    _read_offset: ClassVar[dict[TP, int]] = {OURS: 5}

    def assignment(self) -> set[TP]:
        return {GONE, MOVING, OURS}

    def highwater(self, tp: TP) -> int:
        assert tp != GONE, "Partition is not assigned"
        return 5

    async def position(self, tp: TP) -> int:
        raise IllegalStateError(f"No current assignment for partition {tp}")


class App:
    consumer = Rebalancing()


def test_a_rebalance_in_the_middle_of_a_look_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 0.001)
    said: list[ChargeRecord] = []

    class Says(Outlet):
        async def say(self, record: ChargeRecord) -> None:
            said.append(record)

    async def run() -> None:
        app: Any = App()
        outlet = Says(lambda: None, 1, lambda topic: topic.name)
        service = Pulse(app, outlet, {TOKEN_CALLS.name: TOKEN_CALLS.name}, lambda: datetime.now(UTC))
        async with asyncio.timeout(30), service:
            while len(said) < 3 and not service.crashed:  # noqa: ASYNC110  what is awaited has no event
                await asyncio.sleep(0.01)
            assert not service.crashed
        assert progress(app, outlet, Metrics())[0] == 0

    asyncio.run(run())
    assert {record.partition for record in said} == {OURS.partition}
