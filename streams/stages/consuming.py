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

One lock is held while a state is touched, and never while polling: a rebalance waits for the batch in hand, no longer.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError
from mode import Service

from streams.io.checkpoints import Checkpoint, CheckpointError, CheckpointStore, State
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.partitions import AbandonedError, Held, Listener, Progress, backoff, from_another_log, start_offset
from streams.stages.sending import Outgoing, Send

S = TypeVar("S")
IDLE_SECONDS = 0.5
CLOSE_SECONDS = 10.0

log = structlog.get_logger(__name__)


class ConsumingService(Service, Generic[S]):
    """A stage that keeps one state per partition. Give `open`, `process` and `snapshot`; `idle` and `saved` if needed.

    All of them are called on the event loop, one at a time per service, and may not block; decode errors are theirs to
    handle, for what they raise crashes the service. `S` is mutable and belongs to this service alone.
    The factories are called in the running loop, again after a failure.
    """

    abstract: ClassVar[bool] = True
    stage: ClassVar[str]

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        topics: Sequence[str],
        make_consumer: Callable[[], AIOKafkaConsumer],
        make_producer: Callable[[], AIOKafkaProducer],
        checkpoints: CheckpointStore,
        clock: Callable[[], datetime],
        **service: Any,
    ) -> None:
        super().__init__(**service)
        self.settings = settings
        self.metrics = metrics
        self.clock = clock
        self._topics = list(topics)
        self._make_consumer = make_consumer
        self._checkpoints = checkpoints
        self._outgoing = Outgoing(make_producer, in_flight=settings.stages.sends_in_flight)
        self._consumer: AIOKafkaConsumer | None = None
        self._held: dict[TopicPartition, Held[S]] = {}
        self._lock = asyncio.Lock()
        self._revoking = False
        self._ended = asyncio.Event()
        self._ended.set()
        self._progress_at = self._idle_at = self._checkpoint_at = time.monotonic()

    # What a stage gives.

    @abstractmethod
    def open(self, tp: TopicPartition, checkpoint: State | None) -> S:
        """The state to go on with: what `snapshot` wrote, or a new one. Raises ValueError when it can't be used."""

    @abstractmethod
    def process(self, state: S, records: Sequence[ConsumerRecord]) -> Sequence[Send]:
        """Take records of one partition, in offset order, none twice. The same records must give the same sends."""

    @abstractmethod
    def snapshot(self, state: S) -> State:
        """The state as JSON; it is written by another thread, so nothing in it may change afterwards."""

    def idle(self, state: S, now: datetime) -> Sequence[Send]:  # noqa: ARG002  a hook
        """Called about every 0.5 s, busy or not, with the clock's time. What it sends may depend on that time."""
        return ()

    def saved(self, state: S) -> None:
        """Called after every try to save (also a failed one) whatever `process` and `idle` did before."""

    async def leave(self, state: S) -> None:
        """Called when a partition is given up, before its last checkpoint where there is one. Bounded in time."""

    # What others call.

    def progress(self) -> Progress:
        """How far behind, and when it last went on. Nothing assigned counts as nothing to do."""
        lag = sum(self._lag(held) for held in self._held.values())
        if not lag:
            self._progress_at = time.monotonic()  # or the first record after a quiet time would look long overdue
        return Progress(lag, self._progress_at)

    def states(self) -> list[S]:
        """The states of the partitions that are ours now."""
        return [held.state for held in self._held.values()]

    async def checkpoint(self) -> None:
        """Save what changed and commit, now. Waits for the batch in hand. Must not be called from the hooks above."""
        async with self._lock:
            await self._save(list(self._held.values()))

    def checkpoint_soon(self) -> None:
        """Ask for a checkpoint right after the batch in hand; for the hooks above."""
        self._checkpoint_at = -float("inf")

    def touch(self, state: S) -> None:
        """Say that a state changed outside `process` and `idle`, so that the next checkpoint includes it."""
        for held in self._held.values():
            if held.state is state:
                held.dirty = True

    # The service.

    async def on_start(self) -> None:
        self._ended.clear()
        self.metrics.up.labels(self.stage).set(1)

    async def on_stop(self) -> None:
        """Let the loop end by itself: a cancelled getmany leaves aiokafka's poll watchdog dead."""
        try:
            await asyncio.wait_for(self._ended.wait(), CLOSE_SECONDS + 2 * IDLE_SECONDS)
        except TimeoutError:
            log.warning("stage did not end in time", stage=self.stage)

    @Service.task
    async def _run(self) -> None:
        try:
            consumer = await self._connect()
            if consumer is not None:
                await self._consume(consumer)
                await asyncio.wait_for(self._last_checkpoint(), CLOSE_SECONDS)
        except TimeoutError:
            log.warning("last checkpoint took too long; the records since the one before will be read again")
        finally:
            self.metrics.up.labels(self.stage).set(0)
            await self._close()
            self._ended.set()

    async def _last_checkpoint(self) -> None:
        async with self._lock:
            for held in self._held.values():
                await self.leave(held.state)
            await self._save(list(self._held.values()))

    async def _connect(self) -> AIOKafkaConsumer | None:
        """A started consumer; waits for the broker as long as it takes, None when told to stop."""
        for wait in backoff():
            if self.should_stop:
                return None
            consumer = self._make_consumer()
            try:
                await consumer.start()
            except KafkaError as error:
                await consumer.stop()
                log.warning("broker is away", stage=self.stage, error=type(error).__name__)
                await self.sleep(wait)
            else:
                self._consumer = consumer
                consumer.subscribe(self._topics, listener=Listener(self))
                return consumer
        return None

    async def _consume(self, consumer: AIOKafkaConsumer) -> None:
        most = self.settings.stages.max_records_per_poll
        while not self.should_stop:
            fetched = await consumer.getmany(timeout_ms=int(IDLE_SECONDS * 1000), max_records=most)
            # Bound to what is held at this moment: after a rebalance these records will be read again.
            work = [(self._held[tp], records) for tp, records in fetched.items() if tp in self._held]
            for held, records in work:
                await self._take(held, records)
            if time.monotonic() - self._idle_at >= IDLE_SECONDS:
                self._idle_at = time.monotonic()
                await self._idle()
            if time.monotonic() - self._checkpoint_at >= self.settings.stages.checkpoint_seconds:
                await self.checkpoint()

    async def _take(self, held: Held[S], records: Sequence[ConsumerRecord]) -> None:
        async with self._lock:
            if not records or self._held.get(held.tp) is not held:
                return
            if records[0].offset < held.next_offset:
                raise from_another_log(self.stage, held.tp, offset=held.next_offset, found=records[0].offset)
            started = time.monotonic()
            sends = self.process(held.state, records)
            if not await self._sent(held, sends):
                return
            held.next_offset = records[-1].offset + 1
            held.dirty = True
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
        for wait in backoff():
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

    async def _save(self, helds: Iterable[Held[S]]) -> None:
        self._checkpoint_at = time.monotonic()
        done = {held.tp: held.next_offset for held in helds if held.dirty and await self._write(held)}
        if not done or self._consumer is None:
            return
        try:
            await asyncio.wait_for(self._consumer.commit(done), self.settings.kafka.session_timeout_seconds)
        except (CommitFailedError, IllegalStateError):
            # The group went on without us. The new owner has the checkpoint; a rebalance is on its way to us.
            for tp in done:
                await self._drop(tp)
            log.warning("partitions were lost", stage=self.stage, partitions=len(done))
        except (KafkaError, TimeoutError) as error:
            log.warning("offsets are not committed", stage=self.stage, error=type(error).__name__)

    async def _write(self, held: Held[S]) -> bool:
        body, at = self.snapshot(held.state), held.tp
        held.dirty = False  # before the await: a touch meanwhile speaks of what is not in `body`
        try:
            await asyncio.to_thread(
                self._checkpoints.save, self.stage, at.topic, at.partition, offset=held.next_offset, state=body
            )
        except CheckpointError as error:
            held.dirty = True
            log.warning("checkpoint is not written", stage=self.stage, error=str(error))
            return False
        else:
            return True
        finally:
            self.saved(held.state)

    # Rebalance.

    async def revoked(self, tps: Iterable[TopicPartition]) -> None:
        self._revoking = True
        try:
            async with self._lock:
                helds = [self._held[tp] for tp in tps if tp in self._held]
                for held in helds:
                    await self.leave(held.state)
                await self._save(helds)
                for tp in tps:
                    self._held.pop(tp, None)
                    self.metrics.lag.labels(self.stage, tp.topic, str(tp.partition)).set(0)
        finally:
            self._revoking = False

    async def assigned(self, tps: Iterable[TopicPartition]) -> None:
        for tp in sorted(tps):
            checkpoint = await asyncio.to_thread(self._checkpoints.load, self.stage, tp.topic, tp.partition)
            start, end = await self._range(tp, checkpoint)
            if self._consumer is None:  # closed meanwhile: nobody would ever give this state up
                raise AbandonedError
            # No await from here on: what was fetched before the seek is never taken for this state's.
            state = self.open(tp, checkpoint.state if checkpoint else None)
            self._held[tp] = Held(tp, state, next_offset=start, end_offset=end)
            self._consumer.seek(tp, start)
        self._progress_at = time.monotonic()

    async def _drop(self, tp: TopicPartition) -> None:
        held = self._held.pop(tp, None)
        if held is not None:
            await self.leave(held.state)

    async def _range(self, tp: TopicPartition, checkpoint: Checkpoint | None) -> tuple[int, int]:
        """Where to start reading, and where the log ends now."""
        for wait in backoff():
            consumer = self._consumer
            if consumer is None:
                break
            try:
                first = (await consumer.beginning_offsets([tp]))[tp]
                end = (await consumer.end_offsets([tp]))[tp]
                committed = await consumer.committed(tp)
            except (KafkaError, ConsumerStoppedError) as error:
                log.warning("offsets are not known yet", stage=self.stage, error=type(error).__name__)
                await self.sleep(wait)
            else:
                return start_offset(self.stage, tp, checkpoint, first=first, end=end, committed=committed or 0), end
        raise AbandonedError

    # Small things.

    def _lag(self, held: Held[S]) -> int:
        high = self._consumer.highwater(held.tp) if self._consumer and held.tp in self._consumer.assignment() else None
        return max(0, max(high or 0, held.end_offset) - held.next_offset)

    def _report_lag(self, held: Held[S]) -> None:
        self.metrics.lag.labels(self.stage, held.tp.topic, str(held.tp.partition)).set(self._lag(held))

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        for tp in list(self._held):
            await self._drop(tp)
        await self._outgoing.stop()
        if consumer is not None:
            try:
                await asyncio.wait_for(consumer.stop(), CLOSE_SECONDS)
            except (KafkaError, TimeoutError) as error:
                log.warning("consumer did not stop cleanly", stage=self.stage, error=type(error).__name__)
