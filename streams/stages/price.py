"""`price`: Faust agents that turn source records into charges.

One record in, one record out, on the charges partition that belongs to the source partition. Order of work, and what a
crash after each step leaves:

1. read: nothing has happened; the record is read again.
2. send the charges (and dead letters), without waiting: as 1, and the charges may be there twice. Downstream knows a
   repeated record by the position that it names.
3. both deliveries are confirmed by the broker: as 2.
4. ack, strictly in the order of reading: Faust commits some time later; until then as 2.

Between 1 and 2 stands the valve, which sends nothing while most of the newest events are dead letters (`valve.py`).
Nothing may escape an agent's loop: Faust 0.15 acks the event when its agent raises, which loses it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import faust
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from mode import Service

from schemas.records import METER_BY_TYPE, Charge, ChargeRecord, Meter, Position, PriceStatus
from schemas.topics import CHARGES, DEAD_LETTERS, USAGE_TOPICS, Topic
from schemas.wire import HEADERS
from streams.core.charge import Charged, Charger, refused
from streams.core.decode import EPOCH, RawRecord
from streams.core.packed import pack
from streams.core.tag.owner import UNALLOCATED
from streams.metrics import Metrics
from streams.stages.valve import Send, Valve

log = structlog.get_logger()
RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)


@dataclass(slots=True)
class _Send:
    """A record on its way, kept until the broker has confirmed it."""

    topic: str
    key: bytes | None
    value: bytes
    partition: int | None
    delivery: asyncio.Future[Any] | None = None


@dataclass(slots=True)
class _InFlight:
    """A source record whose outputs are on their way."""

    event: Any
    sends: list[_Send] = field(default_factory=list)


class Outlet(Service):
    """Sends outputs and acks their source in order. At most `limit` records are in flight, then reading waits."""

    def __init__(self, producer: Callable[[], AIOKafkaProducer], limit: int, name: Callable[[Topic], str]) -> None:
        super().__init__()
        self._make = producer
        self._limit = limit
        self._name = name
        self._queues: dict[str, asyncio.Queue[_InFlight]] = {}
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 1
        self.acked: dict[tuple[str, int], int] = {}  # the last offset acked, by topic on the cluster and partition
        self.progress_at = time.monotonic()

    async def on_start(self) -> None:
        self._producer = self._make()
        await self._producer.start()
        # The count must not change under a running deployment, or a source partition would change its place.
        self._partitions = len(await self._producer.partitions_for(self._name(CHARGES)))

    async def on_stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def put(self, topic: str, event: Any, charged: Charged) -> None:
        """Send what came of a source record and queue its ack. Waits while too many are in flight."""
        queue = self._queues.get(topic)
        if queue is None:
            queue = self._queues[topic] = asyncio.Queue(self._limit)
            self.add_future(self._ack_in_order(queue))
        item = _InFlight(event)
        try:
            value = pack(charged.record)
        except (ValueError, TypeError) as error:  # a charge that can't be written; what escaped here would be lost
            charged = refused(event.value, charged.record.position, error, arrived(event.message.timestamp))
            value = pack(charged.record)
        record = charged.record
        item.sends.append(_Send(self._name(CHARGES), None, value, record.partition % self._partitions))
        for letter in charged.dead_letters:
            key = letter.dead_letter_id.encode()
            item.sends.append(_Send(self._name(DEAD_LETTERS), key, letter.model_dump_json().encode(), None))
        for send in item.sends:
            send.delivery = await self._start(send)
        await queue.put(item)

    async def say(self, record: ChargeRecord) -> None:
        """Send a record that belongs to no event. It may be lost: the next one says as much."""
        value = pack(record)
        delivery = await self._start(_Send(self._name(CHARGES), None, value, record.partition % self._partitions))
        if delivery is not None:
            await asyncio.gather(delivery, return_exceptions=True)

    async def _start(self, send: _Send) -> asyncio.Future[Any] | None:
        assert self._producer is not None  # noqa: S101  started before any agent reads
        try:
            delivery: asyncio.Future[Any] = await self._producer.send(
                send.topic, send.value, key=send.key, partition=send.partition, headers=HEADERS
            )
        except KafkaError as error:
            log.warning("send failed, will be repeated", topic=send.topic, error=type(error).__name__)
            return None
        return delivery

    async def _ack_in_order(self, queue: asyncio.Queue[_InFlight]) -> None:
        while not self.should_stop:
            item = await queue.get()
            for send in item.sends:
                await self._confirmed(send)
            item.event.ack()
            message = item.event.message
            self.acked[message.topic, message.partition] = message.offset
            self.progress_at = time.monotonic()

    async def _confirmed(self, send: _Send) -> None:
        """Return when the broker has the record. While it is away this repeats for ever: nothing is given up."""
        attempt = 0
        while True:
            if send.delivery is not None:
                try:
                    await send.delivery
                except KafkaError as error:
                    log.warning("delivery failed, will be repeated", topic=send.topic, error=type(error).__name__)
                else:
                    return
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            attempt += 1
            send.delivery = await self._start(send)


def add_price_agents(
    app: faust.App,
    charger: Charger,
    valve: Valve,
    metrics: Metrics,
    name: Callable[[Topic], str],
) -> None:
    """Give the app one agent per usage topic."""
    for topic in USAGE_TOPICS:
        channel = app.topic(name(topic), key_serializer="raw", value_serializer="raw")
        app.agent(channel, name=f"price.{topic.name}")(_agent(topic.name, charger, valve, metrics))


def counted(outlet: Outlet, metrics: Metrics) -> Send:
    """The outlet's `put`, with what goes through it in the metrics."""

    async def send(topic: str, event: Any, charged: Charged) -> None:
        await outlet.put(topic, event, charged)
        _count(metrics, topic, charged)

    return send


