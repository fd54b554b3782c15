"""What `land` does with the partitions of a topic: find where each starts, land what waits of all together, commit."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas.topics import Topic
from streams.core.landing.batches import (
    Intent,
    Partition,
    Record,
    Span,
    cut,
    digest,
    due,
    patience,
    read_record,
    resting,
)
from streams.core.landing.land import TABLES, Table
from streams.io.clickhouse import StoreAway, StoreError
from streams.io.rereading import reread_span
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.landing import STAGE, Figures, Held, Store, put
from streams.stages.member import MemberService
from streams.stages.partitions import backoff

T = TypeVar("T")

PATIENCE_SECONDS = 60.0  # for the records of a batch that was cut off to be there again

log = structlog.get_logger(__name__)


class ReleasedError(Exception):
    """A partition is being taken away, or the service stops, while ClickHouse or the broker is away."""


def read_all(table: Table, records: Sequence[ConsumerRecord]) -> list[Record]:
    """Read records of a topic. Takes long: call it from a thread."""
    return [read_record(table, record.offset, record.value) for record in records]


def jittered_backoff() -> Iterator[float]:
    """Growing waits, for ever, spread so that workers do not come back all at once."""
    return (wait * random.uniform(0.5, 1.0) for wait in backoff())  # noqa: S311  no secret


class BatchLander(MemberService):
    """Lands batches of a topic's partitions; which are ours and what was read of them is the loop's (`land`)."""

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
        self._loading = asyncio.Lock()  # a batch that was cut off has something of several partitions, and goes once
        self._repeated: deque[Intent] = deque(maxlen=100)  # what was cut off and is landed now

    async def _load(self, topic: str, ours: Sequence[Held]) -> None:
        """Start partitions of a topic at their committed offsets, after what was cut off is landed again.

        All at once: one after the other they would land what waits in small batches, each loading between two of them.
        """
        consumer = self._consumer
        if consumer is None:
            raise ReleasedError
        async with self._loading:
            await self._rest(ours, 0.0)  # while others loaded some may have been taken away
            numbers = [held.tp.partition for held in ours]
            intents = await self._patiently(ours, lambda: self._store.open_intents(topic, numbers))
            offsets = await self._offsets(consumer, [held.tp for held in ours], lambda wait: self._rest(ours, wait))
            firsts = {tp.partition: found.first for tp, found in offsets.items()}
            for intent in sorted(intents, key=lambda intent: (intent.saved_at, intent.batch)):
                await self._repeat(ours, intent, firsts)
        starts = {tp: max(found.first, found.committed or 0) for tp, found in offsets.items()}
        at = {tp: self._after_repeated(tp, start) for tp, start in starts.items()}
        if moved := {tp: offset for tp, offset in at.items() if offset != starts[tp]}:
            await self._commit(ours, moved)
        await self._rest(ours, 0.0)
        # No await from here: what was fetched before the seek is never taken for this state's.
        for held in ours:
            held.end_offset = offsets[held.tp].end
            consumer.seek(held.tp, at[held.tp])
            consumer.resume(held.tp)
            held.records = Partition(at[held.tp])

    def _after_repeated(self, tp: TopicPartition, committed: int) -> int:
        """Where a partition goes on after what was cut off and is landed now."""
        done = [intent.span(tp.partition) for intent in self._repeated if intent.topic == tp.topic]
        for span in sorted(span for span in done if span is not None):
            committed = span.after(committed)
        return committed

    async def _repeat(self, ours: Sequence[Held], intent: Intent, firsts: Mapping[int, int]) -> None:
        """Land again what was cut off, exactly. `firsts`: where the logs of our partitions begin now."""
        if all(firsts.get(span.partition, 0) <= span.first for span in intent.spans):
            table = self._tables[intent.topic]
            records = await self._again(ours, table, intent)
            if digest(records) == intent.digest:
                await self._put(ours, table, records, intent)
                self._repeated.append(intent)
                return
        await self._give_up(ours, intent)

    async def _again(self, ours: Sequence[Held], table: Table, intent: Intent) -> list[Record]:
        """The records of an intent as far as they are there, of its other partitions too."""
        found: list[Record] = []
        for span in intent.spans:
            records = await self._reread(ours, TopicPartition(intent.topic, span.partition), span)
            found += await asyncio.to_thread(read_all, table, records)
        return found

    async def _reread(self, ours: Sequence[Held], tp: TopicPartition, span: Span) -> list[ConsumerRecord]:
        for wait in self._waits():
            await self._rest(ours, 0.0)
            try:
                records = await reread_span(
                    self.settings, tp, span.first, span.last, self._patience, lambda: not self._over(ours)
                )
            except KafkaError as error:
                log.warning("broker is away", stage=STAGE, error=type(error).__name__)
                await self._rest(ours, wait)
            else:
                await self._rest(ours, 0.0)  # what was read is short when a partition is taken away
                return records
        raise ReleasedError

    def _due(self, topic: str) -> bool:
        partitions = {held.tp.partition: partition for held, partition in self._ours(topic)}
        received = [at for one in partitions.values() if (at := one.received_at) is not None]
        age = self.clock().timestamp() - min(received) if received else 0.0
        linger = patience(self.settings.land.linger_seconds, age)
        return due(partitions, self._resting(topic), time.monotonic(), linger)

    def _ours(self, topic: str) -> list[tuple[Held, Partition]]:
        """The partitions of a topic that are ours and loaded."""
        return [
            (held, held.records)
            for held in self._held.values()
            if held.tp.topic == topic and held.records is not None and not held.released
        ]

    async def _land(self, topic: str) -> None:
        """Land what waits of a topic. Whatever ends it, partitions that stay ours begin anew."""
        started = time.monotonic()
        ours = {held.tp.partition: (held, partition) for held, partition in self._ours(topic)}
        batch = cut({number: partition for number, (_, partition) in ours.items()}, self.settings.land.batch_rows)
        self._regulate(topic)
        going = [ours[number] for number in batch.parts]
        held_of_it = [held for held, _ in going]
        done = False
        try:
            records = batch.records
            if any(record.content.keys for record in records):
                intent = batch.intent(topic, secrets.randbits(64), self.clock())
                await self._put(held_of_it, self._tables[topic], records, intent)
            for number, part in batch.parts.items():
                ours[number][1].finish(part)
            self._progress_at = time.monotonic()
            self.metrics.stage_seconds.labels(STAGE).observe(self._progress_at - started)
            await self._commit(held_of_it, {held.tp: partition.committed for held, partition in going})
            done = True
        finally:
            for held in [] if done else held_of_it:
                if not held.released:  # else it is being taken away
                    self._reset(held)

    async def _put(self, ours: Sequence[Held], table: Table, records: Sequence[Record], intent: Intent) -> None:
        result = await self._patiently(ours, lambda: put(self._store, table, records, intent, self.clock()))
        self._figures.landed(table, records, result, self.clock())

    async def _commit(self, ours: Sequence[Held], offsets: Mapping[TopicPartition, int]) -> None:
        """Commit, waiting for the broker. Raises CommitFailedError or IllegalStateError when a partition is lost."""
        for wait in self._waits():
            if self._consumer is None:
                raise ReleasedError
            try:
                await self._consumer.commit(dict(offsets))
            except (CommitFailedError, IllegalStateError):
                raise
            except KafkaError as error:
                log.warning("offset is not committed", stage=STAGE, error=type(error).__name__)
                await self._rest(ours, wait)
            else:
                return

    async def _give_up(self, ours: Sequence[Held], intent: Intent) -> None:
        """Records of an open intent are no longer on Kafka, so what is missing of it can't be landed."""
        log.error(
            "a batch that was cut off can't be repeated: its records expired, or the topic was made anew",
            stage=STAGE, topic=intent.topic, spans=[list(span) for span in intent.spans],
        )  # fmt: skip
        await self._patiently(ours, lambda: self._store.close_intent(intent))

    async def _patiently(self, ours: Sequence[Held], call: Callable[[], T]) -> T:
        """Call in a thread, again and again while ClickHouse fails. Raises ReleasedError when a partition goes."""
        for wait in self._waits():
            try:
                async with self._turn:
                    return await asyncio.to_thread(call)
            except StoreError as error:
                self.metrics.clickhouse_errors.labels(error.operation).inc()
                log.warning("landing waits", stage=STAGE, problem=str(error), seconds=round(wait, 1))
                if isinstance(error, StoreAway):
                    self._progress_at = time.monotonic()
            await self._rest(ours, wait)
        raise ReleasedError

    async def _rest(self, ours: Sequence[Held], seconds: float) -> None:
        if seconds and not self._over(ours):
            await self.sleep(seconds)
        if self._over(ours):
            raise ReleasedError

    def _over(self, ours: Sequence[Held]) -> bool:
        return self.should_stop or any(held.released for held in ours)

    def _regulate(self, topic: str) -> None:
        """Fetch of a topic's partitions what a batch has room for: memory stays bounded, and they are read in step."""
        full = self._resting(topic)
        for held, _ in self._ours(topic):
            self._flow(held, "pause" if held.tp.partition in full else "resume")

    def _resting(self, topic: str) -> frozenset[int]:
        ours = self._ours(topic)
        partitions = {held.tp.partition: partition for held, partition in ours}
        ends = {held.tp.partition: self._end(held) for held, _ in ours}
        return resting(partitions, ends, self.settings.land.batch_rows)

    def _end(self, held: Held) -> int:
        """Where a partition's log ends, as far as is known."""
        return max(self._highwater(held.tp) or 0, held.end_offset)

    def _flow(self, held: Held, action: str) -> None:
        consumer = self._consumer
        if consumer is not None and held.tp in consumer.assignment():
            (consumer.pause if action == "pause" else consumer.resume)(held.tp)

    def _adopt(self, tp: TopicPartition) -> None:
        held = self._held[tp] = Held(tp, self._tables[tp.topic])
        self._flow(held, "pause")  # until we know where to start

    def _reset(self, held: Held) -> None:
        """Begin anew with a partition that may still be ours; if it is not, a rebalance will say so."""
        held.released = True
        if self._held.get(held.tp) is not held:
            return
        del self._held[held.tp]
        if self._consumer is not None and held.tp in self._consumer.assignment():
            self._adopt(held.tp)
