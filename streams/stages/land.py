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
import time
from collections.abc import Iterable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from schemas.wire import check_format
from streams.core.landing.batches import read_record
from streams.stages.land_partition import PartitionLander, ReleasedError
from streams.stages.landing import STAGE, Held
from streams.stages.member import CLOSE_SECONDS
from streams.stages.partitions import Progress

POLL_SECONDS = 0.2

log = structlog.get_logger(__name__)


class LandService(PartitionLander):
    """The stage: polls, hands each partition's records to a task of its own, and follows rebalances.

    `topics` maps the names on the cluster to the contract's topics. `patience_seconds` is how long a batch that was cut
    off may be missing from the log's end before it is given up.
    """

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
        for record in records:
            check_format(record.topic, record.partition, record.offset, record.headers)
        read = await asyncio.to_thread(lambda: [read_record(held.table, r.offset, r.value) for r in records])
        self._figures.read(held.tp, read)
        if held.released or held.records is None:
            return
        held.records.add(read, time.monotonic())
        if held.records.rows >= self.settings.land.batch_rows and not held.records.replaying:
            self._flow(held, "pause")

    async def _tend(self, held: Held) -> None:
        """Find out where to start, then land what is due."""
        try:
            if held.records is None:
                await self._load(held)
            while (work := self._work(held)) is not None:
                await self._land(held, work)
        except ReleasedError:
            return
        except (CommitFailedError, IllegalStateError):
            # The group went on without us; what is landed already will be found to be duplicates.
            log.warning("partition was lost", stage=STAGE, topic=held.tp.topic, partition=held.tp.partition)
            self._reset(held)
        except Exception as error:  # a fault of ours: the worker must not go on without this stage
            await self.crash(error)

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

    async def _let_go(self) -> None:
        await self.revoked(list(self._held))

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

    def _lag(self, held: Held) -> int:
        if held.records is None:
            return 0
        return max(0, max(self._highwater(held.tp) or 0, held.end_offset) - held.records.committed)