def _agent(
    topic: str, charger: Charger, valve: Valve, metrics: Metrics
) -> Callable[[faust.StreamT[Any]], Awaitable[None]]:
    async def price(stream: faust.StreamT[Any]) -> None:
        async for event in cast("faust.Stream[bytes]", stream).noack().events():
            message = event.message
            raw = RawRecord(
                value=event.value,
                headers=tuple(message.headers or ()),
                position=Position(topic, message.partition, message.offset),
                received_at=arrived(message.timestamp),
            )
            with metrics.stage_seconds.labels("price").time():
                charged = charger.charge(raw)
            await valve.put(topic, event, charged)
            await asyncio.sleep(0)  # a full buffer would keep the loop, and the other stages, waiting

    return price


def arrived(timestamp: float | None) -> datetime:
    """A record's time stamp, in seconds. A producer may set any: what can't be one is 1970, and its events too late."""
    try:
        at = datetime.fromtimestamp(cast("float", timestamp), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return EPOCH
    return at if 2000 <= at.year < 2200 else EPOCH


def assigned(app: faust.App) -> list[TP]:
    """The partitions that Faust reads; none while its consumer starts."""
    try:
        return list(app.consumer.assignment())
    except ConsumerNotStarted:
        return []


def log_end(consumer: Any, tp: TP) -> int | None:
    """Where a partition's log ends, as the newest fetch tells; None where that isn't known."""
    try:
        end: int | None = consumer.highwater(tp)
    except AssertionError:  # so aiokafka says that a rebalance has taken it away; Faust hears of that later
        return None
    return end


def progress(app: faust.App, outlet: Outlet, metrics: Metrics) -> tuple[int, float]:
    """Records behind, and when (time.monotonic) one was last done or there was none to do."""
    behind = 0
    for tp in assigned(app):
        end = log_end(app.consumer, tp)
        done = outlet.acked.get((tp.topic, tp.partition))
        lag = max(0, end - done - 1) if end is not None and done is not None else 0
        metrics.lag.labels("price", tp.topic, str(tp.partition)).set(lag)
        behind += lag
    if not behind:
        outlet.progress_at = time.monotonic()
    return behind, outlet.progress_at


def _count(metrics: Metrics, topic: str, charged: Charged) -> None:
    metrics.records.labels("price", topic).inc()
    metrics.events.labels("charged").inc(charged.events)
    metrics.events.labels("dead_lettered").inc(len(charged.dead_letters))
    for letter in charged.dead_letters:
        metrics.dead_letters.labels(letter.reason.value).inc()
    for charge in charged.record.charges:
        _count_money(metrics, METER_BY_TYPE[charge.type], charge)


def _count_money(metrics: Metrics, meter: Meter, charge: Charge) -> None:
    usd = charge.effective_cost_usd
    if charge.price_status is PriceStatus.UNPRICED:
        metrics.dollars.labels(meter, "unpriced").inc(float(charge.estimated_cost or 0))
    elif usd is None:
        metrics.unconverted.labels(meter).inc()
    elif usd >= 0:  # a counter can't go down
        metrics.dollars.labels(meter, charge.price_status.value).inc(float(usd))
        if charge.allocation == UNALLOCATED:
            metrics.unallocated.labels(meter).inc(float(usd))
        else:
            metrics.allocated.labels(meter, charge.allocation).inc(float(usd))
