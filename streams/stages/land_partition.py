"""What `land` does with one partition: find where to start, land what is due, commit; it waits for who is away."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas.topics import Topic
from streams.core.landing.batches import PATIENCE_SECONDS, Intent, Partition, Work, digest
from streams.core.landing.land import TABLES
from streams.io.clickhouse import StoreAway, StoreError
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.landing import STAGE, Figures, Held, Store, put
from streams.stages.member import MemberService
from streams.stages.partitions import backoff

T = TypeVar("T")

log = structlog.get_logger(__name__)


class ReleasedError(Exception):
    """The partition is being taken away, or the service stops, while ClickHouse or the broker is away."""


def jittered_backoff() -> Iterator[float]:
    """Growing waits, for ever, spread so that workers do not come back all at once."""
    return (wait * random.uniform(0.5, 1.0) for wait in backoff())  # noqa: S311  no secret


class PartitionLander(MemberService):
    """Lands batches of partitions; which are ours and what was read of them is the loop's (`land`)."""

    abstract: ClassVar[bool] = True
    stage: ClassVar[str] = STAGE

    def __init__(
        self,
        settings: Settings,
        store: Store,
        metrics: Metrics,
        *,
        topics: dict[str, Topic],
        waits: Callable[[], Iterator[float]] = jittered_backoff,
        patience_seconds: float = PATIENCE_SECONDS,
        **member: Any,
    ) -> None:
        super().__init__(settings, metrics, topics=list(topics), waits=waits, **member)
        self._store = store
        self._tables = {name: TABLES[topic.name] for name, topic in topics.items()}
        self._figures = Figures(metrics)
        self._patience = patience_seconds
        self._held: dict[TopicPartition, Held] = {}
        self._turn = asyncio.Lock()  # one batch at a time: ClickHouse wants few inserts

    async def _load(self, held: Held) -> None:
        """Start at the committed offset, or before it where an open intent needs its records again."""
        tp, consumer = held.tp, self._consumer
        if consumer is None:
            raise ReleasedError
        intents = await self._patiently(held, lambda: self._store.open_intents(tp.topic, tp.partition))
        first, held.end_offset, committed = await self._offsets(consumer, tp, lambda wait: self._rest(held, wait))
        replays = []
        for intent in intents:
            if first <= intent.first:
                replays.append(intent)
            else:
                await self._give_up(held, intent)
        if held.released:
            return
        self._begin(held, consumer, Partition(max(first, committed or 0), replays, self._patience))

    def _begin(self, held: Held, consumer: AIOKafkaConsumer, records: Partition) -> None:
        """No await in here: what was fetched before the seek is never taken for this state's."""
        consumer.seek(held.tp, records.start)
        consumer.resume(held.tp)
        held.records = records

    def _work(self, held: Held) -> Work | None:
        """What is due of a partition that is ours and loaded."""
        if held.records is None or held.released:
            return None
        land = self.settings.land
        return held.records.next(time.monotonic(), land.batch_rows, land.linger_seconds, self._highwater(held.tp))

    async def _land(self, held: Held, work: Work) -> None:
        partition, started = held.records, time.monotonic()
        if partition is None:
            raise ReleasedError
        if not work.intact and work.replay is not None:
            await self._give_up(held, work.replay)
        elif any(record.content.keys for record in work.records):
            intent = work.replay or self._intent(held, work)
            result = await self._patiently(
                held, lambda: put(self._store, held.table, work.records, intent, self.clock())
            )
            self._figures.landed(held.table, work.records, result, self.clock())
        offset = partition.finish(work)
        self._progress_at = time.monotonic()
        self.metrics.stage_seconds.labels(STAGE).observe(self._progress_at - started)
        if partition.rows < self.settings.land.batch_rows or partition.replaying:
            self._flow(held, "resume")
        if offset is not None:
            await self._commit(held, offset)

    def _intent(self, held: Held, work: Work) -> Intent:
        first, last = work.records[0].offset, work.records[-1].offset
        number = secrets.randbits(64)
        return Intent(held.tp.topic, held.tp.partition, first, last, number, digest(work.records), self.clock())

    async def _commit(self, held: Held, offset: int) -> None:
        """Commit, waiting for the broker. Raises CommitFailedError or IllegalStateError when the partition is lost."""
        for wait in self._waits():
            if self._consumer is None:
                raise ReleasedError
            try:
                await self._consumer.commit({held.tp: offset})
            except (CommitFailedError, IllegalStateError):
                raise
            except KafkaError as error:
                log.warning("offset is not committed", stage=STAGE, error=type(error).__name__)
                await self._rest(held, wait)
            else:
                return

    async def _give_up(self, held: Held, intent: Intent) -> None:
        """The records of an open intent are no longer on Kafka, so what is missing of it can't be landed."""
        log.error(
            "a batch that was cut off can't be repeated: its records expired, or the topic was made anew",
            stage=STAGE, topic=intent.topic, partition=intent.partition, first=intent.first, last=intent.last,
        )  # fmt: skip
        await self._patiently(held, lambda: self._store.close_intent(intent))

    async def _patiently(self, held: Held, call: Callable[[], T]) -> T:
        """Call in a thread, again and again while ClickHouse fails. Raises ReleasedError when the partition goes."""
        for wait in self._waits():
            try:
                async with self._turn:
                    return await asyncio.to_thread(call)
            except StoreError as error:
                self.metrics.clickhouse_errors.labels(error.operation).inc()
                log.warning("landing waits", stage=STAGE, problem=str(error), seconds=round(wait, 1))
                if isinstance(error, StoreAway):
                    self._progress_at = time.monotonic()
            await self._rest(held, wait)
        raise ReleasedError

    async def _rest(self, held: Held, seconds: float) -> None:
        if not (held.released or self.should_stop):
            await self.sleep(seconds)
        if held.released or self.should_stop:
            raise ReleasedError

    def _flow(self, held: Held, action: str) -> None:
        consumer = self._consumer
        if consumer is not None and held.tp in consumer.assignment():
            (consumer.pause if action == "pause" else consumer.resume)(held.tp)
