"""The loop that `roll`, `detect` and `alert` share: read, decide, send, checkpoint, commit.

In this order; and what a crash just after each step leaves:

1. `process` takes a batch of one partition into its state and says what to send. Crash: the batch is read again.
2. The sends are confirmed by the broker. Crash: they are repeated, identical, by the next owner.
3. Every `checkpoint_seconds` state and offset are saved together. Crash: the next owner goes on from exactly here, for
   it starts at the checkpoint's offset, not at the committed one.
4. The offset is committed: for lag as others see it, and for a start without a checkpoint.

So a state sees each record once, and an output is sent at least once: outputs need to be upserts. A state whose
outputs could not be sent is thrown away, never saved. While checkpoints can't be written nothing is committed, and work
goes on.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from schemas.wire import check_format
from streams.core.windows.in_step import InStep
from streams.stages.keeping import KeepingService
from streams.stages.partitions import AbandonedError, Held, from_another_log
from streams.stages.portions import in_turn
from streams.stages.sending import Send

S = TypeVar("S")
IDLE_SECONDS = 0.5
CLOSE_SECONDS = 10.0

log = structlog.get_logger(__name__)


class ConsumingService(KeepingService[S]):
    """A stage that keeps one state per partition. Give `open`, `process` and `snapshot`; `idle` and `saved` if needed.

    All of them are called on the event loop, one at a time per service, and may not block; decode errors are theirs to
    handle, for what they raise crashes the service.
    """

    abstract: ClassVar[bool] = True
    in_step: ClassVar[bool] = False  # whether a backlog's partitions are to be read in step (see `InStep`)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle_at = time.monotonic()
        self._step: InStep[TopicPartition] = InStep()

    @abstractmethod
    def process(self, state: S, records: Sequence[ConsumerRecord]) -> Sequence[Send]:
        """Take records of one partition, in offset order, none twice. The same records must give the same sends."""

    def idle(self, state: S, now: datetime) -> Sequence[Send]:  # noqa: ARG002  a hook
        """Called about every 0.5 s, busy or not, with the clock's time. What it sends may depend on that time."""
        return ()

    async def _consume(self, consumer: AIOKafkaConsumer) -> None:
        most = self.settings.stages.max_records_per_poll
        while not self.should_stop:
            if self.in_step:
                self._keep_in_step(consumer)
            fetched = await consumer.getmany(timeout_ms=int(IDLE_SECONDS * 1000), max_records=most)
            # Bound to what is held at this moment: after a rebalance these records will be read again.
            work = [(self._held[tp], records) for tp, records in fetched.items() if tp in self._held]
            for held, some in in_turn(work):
                await self._take(held, some)
            if time.monotonic() - self._idle_at >= IDLE_SECONDS:
                self._idle_at = time.monotonic()
                await self._idle()
            if time.monotonic() >= max(self._checkpoint_due, self._not_before):
                await self.checkpoint()
        try:
            await asyncio.wait_for(self._last_checkpoint(), CLOSE_SECONDS)
        except TimeoutError:
            log.warning("last checkpoint took too long; the records since the one before will be read again")

    def _keep_in_step(self, consumer: AIOKafkaConsumer) -> None:
        ours = self._held.keys() & consumer.assignment()
        ahead = self._step.ahead({tp: self._lag(self._held[tp]) for tp in ours}, self.clock().timestamp())
        paused = consumer.paused()
        consumer.pause(*(ahead - paused))
        consumer.resume(*((ours - ahead) & paused))

    async def _take(self, held: Held[S], records: Sequence[ConsumerRecord]) -> None:
        async with self._lock:
            if not records or self._held.get(held.tp) is not held:
                return
            if records[0].offset < held.next_offset:
                raise from_another_log(self.stage, held.tp, offset=held.next_offset, found=records[0].offset)
            for record in records:
                check_format(record.topic, record.partition, record.offset, record.headers)
            started = time.monotonic()
            sends = self.process(held.state, records)
            if not await self._sent(held, sends):
                return
            held.next_offset = records[-1].offset + 1
            held.dirty = True
            self._step.took(held.tp, records[-1].timestamp / 1000, self.clock().timestamp())
            self._progress_at = time.monotonic()
            self.metrics.records.labels(self.stage, held.tp.topic).inc(len(records))
            self.metrics.batch.labels(self.stage).observe(len(records))
            self.metrics.stage_seconds.labels(self.stage).observe(self._progress_at - started)
            self._report_lag(held)

    async def _idle(self) -> None:
        async with self._lock:
            for held in list(self._held.values()):
                sends = self.idle(held.state, self.clock())
                held.dirty = held.dirty or bool(sends)
                await self._sent(held, sends)
                self._report_lag(held)

    async def _sent(self, held: Held[S], sends: Sequence[Send]) -> bool:
        """Send until confirmed, however long the broker is away. False: given up, and the partition with it."""
        try:
            await self._send(sends)
        except AbandonedError:
            await self._drop(held.tp)  # its state is ahead of its outputs; the checkpoint is the truth
            return False
        return True

    async def _send(self, sends: Sequence[Send]) -> None:
        for wait in self._waits():
            try:
                await self._outgoing.deliver(sends)
            except KafkaError as error:
                log.warning("sends are not confirmed", stage=self.stage, error=type(error).__name__)
            else:
                return
            if self.should_stop or self._revoking:
                raise AbandonedError
            await self._poll_paused(wait)

    async def _poll_paused(self, seconds: float) -> None:
        """Wait, yet stay in the group: a consumer that doesn't poll is thrown out."""
        if self._consumer is None:
            return
        paused = tuple(self._held)
        if not paused:
            raise AbandonedError
        try:
            self._consumer.pause(*paused)
            await self._consumer.getmany(*paused, timeout_ms=int(seconds * 1000))
            self._consumer.resume(*paused)
        except IllegalStateError:
            raise AbandonedError from None

    def _report_lag(self, held: Held[S]) -> None:
        self.metrics.lag.labels(self.stage, held.tp.topic, str(held.tp.partition)).set(self._lag(held))
