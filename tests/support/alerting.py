"""The alert stage on a broker, and what it reads and writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from aiokafka import TopicPartition

from schemas.base import Contract
from schemas.topics import FINDINGS, Topic
from streams.io.checkpoints import Checkpoints
from streams.io.kafka import group_name, make_consumer, make_producer, topic_name
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.alert import AlertService

LIMIT_SECONDS = 180.0
C = TypeVar("C", bound=Contract)


@asynccontextmanager
async def running(
    settings: Settings, folder: Path, kind: type[AlertService] = AlertService, ticks: int = 1, **more: Any
) -> AsyncIterator[AlertService]:
    """The alert stage on a broker, until the block ends. It waits for marks of `ticks` partitions."""
    service = kind(
        settings,
        Metrics(),
        topics=[topic_name(settings, FINDINGS)],
        make_consumer=lambda: make_consumer(settings, group=group_name(settings, "alert"), client_id="alert"),
        make_producer=lambda: make_producer(settings, client_id="alert"),
        checkpoints=Checkpoints(folder),
        clock=lambda: datetime.now(UTC),
        ticks=ticks,
        **more,
    )
    async with service:
        yield service


async def publish(settings: Settings, records: Sequence[Contract | bytes]) -> None:
    """Put records onto `spend.findings`, one after the other."""
    producer = make_producer(settings, client_id="test")
    await producer.start()
    try:
        for record in records:
            value = record if isinstance(record, bytes) else record.model_dump_json().encode()
            await producer.send_and_wait(topic_name(settings, FINDINGS), value)
    finally:
        await producer.stop()


async def written(settings: Settings, topic: Topic, kind: type[C], count: int) -> list[C]:
    """The first `count` records of a topic of ours at least."""
    consumer = make_consumer(settings, group=group_name(settings, "look"), client_id="look")
    await consumer.start()
    try:
        tp = TopicPartition(topic_name(settings, topic), 0)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        found: list[C] = []
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [kind.model_validate_json(record.value) for record in records]
        return found
    finally:
        await consumer.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that tells nobody."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110  (the receivers run in threads)
            await asyncio.sleep(0.02)
