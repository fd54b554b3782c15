"""A state for each partition that is ours: opened when it comes, saved with its offset, given up when it goes."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from streams.io.checkpoints import CheckpointError, CheckpointStore, State
from streams.stages.member import MemberService
from streams.stages.partitions import AbandonedError, Held, Progress, start_offset
from streams.stages.sending import Outgoing

S = TypeVar("S")

SHARE_OF_TIME = 0.1  # what writing checkpoints may take at most, however often they are due
AT_ONCE = -float("inf")

log = structlog.get_logger(__name__)


class KeepingService(MemberService, Generic[S]):
    """Give `open` and `snapshot`; `saved` and `leave` if needed. `S` is mutable and belongs to this service alone.

    One lock is held while a state is touched, and never while polling: a rebalance waits for the batch in hand, no
    longer.
    """

    abstract: ClassVar[bool] = True

    def __init__(
        self, *args: Any, make_producer: Callable[[], AIOKafkaProducer], checkpoints: CheckpointStore, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._checkpoints = checkpoints
        self._outgoing = Outgoing(make_producer, in_flight=self.settings.stages.sends_in_flight)
        self._held: dict[TopicPartition, Held[S]] = {}
        self._lock = asyncio.Lock()
        self._revoking = False
        self._checkpoint_due = self._not_before = time.monotonic()

    # What a stage gives.

    @abstractmethod
    def open(self, tp: TopicPartition, checkpoint: State | None) -> S:
        """The state to go on with: what `snapshot` wrote, or a new one. Raises ValueError when it can't be used."""

    @abstractmethod
    def snapshot(self, state: S) -> State:
        """The state as JSON; it is written by another thread, so nothing in it may change afterwards."""

    def saved(self, state: S) -> None:
        """Called after every try to save (also a failed one) whatever the stage did before."""

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
        """Ask for a checkpoint right after the batch in hand, however long the last one took; for the hooks above."""
        self._checkpoint_due = self._not_before = AT_ONCE

    def touch(self, state: S) -> None:
        """Say that a state changed outside the loop, so that the next checkpoint includes it."""
        for held in self._held.values():
            if held.state is state:
                held.dirty = True

    # Saving.

    async def _last_checkpoint(self) -> None:
        async with self._lock:
            for held in self._held.values():
                await self.leave(held.state)
            await self._save(list(self._held.values()))

    async def _save(self, helds: Iterable[Held[S]]) -> None:
        started = time.monotonic()
        self._checkpoint_due = started + self.settings.stages.checkpoint_seconds
        done = {held.tp: held.next_offset for held in helds if held.dirty and await self._write(held)}
        # 100,000 series take six seconds of CPU to write: they must not be written all the time.
        self._not_before = started + (time.monotonic() - started) / SHARE_OF_TIME
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
            for tp in done.keys() & self._held.keys():
                self._held[tp].dirty = True  # or a topic that falls silent would look behind until its next record
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
        if self._consumer is None:
            raise AbandonedError
        offsets = await self._offsets(self._consumer, sorted(tps), self._rest)
        for tp, (first, end, committed) in offsets.items():
            checkpoint = await asyncio.to_thread(self._checkpoints.load, self.stage, tp.topic, tp.partition)
            start = start_offset(self.stage, tp, checkpoint, first=first, end=end, committed=committed or 0)
            if self._consumer is None:  # closed meanwhile: nobody would ever give this state up
                raise AbandonedError
            # No await from here on: what was fetched before the seek is never taken for this state's.
            state = self.open(tp, checkpoint.state if checkpoint else None)
            self._held[tp] = Held(tp, state, next_offset=start, end_offset=end)
            self._consumer.seek(tp, start)
        self._progress_at = time.monotonic()
        if self._checkpoint_due != AT_ONCE:  # what was read just now is there; to write it again would hold up the rest
            self._checkpoint_due = self._progress_at + self.settings.stages.checkpoint_seconds

    async def _rest(self, seconds: float) -> None:
        await self.sleep(seconds)
        if self._consumer is None:
            raise AbandonedError

    async def _let_go(self) -> None:
        self._consumer = None  # nothing is taken on from here on
        for tp in list(self._held):
            await self._drop(tp)
        await self._outgoing.stop()

    async def _drop(self, tp: TopicPartition) -> None:
        held = self._held.pop(tp, None)
        if held is not None:
            await self.leave(held.state)

    def _lag(self, held: Held[S]) -> int:
        return max(0, max(self._highwater(held.tp) or 0, held.end_offset) - held.next_offset)
