"""Charges, findings, alerts and dead letters into ClickHouse: every event once, whatever is killed or repeated.

A batch of one partition goes through these steps. What a crash just after each leaves:

1. The intent is saved: these records, under this number. Crash: the next owner repeats exactly this batch first.
2. The events are claimed. The first claim in ClickHouse's commit order owns an event for ever, so what a batch owns
   does not depend on when or by whom that is asked. Crash: as above; other batches take the events for duplicates.
3. The rows of the owned events are inserted, under the intent's token. Crash: as above; the repeated insert adds
   nothing, to rollups neither, and completes what was cut off between months or tables.
4. The intent is closed. Crash: the records are read again, and all of them are duplicates.
5. The offset is committed.

While ClickHouse is away the partitions are paused and polling goes on, so that the group stays as it is.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from mode import Service

from schemas.topics import Topic
from streams.core.batches import PATIENCE_SECONDS, Intent, Partition, Work, digest, read_record
from streams.core.land import TABLES
from streams.io.clickhouse import StoreAway, StoreError
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.landing import STAGE, Figures, Held, Store, put
from streams.stages.partitions import Listener, Progress, backoff

T = TypeVar("T")
POLL_SECONDS = 0.2
CLOSE_SECONDS = 10.0  # how long a rebalance or the end waits for the batch in hand; below any session timeout

log = structlog.get_logger(__name__)


class _Released(Exception):  # noqa: N818  not an error
    """The partition is being taken away, or the service stops, while ClickHouse is away."""


def jittered_backoff() -> Iterator[float]:
    """Growing waits, for ever, spread so that workers do not come back all at once."""
    return (wait * random.uniform(0.5, 1.0) for wait in backoff())  # noqa: S311  no secret


class LandService(Service):
    """The stage. Its consumer comes from `make_consumer` (called in the running loop), with this stage's own group.

    `topics` maps the names on the cluster to the contract's topics. `clock` gives aware UTC; `waits` a new backoff.
    `patience_seconds` is how long a batch that was cut off may be missing from the log's end before it is given up.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        metrics: Metrics,
        *,
        topics: dict[str, Topic],
        make_consumer: Callable[[], AIOKafkaConsumer],
        clock: Callable[[], datetime],
        waits: Callable[[], Iterator[float]] = jittered_backoff,
        patience_seconds: float = PATIENCE_SECONDS,
        **service: Any,
    ) -> None:
        super().__init__(**service)
        self.settings = settings
        self.metrics = metrics
        self._figures = Figures(metrics)
        self.clock = clock
        self._store = store
        self._tables = {name: TABLES[topic.name] for name, topic in topics.items()}
        self._make_consumer = make_consumer
        self._waits = waits
        self._patience = patience_seconds
        self._consumer: AIOKafkaConsumer | None = None
        self._held: dict[TopicPartition, Held] = {}
        self._turn = asyncio.Lock()  # one batch at a time: ClickHouse wants few inserts
        self._ended = asyncio.Event()
        self._ended.set()
        self._progress_at = time.monotonic()

    def progress(self) -> Progress:
        """For the watchdog. Waiting for a ClickHouse that is away counts as going on; being refused by it does not."""
        lag = sum(1 if held.records is None else self._lag(held) for held in self._held.values())
        if not lag:
            self._progress_at = time.monotonic()  # what comes next is not late yet
        return Progress(lag, self._progress_at)

    def committed(self) -> dict[TopicPartition, int]:
        """The partitions that are ours, and up to where each is landed."""
        return {tp: held.records.committed for tp, held in self._held.items() if held.records is not None}

    async def on_start(self) -> None:
        self._ended.clear()
        self.metrics.up.labels(STAGE).set(1)

    async def on_stop(self) -> None:
        """Let the loop end by itself: a cancelled getmany leaves aiokafka's poll watchdog dead."""
        try:
            await asyncio.wait_for(self._ended.wait(), CLOSE_SECONDS + 10 * POLL_SECONDS)
        except TimeoutError:
            log.warning("stage did not end in time", stage=STAGE)

    @Service.task
    async def _run(self) -> None:
        try:
            consumer = await self._connect()
            if consumer is not None:
                await self._consume(consumer)
        finally:
            self.metrics.up.labels(STAGE).set(0)
            await self.revoked(list(self._held))
            consumer, self._consumer = self._consumer, None
            if consumer is not None:
                await consumer.stop()
            self._ended.set()

    async def _connect(self) -> AIOKafkaConsumer | None:
        """A started consumer; waits for the broker as long as it takes, None when told to stop."""
        for wait in self._waits():
            if self.should_stop:
                return None
            consumer = self._make_consumer()
            try:
                await consumer.start()
            except KafkaError as error:
                await consumer.stop()
                log.warning("broker is away", stage=STAGE, error=type(error).__name__)
                await self.sleep(wait)
            else:
                self._consumer = consumer
                consumer.subscribe(list(self._tables), listener=Listener(self))
                return consumer
        return None

    async def _consume(self, consumer: AIOKafkaConsumer) -> None:
        most = self.settings.stages.max_records_per_poll
        while not self.should_stop:
            fetched = await consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000), max_records=most)
            # Bound to what is held at this moment: what was fetched before a seek or a rebalance will be read again.
            ready = [(self._held[tp], records) for tp, records in fetched.items() if self._knows(tp)]
            for held, records in ready:
                await self._take(held, records)
            for held in self._held.values():
                self._figures.lag(held.tp, self._lag(held))
                if not held.busy and (held.records is None or self._work(held) is not None):
                    held.task = asyncio.create_task(self._tend(held))

    def _knows(self, tp: TopicPartition) -> bool:
        return tp in self._held and self._held[tp].records is not None

    async def _take(self, held: Held, records: Sequence[ConsumerRecord]) -> None:
        """Read records into the partition's buffer, and stop fetching when a batch is there: memory stays bounded."""
        read = await asyncio.to_thread(lambda: [read_record(held.table, r.offset, r.value) for r in records])
        self._figures.read(held.tp, read)
        if held.released or held.records is None:
            return
        held.records.add(read, time.monotonic())
        if held.records.rows >= self.settings.land.batch_rows and not held.records.replaying:
            self._flow(held, "pause")

    def _work(self, held: Held) -> Work | None:
        """What is due of a partition that is ours and loaded."""
        if held.records is None or held.released:
            return None
        land = self.settings.land
        return held.records.next(time.monotonic(), land.batch_rows, land.linger_seconds, self._highwater(held.tp))

    async def _tend(self, held: Held) -> None:
        """Find out where to start, then land what is due."""
        try:
            if held.records is None:
                await self._load(held)
            while (work := self._work(held)) is not None:
                await self._land(held, work)
        except _Released:
            return
        except (CommitFailedError, IllegalStateError):
            # The group went on without us; what is landed already will be found to be duplicates.
            log.warning("partition was lost", stage=STAGE, topic=held.tp.topic, partition=held.tp.partition)
            self._reset(held)
        except Exception as error:  # a fault of ours: the worker must not go on without this stage
            await self.crash(error)

    async def _load(self, held: Held) -> None:
        """Start at the committed offset, or before it where an open intent needs its records again."""
        tp, consumer = held.tp, self._consumer
        if consumer is None:
            raise _Released
        intents = await self._patiently(held, lambda: self._store.open_intents(tp.topic, tp.partition))
        first, held.end_offset, committed = await self._offsets(held, consumer)
        replays = []
        for intent in intents:
            if first <= intent.first:
                replays.append(intent)
            else:
                await self._give_up(held, intent)
        if held.released:
            return
        records = Partition(first if committed is None else max(first, committed), replays, self._patience)
        # No await between: what was fetched before the seek is never taken for this state's.
        consumer.seek(tp, records.start)
        consumer.resume(tp)
        held.records = records

    async def _offsets(self, held: Held, consumer: AIOKafkaConsumer) -> tuple[int, int, int | None]:
        """Where the partition's log begins and ends now, and what is committed."""
        tp = held.tp
        for wait in self._waits():
            try:
                first = (await consumer.beginning_offsets([tp]))[tp]
                end = (await consumer.end_offsets([tp]))[tp]
                return first, end, await consumer.committed(tp)
            except IllegalStateError:
                raise
            except KafkaError as error:
                log.warning("offsets are not known yet", stage=STAGE, error=type(error).__name__)
                await self._rest(held, wait)
        raise _Released

    async def _land(self, held: Held, work: Work) -> None:
        partition, started = held.records, time.monotonic()
        if partition is None:
            raise _Released
        if not work.intact and work.replay is not None:
            await self._give_up(held, work.replay)
        elif any(record.content.entries for record in work.records):
            intent = work.replay or self._intent(held, work)
            result = await self._patiently(
                held, lambda: put(self._store, held.table, work.records, intent, self.clock())
            )
            self._figures.landed(held.table, work.records, result, self.clock())
        offset = partition.finish(work, time.monotonic())
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
                raise _Released
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
        """Call in a thread, again and again while ClickHouse fails. Raises _Released when the partition goes away."""
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
        raise _Released

    async def _rest(self, held: Held, seconds: float) -> None:
        if not (held.released or self.should_stop):
            await self.sleep(seconds)
        if held.released or self.should_stop:
            raise _Released

    # Rebalance. aiokafka calls these in a task of its own, beside the loop above.

    async def assigned(self, tps: Iterable[TopicPartition]) -> None:
        for tp in tps:
            self._adopt(tp)
        self._progress_at = time.monotonic()

    async def revoked(self, tps: Iterable[TopicPartition]) -> None:
        """Let the batches in hand land and be committed, within bounds; drop the rest, which the next owner reads."""
        going = [self._held[tp] for tp in tps if tp in self._held]
        for held in going:
            held.released = True
        tasks = [held.task for held in going if held.task is not None and not held.task.done()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
        for held in going:
            self._held.pop(held.tp, None)
            self._figures.lag(held.tp, 0)

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

    def _flow(self, held: Held, action: str) -> None:
        consumer = self._consumer
        if consumer is not None and held.tp in consumer.assignment():
            (consumer.pause if action == "pause" else consumer.resume)(held.tp)

    def _lag(self, held: Held) -> int:
        if held.records is None:
            return 0
        return max(0, max(self._highwater(held.tp) or 0, held.end_offset) - held.records.committed)

    def _highwater(self, tp: TopicPartition) -> int | None:
        """Where the log ends, as the newest fetch tells; ListOffsets of the embedded broker tells less."""
        consumer = self._consumer
        return consumer.highwater(tp) if consumer is not None and tp in consumer.assignment() else None
