"""`price` acks a record only when the broker has what came of it, and never before an older one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaConnectionError

from schemas.records import DeadLetter, Position, Reason
from schemas.topics import TOKEN_CALLS
from streams.core.columns.block import Block
from streams.core.usage.charge import Charged
from streams.core.usage.decode import RawRecord
from streams.metrics import Metrics
from streams.stages import portions, price
from streams.stages.price import Batch, Gathering, Outlet, taken_apart
from tests.support.records import charge, dead_letter

NAME = TOKEN_CALLS.name


@dataclass
class SlowBroker:
    """A producer whose deliveries are confirmed, or fail, when the test says so."""

    deliveries: list[asyncio.Future[None]] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def partitions_for(self, _: str) -> set[int]:
        return {0}

    async def send(self, _: str, value: bytes, **__: Any) -> asyncio.Future[None]:
        self.values.append(value)
        self.deliveries.append(asyncio.get_running_loop().create_future())
        return self.deliveries[-1]


@dataclass(frozen=True)
class Fetched:
    """A record as aiokafka hands it over."""

    offset: int
    value: bytes | None = b"{}"
    partition: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0


@dataclass
class Event:
    """What Faust hands over of records that were fetched at once."""

    value: list[Fetched]
    acked: list[int]

    def ack(self) -> None:
        self.acked.append(self.value[-1].offset)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def put(outlet: Outlet, acked: list[int], *offsets: int) -> None:
    for offset in offsets:
        raw = RawRecord(b"", (), Position(NAME, 0, offset), None)
        charged = Charged(Block.of([charge(offset)], [0]))
        await outlet.put(NAME, Batch([raw], [Event([Fetched(offset)], acked)]), charged)


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


def fetched(*sizes: int) -> Event:
    return Event([Fetched(7 + number, b"x" * size) for number, size in enumerate(sizes)], [])


def parts(event: Event) -> list[tuple[list[int], int]]:
    """Of each batch: the offsets of its records, and how many events it acks."""
    found = taken_apart(NAME, event)
    return [([record.position.offset for record in batch.records], len(batch.events)) for batch in found]


def test_what_is_fetched_at_once_is_acked_with_its_last_record_only(monkeypatch: Any) -> None:
    assert parts(fetched(1, 1, 1)) == [([7, 8, 9], 1)]
    monkeypatch.setattr(portions, "PORTION_RECORDS", 2)
    assert parts(fetched(1, 1, 1, 1, 1)) == [([7, 8], 0), ([9, 10], 0), ([11], 1)]
    assert parts(fetched(1, 1)) == [([7, 8], 1)]
    monkeypatch.setattr(price, "BATCH_BYTES", 10)
    assert parts(fetched(10, 1, 30, 1)) == [([7], 0), ([8], 0), ([9], 0), ([10], 1)]


def test_records_of_a_partition_stay_in_their_order_and_their_events_with_them() -> None:
    """Batches of several partitions that wait are put together: a record that overtook another would be a repeat."""

    class Charging:
        def charge_all(self, _: list[RawRecord]) -> Charged:
            return Charged()

    class Valve:
        def __init__(self) -> None:
            self.put_in: list[Batch] = []

        async def put(self, _: str, batch: Batch, __: Charged) -> None:
            self.put_in.append(batch)

    async def run() -> list[Batch]:
        valve: Any = Valve()
        charging: Any = Charging()
        gathering = Gathering(charging, valve, Metrics())
        async with gathering:
            for partition, offset in ((0, 3), (1, 8), (0, 4), (1, 9), (0, 5)):
                await gathering.put(NAME, Event([Fetched(offset, partition=partition)], []))
            async with asyncio.timeout(60):
                while sum(len(batch.events) for batch in valve.put_in) < 5:  # noqa: ASYNC110  it has no event
                    await asyncio.sleep(0.001)
        return valve.put_in  # type: ignore[no-any-return]

    found: dict[int, list[int]] = {}
    for batch in asyncio.run(run()):
        assert [event.value[-1].offset for event in batch.events] == [raw.position.offset for raw in batch.records]
        for raw in batch.records:
            found.setdefault(raw.position.partition, []).append(raw.position.offset)
    assert found == {0: [3, 4, 5], 1: [8, 9]}


def test_a_letter_that_can_not_be_written_is_another_letter_of_the_same_place() -> None:
    """Text with half a character has no JSON: what escaped the outlet would end the stage, and its event be lost."""

    async def run() -> list[bytes]:
        broker, acked = SlowBroker(), list[int]()
        outlet = Outlet(lambda: broker, 10, lambda topic: topic.name)
        async with outlet:
            raw = RawRecord(b"", (), Position(NAME, 0, 7), None)
            letter = dead_letter(5, offset=7, event_id="half \ud800", problem="\udfff")
            charged = Charged(Block.of([charge(7)], [0]), [letter])
            await outlet.put(NAME, Batch([raw], [Event([Fetched(7)], acked)]), charged)
            for delivery in broker.deliveries:
                delivery.set_result(None)
            await settle()
        assert acked == [7]
        return broker.values

    (_, written) = asyncio.run(run())
    letter = DeadLetter.model_validate_json(written)
    assert (letter.dead_letter_id, letter.offset, letter.reason) == ("d-5", 7, Reason.INTERNAL_ERROR)
    assert letter.event_id == ""
