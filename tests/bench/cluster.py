"""A real Kafka and a folder for ClickHouse, a topic prefix for each run, and what stands on the topics."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from schemas.topics import TOKEN_CALLS, Topic
from streams.io import kafka
from streams.io.topics import create_topics, partition_counts
from streams.settings import Settings
from tests.bench.events import records
from tests.support.kafka import RealKafka

SENDS_IN_FLIGHT = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """One deployment of its own on the shared broker: topics, groups, state and store."""

    settings: Settings
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings as a worker process takes them."""
        return {
            "SPENDSTREAM_KAFKA__BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers,
            "SPENDSTREAM_KAFKA__TOPIC_PREFIX": self.settings.kafka.topic_prefix,
            "SPENDSTREAM_KAFKA__MEMBER": self.settings.kafka.member,
            "SPENDSTREAM_CLICKHOUSE__URL": self.settings.clickhouse.url,
            "SPENDSTREAM_STAGES__STATE_DIR": str(self.settings.stages.state_dir),
            "SPENDSTREAM_ALERTS__LOG": "false",
        }

    def name(self, topic: Topic) -> str:
        """The topic's name on the cluster."""
        return kafka.topic_name(self.settings, topic)

    async def make(self) -> None:
        """Make the contract's topics."""
        await create_topics(self.settings)

    def fill(self, count: int, keys: int, batch: int, *, first: int = 0) -> int:
        """Put events from number `first` on the topic of model calls; returns the bytes of the records."""
        return asyncio.run(self._fill(count, keys, batch, first))

    async def _fill(self, count: int, keys: int, batch: int, first: int) -> int:
        await self.make()
        producer = kafka.make_producer(self.settings, client_id="bench", linger_ms=50, max_batch_size=1 << 19)
        await producer.start()
        size, waiting = 0, []
        try:
            for value in records(count, keys, batch, first):
                size += len(value)
                waiting.append(await producer.send(self.name(TOKEN_CALLS), value=value))
                if len(waiting) >= SENDS_IN_FLIGHT:
                    await asyncio.gather(*waiting)
                    waiting = []
            await asyncio.gather(*waiting)
        finally:
            await producer.stop()
        return size

    def make_topics(self, *names: str, partitions: int) -> None:
        """Make topics beside the contract's, for a pipeline that is not ours."""
        asyncio.run(self._make_topics(names, partitions))

    async def _make_topics(self, names: tuple[str, ...], partitions: int) -> None:
        admin = AIOKafkaAdminClient(**kafka.client_config(self.settings.kafka))
        await admin.start()
        try:
            prefix = self.settings.kafka.topic_prefix
            await admin.create_topics([NewTopic(prefix + name, partitions, 1) for name in names])
        finally:
            await admin.close()


class Lags:
    """How far groups are behind, by what they committed, over connections that are kept: asking must cost little."""

    def __init__(self, run: Run, counts: dict[str, int]) -> None:
        self._run = run
        self._counts = counts
        self._consumer = kafka.make_consumer(run.settings, group="bench-ends", client_id="bench")
        self._admin = AIOKafkaAdminClient(**kafka.client_config(run.settings.kafka))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, run: Run) -> AsyncIterator[Self]:
        """Connected, until the block ends."""
        lags = cls(run, await partition_counts(run.settings))
        await lags._consumer.start()
        try:
            await lags._admin.start()
            yield lags
        finally:
            await lags._admin.close()
            await lags._consumer.stop()

    async def ends(self, topic: Topic) -> dict[TopicPartition, int]:
        """Where the topic's partitions end now."""
        name = self._run.name(topic)
        partitions = [TopicPartition(name, number) for number in range(self._counts[topic.name])]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return ends

    async def of(self, group: str, ends: Mapping[TopicPartition, int]) -> int:
        """Records before these ends that the group has not committed."""
        try:
            done = await self._admin.list_consumer_group_offsets(group)
        except KafkaError:  # its coordinator is not chosen yet
            done = {}
        return sum(max(0, end - (done[tp].offset if tp in done else 0)) for tp, end in ends.items())


async def topic_bytes(run: Run, topic: Topic) -> int:
    """Bytes of all values on a topic, before compression."""
    counts = await partition_counts(run.settings)
    consumer = kafka.make_consumer(run.settings, group="bench-bytes", client_id="bench")
    await consumer.start()
    try:
        assigned = [TopicPartition(run.name(topic), number) for number in range(counts[topic.name])]
        consumer.assign(assigned)
        ends = await consumer.end_offsets(assigned)
        size = 0
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records_of_one in (await consumer.getmany(timeout_ms=200)).values():
                size += sum(len(record.value or b"") for record in records_of_one)
        return size
    finally:
        await consumer.stop()


@contextlib.contextmanager
def real_kafka() -> Iterator[RealKafka]:
    """The broker that all runs share."""
    with TemporaryDirectory(prefix="bench-kafka-") as folder:
        broker = RealKafka(Path(folder))
        broker.format()
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()


@contextlib.contextmanager
def new_run(broker: RealKafka, *, member: str = "") -> Iterator[Run]:
    """A fresh deployment. `member`: the name of its worker in its groups, none by default."""
    with TemporaryDirectory(prefix="bench-run-") as text:
        folder = Path(text)
        base = Settings()
        own = {"topic_prefix": f"b{uuid.uuid4().hex[:8]}.", "member": member}
        settings = base.model_copy(
            update={
                "kafka": broker.configure(base.kafka.model_copy(update=own)),
                "clickhouse": base.clickhouse.model_copy(update={"url": f"chdb://{folder / 'clickhouse'}"}),
                "stages": base.stages.model_copy(update={"state_dir": folder / "state"}),
            }
        )
        yield Run(settings, folder)
