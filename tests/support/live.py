"""The live stages in this process: send a file, wait until everything has come through, look at ClickHouse."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from schemas.topics import Topic
from streams.app import STAGES, Worker
from streams.commands.send import Record, records
from streams.io import kafka
from streams.io.clickhouse import ClickHouseStore
from streams.io.topics import create_topics
from streams.metrics import Metrics
from streams.settings import ClickHouse, Settings
from streams.stages.land import LandService
from streams.stages.roll import RollService
from tests.support.kafka import Broker, settings_for

DRAIN_SECONDS = 240.0


def live_settings(broker: Broker, clickhouse: ClickHouse, folder: Path, **sections: Any) -> Settings:
    """Settings of a deployment of the test's own."""
    settings = settings_for(broker, **sections)
    return settings.model_copy(
        update={
            "clickhouse": clickhouse,
            "stages": settings.stages.model_copy(update={"state_dir": folder / "state"}),
            "metrics": settings.metrics.model_copy(update={"port": 0}),
        }
    )


class Live:
    """A running worker and what a test asks of it."""

    def __init__(self, settings: Settings, worker: Worker, metrics: Metrics, store: ClickHouseStore) -> None:
        self.settings = settings
        self.worker = worker
        self.metrics = metrics
        self.store = store

    async def send_file(self, file: Path, *, batch: int = 1) -> int:
        """Send a file as `spendstream send` does; returns how many events it held."""
        return await self.send(records(file, batch, None))

    async def send_values(self, topic: Topic, values: Iterable[bytes | None]) -> None:
        """Send records as they are."""
        producer = kafka.make_producer(self.settings, client_id="test")
        await producer.start()
        try:
            for value in values:
                key = b"null" if value is None else None  # Kafka takes a record without a value only with a key
                await producer.send_and_wait(kafka.topic_name(self.settings, topic), value=value, key=key)
        finally:
            await producer.stop()

    async def send(self, source: Iterable[Record]) -> int:
        """Send records and wait for their acknowledgement."""
        producer = kafka.make_producer(self.settings, client_id="test")
        await producer.start()
        events = 0
        try:
            waiting = []
            for record in source:
                topic = kafka.topic_name(self.settings, record.topic)
                waiting.append(await producer.send(topic, value=record.value, key=record.key))
                events += record.events
            await asyncio.gather(*waiting)
        finally:
            await producer.stop()
        return events

    def count(self, outcome: str) -> int:
        """Events by outcome, as the metrics have them."""
        return int(self.metrics.registry.get_sample_value("spendstream_events_total", {"outcome": outcome}) or 0)

    async def accounted(self, events: int) -> None:
        """Wait until that many events are read, and every one is landed, a duplicate or a dead letter in ClickHouse."""

        def done() -> bool:
            read = self.count("charged") + self.count("dead_lettered")
            dead = self.rows("SELECT count() AS n FROM dead_letters FINAL")[0]["n"]
            return read == events and self.count("landed") + self.count("duplicate") + dead == events

        await self.until(done, f"{events} events to be accounted for")

    async def settled(self) -> None:
        """Wait until every window is closed and nothing lags: what there is to find has been found."""
        roll = next(hosted.service for hosted in self.worker.hosted if isinstance(hosted.service, RollService))

        def closed() -> bool:
            states = roll.states()
            return bool(states) and all(state.roller.all_quiet() for state in states)

        await self.until(closed, "all windows to close")
        quiet_since = time.monotonic()
        # `price` never stops saying that it is caught up, so only those behind `roll` come to rest.
        behind = [hosted for hosted in self.worker.hosted if hosted.name in {"detect", "alert"}]

        def drained() -> bool:
            nonlocal quiet_since
            if any(hosted.progress()[0] for hosted in behind):
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > 1.5

        await self.until(drained, "the lag to drain")

    async def landed(self) -> None:
        """Wait until ClickHouse has everything that stands on Kafka now."""
        land = next(hosted.service for hosted in self.worker.hosted if isinstance(hosted.service, LandService))
        consumer = kafka.make_consumer(self.settings, group="test-ends", client_id="test")
        await consumer.start()
        try:
            ends = await consumer.end_offsets(list(land.committed()))
        finally:
            await consumer.stop()
        await self.until(lambda: all(land.committed().get(tp, 0) >= end for tp, end in ends.items()), "landing")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Await a condition; a worker that fails ends the wait at once."""
        until = time.monotonic() + DRAIN_SECONDS
        while not condition():
            assert not self.worker.failed.is_set(), self.worker.failure
            assert time.monotonic() < until, f"waited {DRAIN_SECONDS:.0f} s for {what}"
            await asyncio.sleep(0.1)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query."""
        return self.store.query(sql)


@contextlib.asynccontextmanager
async def live(settings: Settings, store: ClickHouseStore, stages: tuple[str, ...] = STAGES) -> AsyncIterator[Live]:
    """All stages on fresh topics, stopped at the end."""
    await create_topics(settings)
    metrics = Metrics()
    worker = Worker(settings, stages, metrics, store)
    try:
        await worker.start()
        yield Live(settings, worker, metrics, store)
    finally:
        await worker.stop()
