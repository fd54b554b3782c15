"""What the demo puts around the service: a receiver for its alerts, a producer, and an auditor of its own."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from mode import Service
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.topics import TOPIC_BY_EVENT_TYPE, Topic
from streams.core.columns.packed import ChargeBatch, unpack
from streams.demo.workload import Event, Workload, encode
from streams.io.http import Loopback

EVENTS_PER_RECORD = 200


@dataclass(slots=True)
class Delivery:
    """A message as a receiver got it."""

    at: float  # time.time
    title: str
    body: str


class Receiver(Service):
    """A webhook on loopback that keeps what it is sent: what a chat channel would have shown."""

    def __init__(self) -> None:
        super().__init__()
        self.deliveries: list[Delivery] = []
        app = Starlette(routes=[Route("/alerts", self._take, methods=["POST"])])
        self._server = Loopback(app, "127.0.0.1", 0)

    @property
    def url(self) -> str:
        """The receiver as an apprise target."""
        host, port = self._server.address
        return f"json://{host}:{port}/alerts"

    async def on_start(self) -> None:
        await self._server.start()

    async def on_stop(self) -> None:
        await self._server.stop()

    async def _take(self, request: Request) -> Response:
        message = orjson.loads(await request.body())
        self.deliveries.append(Delivery(time.time(), message.get("title", ""), message.get("message", "")))
        return Response(status_code=200)


@dataclass(slots=True)
class Sending:
    """What the producer has put on Kafka so far."""

    events: int = 0
    recent: deque[tuple[float, int]] = field(default_factory=deque)

    def per_second(self, now: float, within: float = 5.0) -> float:
        """Events a second over the last few seconds."""
        while self.recent and self.recent[0][0] < now - within:
            self.recent.popleft()
        return sum(count for _, count in self.recent) / within


class Producer:
    """Sends the workload: a history first, as fast as it goes, then each second as it comes."""

    def __init__(self, workload: Workload, producer: AIOKafkaProducer, name: Callable[[Topic], str]) -> None:
        self._workload = workload
        self._producer = producer
        self._name = name
        self.sending = Sending()

    async def history(self, until: datetime, seconds: int, stop: asyncio.Event) -> None:
        """Send what would have happened in the `seconds` before `until`, or as much of it until `stop` is set."""
        begin = until - timedelta(seconds=seconds)
        for second in range(seconds):
            if stop.is_set():
                return
            await self._send(self._workload.second(begin + timedelta(seconds=second), loop=False))

    async def second(self, begin: datetime, *, loop: bool) -> None:
        """Send one second of the workload."""
        await self._send(self._workload.second(begin, loop=loop))

    async def _send(self, events: Iterable[Event]) -> None:
        groups: dict[str, list[Event]] = {}
        for event in events:
            groups.setdefault(self._name(TOPIC_BY_EVENT_TYPE[event["type"]]), []).append(event)
        futures = []
        for topic, group in groups.items():
            for at in range(0, len(group), EVENTS_PER_RECORD):
                part = group[at : at + EVENTS_PER_RECORD]
                futures.append(await self._producer.send(topic, encode(part)))
                self.sending.events += len(part)
                self.sending.recent.append((time.time(), len(part)))
        await asyncio.gather(*futures)


class Auditor(Service):
    """Reads `spend.charges` beside the service and adds up what was priced, each event once, by other code."""

    def __init__(self, make_consumer: Callable[[], AIOKafkaConsumer], topic: str) -> None:
        super().__init__()
        self._make = make_consumer
        self._topic = topic
        self._seen: set[tuple[str, str]] = set()
        self.usd = Decimal(0)
        self.charges = 0
        self.distinct = 0

    @Service.task
    async def _read(self) -> None:
        consumer = self._make()
        await consumer.start()
        try:
            consumer.subscribe([self._topic])
            while not self.should_stop:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self._add(unpack(record.value))
        finally:
            await consumer.stop()

    def _add(self, batch: ChargeBatch) -> None:
        for charge in batch.block:
            self.charges += 1
            identity = (charge.source, charge.id)
            if identity not in self._seen:
                self._seen.add(identity)
                self.distinct += 1
                self.usd += charge.effective_cost_usd or 0


def now_second() -> datetime:
    """The running second's beginning."""
    return datetime.now(UTC).replace(microsecond=0)
