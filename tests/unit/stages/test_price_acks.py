"""`price` acks a record only when the broker has what came of it, and never before an older one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaConnectionError

from schemas.topics import TOKEN_CALLS
from streams.core.charge import Charged
from streams.stages import price
from streams.stages.price import Outlet

NAME = TOKEN_CALLS.name


@dataclass
class SlowBroker:
    """A producer whose deliveries are confirmed, or fail, when the test says so."""

    deliveries: list[asyncio.Future[None]] = field(default_factory=list)

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def partitions_for(self, _: str) -> set[int]:
        return {0}

    async def send(self, *_: Any, **__: Any) -> asyncio.Future[None]:
        self.deliveries.append(asyncio.get_running_loop().create_future())
        return self.deliveries[-1]


@dataclass
class Event:
    """What Faust hands over of a record."""

    offset: int
    acked: list[int]
    value: bytes = b""

    @property
    def message(self) -> Any:
        return type("Message", (), {"topic": NAME, "partition": 0, "offset": self.offset, "timestamp": 0.0})

    def ack(self) -> None:
        self.acked.append(self.offset)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def put(outlet: Outlet, acked: list[int], *offsets: int) -> None:
    for offset in offsets:
        await outlet.put(NAME, [Event(offset, acked)], Charged())


def test_an_ack_waits_for_its_delivery_and_for_all_older_ones(monkeypatch: Any) -> None:
    monkeypatch.setattr(price, "RETRY_SECONDS", (0.0,))

    async def run(check: Callable[[SlowBroker, list[int]], Any]) -> None:
        broker, acked = SlowBroker(), list[int]()
        outlet = Outlet(lambda: broker, 10, lambda topic: topic.name)
        async with outlet:
            await put(outlet, acked, 7, 8, 9)
            await settle()
            await check(broker, acked)

    async def check(broker: SlowBroker, acked: list[int]) -> None:
        assert acked == [], "nothing is confirmed yet"
        broker.deliveries[1].set_result(None)
        await settle()
        assert acked == [], "8 is confirmed, and 7 is not"
        broker.deliveries[0].set_exception(KafkaConnectionError())
        await settle()
        assert acked == [], "7 has failed, and goes out again"
        broker.deliveries[3].set_result(None)
        await settle()
        assert acked == [7, 8]
        broker.deliveries[2].set_result(None)
        await settle()
        assert acked == [7, 8, 9]

    asyncio.run(run(check))
