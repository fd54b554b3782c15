"""What a stage sends to Kafka: every output is confirmed by the broker before anything is said to be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas.wire import HEADERS

STOP_SECONDS = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Send:
    """One record to send. `partition` None leaves the choice to the key.

    `fence` holds it back until everything before it is confirmed: what says "all of it stands before me" needs it.
    """

    topic: str
    key: bytes | None
    value: bytes
    partition: int | None = None
    fence: bool = False
    headers: Sequence[tuple[str, bytes]] = tuple(HEADERS)


class Outgoing:
    """A producer that is replaced after a failure: an idempotent one may not find back from a lost batch."""

    def __init__(self, make_producer: Callable[[], AIOKafkaProducer], *, in_flight: int) -> None:
        self._make = make_producer
        self._in_flight = in_flight
        self._producer: AIOKafkaProducer | None = None

    async def deliver(self, sends: Sequence[Send]) -> None:
        """Send and wait until all are confirmed. Raises KafkaError: some may have been written, and all are due again.

        Raises ValueError for a record that is too large: no retry will mend it.
        """
        if not sends:
            return
        try:
            await self._deliver(await self._ready(), sends)
        except MessageSizeTooLargeError:
            raise ValueError(f"{sends[0].topic}: a record is larger than the producer or the topic takes") from None
        except KafkaError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the producer, if there is one. Safe to call again; the next `deliver` makes a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), STOP_SECONDS)
            except (KafkaError, TimeoutError) as error:
                log.warning("producer did not stop cleanly", error=type(error).__name__)

    async def _ready(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = self._make()
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _deliver(self, producer: AIOKafkaProducer, sends: Sequence[Send]) -> None:
        waiting: list[asyncio.Future[Any]] = []
        for send in sends:
            if waiting and (send.fence or len(waiting) >= self._in_flight):
                await _confirmed(waiting)
                waiting = []
            sent = await producer.send(
                send.topic, value=send.value, key=send.key, partition=send.partition, headers=list(send.headers)
            )
            sent.add_done_callback(_heard)
            waiting.append(sent)
        await _confirmed(waiting)


async def _confirmed(waiting: list[asyncio.Future[Any]]) -> None:
    """Wait for all, then raise the first failure. An idempotent producer retries for ever, so this can take long."""
    if waiting:
        await asyncio.wait(waiting)
    for sent in waiting:
        sent.result()


def _heard(sent: asyncio.Future[Any]) -> None:
    """Take note of an outcome that nobody may wait for any more, after a failure or a cancellation."""
    if not sent.cancelled():
        sent.exception()
