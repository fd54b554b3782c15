"""What Faust puts aside while partitions move is read again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiokafka import ConsumerRecord
from faust.types import TP

from streams.app import faust_app
from streams.settings import Settings

AT = TP("usage.token-calls", 0)


class Log:
    """Stands for Faust's consumer thread: a log of records by offset, the place where it is read next, no commits."""

    def __init__(self) -> None:
        self.next = 0
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def getmany(self, *_: object) -> dict[TP, list[ConsumerRecord[bytes, bytes]]]:
        self.asked.set()
        await self.answers.wait()
        self.next += 1
        return {AT: [_record(self.next - 1)]}

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        return {AT: None}

    async def go_back(self, offsets: Mapping[TP, int]) -> None:
        self.next = min(self.next, offsets[AT])

    def highwater(self, _: TP) -> int:
        return 100


def test_what_a_fetch_brings_while_partitions_move_is_read_again(tmp_path: Path) -> None:
    async def offsets() -> list[int]:
        app = faust_app(Settings.model_validate({"stages": {"state_dir": tmp_path}}))
        consumer: Any = app.transport.create_consumer(
            callback=_nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing
        )
        consumer._thread.thread_loop.close()
        consumer._thread = log = Log()
        await consumer.on_partitions_assigned({AT})
        consumer.resume_flow()
        read: list[int] = []
        fetching = asyncio.create_task(_into(read, consumer))
        await log.asked.wait()
        consumer.stop_flow()
        log.answers.set()
        await fetching
        assert read == []
        consumer.resume_flow()
        for _ in range(3):
            await _into(read, consumer)
        return read

    assert asyncio.run(offsets()) == [0, 1, 2]


def test_a_backlog_is_read_in_step(tmp_path: Path) -> None:
    other = TP(AT.topic, 1)

    class Backlog:
        """Stands for Faust's consumer thread: two partitions, of which it gives the first that it is asked for."""

        def __init__(self) -> None:
            self.given = {AT: 0, other: 0}

        async def getmany(self, partitions: set[TP], *_: object) -> dict[TP, list[ConsumerRecord[bytes, bytes]]]:
            tp = min(partitions)
            self.given[tp] += 1
            return {tp: [_record(self.given[tp] - 1, self.given[tp] * 1000)]}

        async def go_back(self, _: Mapping[TP, int]) -> None: ...

        def highwater(self, _: TP) -> int:
            return 100

    async def most_apart() -> int:
        app = faust_app(Settings.model_validate({"stages": {"state_dir": tmp_path}}))
        consumer: Any = app.transport.create_consumer(
            callback=_nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing
        )
        consumer._thread.thread_loop.close()
        consumer._thread = backlog = Backlog()
        consumer._next = {other: 0}  # as if it had been asked for: at first all are
        apart = 0
        for _ in range(20):
            await consumer._getmany({AT, other}, 1.0)
            apart = max(apart, abs(backlog.given[AT] - backlog.given[other]))
        return apart

    assert asyncio.run(most_apart()) == 1


async def _into(read: list[int], consumer: Any) -> None:
    """What one round hands over."""
    async for _, message in consumer.getmany(timeout=1.0):
        read.extend(record.offset for record in message.value)


async def _nothing(*_: object) -> None: ...


def _record(offset: int, timestamp: int = 0) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        topic=AT.topic, partition=AT.partition, offset=offset, timestamp=timestamp, timestamp_type=0, key=None,
        value=b"{}", checksum=None, serialized_key_size=0, serialized_value_size=2, headers=(),
    )  # fmt: skip
