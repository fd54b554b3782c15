"""A stage as a member of its consumer group: it joins, knows where partitions begin and end, and leaves in order."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from mode import Service

from streams.io.kafka import member_id
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.partitions import Listener, backoff

CLOSE_SECONDS = 10.0  # how long the end waits for what is in hand; below any session timeout
MARGIN_SECONDS = 2.0  # and for the poll that is under way

log = structlog.get_logger(__name__)


class Offsets(NamedTuple):
    """Where a partition's log begins and ends now, and what its group has committed."""

    first: int
    end: int
    committed: int | None


class MemberService(Service):
    """Give `_consume`, `_let_go`, `revoked` and `assigned`. One consumer, made in the running loop by `make_consumer`.

    `clock` gives aware UTC; `waits` a new backoff each time it is called.
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
        clock: Callable[[], datetime],
        waits: Callable[[], Iterator[float]] = backoff,
        **service: Any,
    ) -> None:
        super().__init__(**service)
        self.settings = settings
        self.metrics = metrics
        self.clock = clock
        self._topics = list(topics)
        self._make_consumer = make_consumer
        self._waits = waits
        self._consumer: AIOKafkaConsumer | None = None
        self._ended = asyncio.Event()
        self._ended.set()
        self._progress_at = time.monotonic()

    @abstractmethod
    async def _consume(self, consumer: AIOKafkaConsumer) -> None:
        """Poll and work until `should_stop`."""

    @abstractmethod
    async def _let_go(self) -> None:
        """Give up what is held, also after a failure. The consumer is stopped after it."""

    @abstractmethod
    async def revoked(self, tps: Iterable[TopicPartition]) -> None:
        """aiokafka calls this in a task of its own, beside the loop."""

    @abstractmethod
    async def assigned(self, tps: Iterable[TopicPartition]) -> None:
        """Likewise."""

    def member_id(self) -> str:
        """This stage's id in its group, as the broker gave it; empty while it has none."""
        return "" if self._consumer is None else member_id(self._consumer)

    async def on_start(self) -> None:
        self._ended.clear()
        self.metrics.up.labels(self.stage).set(1)

    async def on_stop(self) -> None:
        """Let the loop end by itself: a cancelled getmany leaves aiokafka's poll watchdog dead."""
        try:
            await asyncio.wait_for(self._ended.wait(), CLOSE_SECONDS + MARGIN_SECONDS)
        except TimeoutError:
            log.warning("stage did not end in time", stage=self.stage)

    @Service.task
    async def _run(self) -> None:
        consumer = None
        try:
            consumer = await self._connect()
            if consumer is not None:
                await self._consume(consumer)
        finally:
            self.metrics.up.labels(self.stage).set(0)
            await self._let_go()
            self._consumer = None
            if consumer is not None:
                await self._stop(consumer)
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
                log.warning("broker is away", stage=self.stage, error=type(error).__name__)
                await self.sleep(wait)
            else:
                self._consumer = consumer
                consumer.subscribe(self._topics, listener=Listener(self))
                return consumer
        return None

    async def _stop(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await asyncio.wait_for(consumer.stop(), CLOSE_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.warning("consumer did not stop cleanly", stage=self.stage, error=type(error).__name__)

    async def _offsets(
        self,
        consumer: AIOKafkaConsumer,
        tps: Collection[TopicPartition],
        rest: Callable[[float], Awaitable[None]],
    ) -> dict[TopicPartition, Offsets]:
        """Asks until the broker answers. `rest` waits between, and raises to end it; IllegalStateError ends it too."""
        waits = self._waits()
        while True:
            try:
                firsts = await consumer.beginning_offsets(tps)
                ends = await consumer.end_offsets(tps)
                return {tp: Offsets(firsts[tp], ends[tp], await consumer.committed(tp)) for tp in tps}
            except IllegalStateError:
                raise
            except (KafkaError, ConsumerStoppedError) as error:
                log.warning("offsets are not known yet", stage=self.stage, error=type(error).__name__)
            await rest(next(waits))

    def _highwater(self, tp: TopicPartition) -> int | None:
        """Where the log ends, as the newest fetch tells; ListOffsets of the embedded broker tells less."""
        consumer = self._consumer
        return consumer.highwater(tp) if consumer is not None and tp in consumer.assignment() else None
