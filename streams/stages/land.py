"""Charges, findings, alerts and dead letters into ClickHouse: every event once, whatever is killed or repeated.

A batch has what waits of a topic in all partitions that this worker holds. It goes through these steps; what a crash
just after each leaves:

1. The intent is saved: these records, under this number. Crash: before anything else of a partition, who owns it next
   repeats exactly this batch, with what it has of other partitions; several may do so at once, for all of it is
   repeatable.
2. The events are claimed. The first claim in ClickHouse's commit order owns an event for ever, so what a batch owns
   does not depend on when or by whom that is asked. Crash: as above; other batches take the events for duplicates.
3. The rows of the owned events are inserted, under the intent's token. Crash: as above; the repeated insert adds
   nothing, to rollups neither, and completes what was cut off between months or tables.
4. The intent is closed. Crash: the records are read again, and all of them are duplicates.
5. The offsets are committed.

While ClickHouse is away the partitions are paused and polling goes on, so that the group stays as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from schemas.wire import check_format
from streams.stages.land_batches import BatchLander, ReleasedError, read_all
from streams.stages.landing import STAGE, Held
from streams.stages.member import CLOSE_SECONDS, MARGIN_SECONDS
from streams.stages.partitions import Progress

POLL_SECONDS = 0.2
POLL_RECORDS = 100  # at most: one of charges may have a thousand rows, and what is polled is held

log = structlog.get_logger(__name__)


class LandService(BatchLander):
    """The stage: polls, has a task of its own land what came of each topic, and follows rebalances.

    `topics` maps the names on the cluster to the contract's topics. `patience_seconds` is how long a batch that was cut
    off may be missing from the log's end before it is given up.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._landing: dict[str, asyncio.Task[None]] = {}  # by topic
        self._revoking = 0

    def progress(self) -> Progress:
        """For the watchdog. Waiting for a ClickHouse that is away counts as going on; being refused by it does not."""
        lag = sum(1 if held.records is None else self._lag(held) for held in self._held.values())
        if not lag:
            self._progress_at = time.monotonic()  # what comes next is not late yet
        return Progress(lag, self._progress_at)

    def committed(self) -> dict[TopicPartition, int]:
        """The partitions that are ours, and up to where each is landed."""
        return {tp: held.records.committed for tp, held in self._held.items() if held.records is not None}

    async def _consume(self, consumer: AIOKafkaConsumer) -> None:
        most = min(POLL_RECORDS, self.settings.stages.max_records_per_poll)
        while not self.should_stop:
            fetched = await consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000), max_records=most)
            # Bound to what is held at this moment: what was fetched before a seek or a rebalance will be read again.
            ready = [(self._held[tp], records) for tp, records in fetched.items() if self._knows(tp)]
            for held, records in ready:
                await self._take(held, records)
            for held in self._held.values():
                self._figures.lag(held.tp, self._lag(held))
            for topic in self._tables:
                self._begin_new(topic)
                task = self._landing.get(topic)
                if (task is None or task.done()) and self._due(topic):
                    self._landing[topic] = asyncio.create_task(self._tend(topic))

    def _knows(self, tp: TopicPartition) -> bool:
        return tp in self._held and self._held[tp].records is not None

    async def _take(self, held: Held, records: Sequence[ConsumerRecord]) -> None:
        """Read records into the partition's buffer, and stop fetching when a batch is there: memory stays bounded."""
        for record in records:
            check_format(record.topic, record.partition, record.offset, record.headers)
        read = await asyncio.to_thread(read_all, held.table, records)
        self._figures.read(held.tp, read)
        if held.released or held.records is None:
            return
        held.records.add(read, time.monotonic())
        self._regulate(held.tp.topic)

    def _begin_new(self, topic: str) -> None:
        """Have a task find out where those of our partitions start that came, or came back, of a topic."""
        new = [held for tp, held in self._held.items() if tp.topic == topic and held.records is None and not held.busy]
        if new:
            task = asyncio.create_task(self._begin(topic, new))
            for held in new:
                held.task = task

    async def _begin(self, topic: str, ours: Sequence[Held]) -> None:
        """What of these is not loaded when this ends begins anew, unless it is taken away."""
        try:
            await self._load(topic, ours)
        except ReleasedError:
            return
        except (CommitFailedError, IllegalStateError):
            self._lost(topic)
            for held in ours:
                self._reset(held)
        except Exception as error:  # a fault of ours: the worker must not go on without this stage
            await self.crash(error)

    async def _tend(self, topic: str) -> None:
        """Land what is due of a topic."""
        try:
            while not self._revoking and self._due(topic):
                await self._land(topic)
        except ReleasedError:
            return
        except (CommitFailedError, IllegalStateError):
            self._lost(topic)
        except Exception as error:  # as above
            await self.crash(error)

    def _lost(self, topic: str) -> None:
        # The group went on without us; what is landed already will be found to be duplicates.
        log.warning("a partition was lost", stage=STAGE, topic=topic)

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
        tasks = {held.task for held in going} | {self._landing.get(held.tp.topic) for held in going}
        under_way = [task for task in tasks if task is not None and not task.done()]
        self._revoking += 1
        try:
            if under_way:
                _, late = await asyncio.wait(under_way, timeout=CLOSE_SECONDS)
                for task in late:
                    task.cancel()
                if late:  # they close what they opened
                    await asyncio.wait(late, timeout=MARGIN_SECONDS)
        finally:
            self._revoking -= 1
        for held in going:
            self._held.pop(held.tp, None)
            self._figures.lag(held.tp, 0)

    async def _let_go(self) -> None:
        await self.revoked(list(self._held))

    def _lag(self, held: Held) -> int:
        if held.records is None:
            return 0
        return max(0, self._end(held) - held.records.committed)
