"""`price`: Faust agents that turn usage records into charges.

What waits of a source partition goes out together: in one record on each charges partition that the events' identities
belong to, so that copies of an event meet there. Order of work, and what a crash after each step leaves:

1. read: nothing has happened; the records are read again.
2. send their charges (and dead letters), without waiting: as 1, and the charges may be there twice, and be put together
   otherwise. Downstream knows a repeated record by its position, which each charge names.
3. both deliveries are confirmed by the broker: as 2.
4. ack, strictly in the order of reading: Faust commits some time later; until then as 2.

Between 1 and 2 stands the valve, which sends nothing while most of the newest events are dead letters (`valve.py`).
Nothing may escape an agent's loop: Faust 0.15 acks the event when its agent raises, which loses it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import faust
import numpy as np
import pyarrow as pa
import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from mode import Service

from schemas.records import METER_BY_TYPE, DeadLetter, Position, PriceStatus, Reason
from schemas.topics import CHARGES, DEAD_LETTERS, USAGE_TOPICS, Topic
from schemas.wire import DEALT_HEADERS, HEADERS
from streams.core.columns.block import Block, Whole
from streams.core.columns.dealing import Dealer
from streams.core.columns.grouping import grouped
from streams.core.columns.packed import ChargeBatch, pack
from streams.core.tag.owner import UNALLOCATED
from streams.core.usage.charge import Charged, Charger, refused
from streams.core.usage.decode import EPOCH, RawRecord
from streams.metrics import Metrics
from streams.stages.portions import PORTION_RECORDS, portions
from streams.stages.valve import Send, Valve

log = structlog.get_logger()
RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
GATHER_SECONDS = 0.02
# Of a partition, charged together, and fetched together for that: a batch costs something whatever its size. More would
# let one partition of a backlog run ahead of the others, and fill the memory.
BATCH_BYTES = 2 << 20
MOST_WAITING = 8  # batches of a topic that wait to be charged


@dataclass(slots=True)
class _Send:
    """A record on its way, kept until the broker has confirmed it."""

    topic: str
    key: bytes | None
    value: bytes
    partition: int | None
    headers: list[tuple[str, bytes]]
    delivery: asyncio.Future[Any] | None = None


@dataclass(slots=True)
class Batch:
    """Records of one partition, in their order, and the events of Faust that end with them: those are to be acked."""

    records: list[RawRecord]
    events: list[Any]

    @property
    def size(self) -> int:
        """The bytes of the records."""
        return sum(len(record.value or b"") for record in self.records)


@dataclass(slots=True)
class _InFlight:
    """What waits for outputs that are on their way: the last of the records, and the events to ack after it."""

    last: Position
    events: Sequence[Any]
    sends: list[_Send] = field(default_factory=list)


class Outlet(Service):
    """Sends outputs and acks their source in order. At most `limit` batches are in flight, then reading waits."""

    def __init__(self, producer: Callable[[], AIOKafkaProducer], limit: int, name: Callable[[Topic], str]) -> None:
        super().__init__()
        self._make = producer
        self._limit = limit
        self._name = name
        self._names = {topic.name: name(topic) for topic in USAGE_TOPICS}
        self._queues: dict[str, asyncio.Queue[_InFlight]] = {}
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 1
        self._dealer = Dealer(1)
        self.acked: dict[tuple[str, int], int] = {}  # the last offset done, by topic on the cluster and partition
        self.progress_at = time.monotonic()

    async def on_start(self) -> None:
        self._producer = self._make()
        await self._producer.start()
        # The count must not change under a running deployment, or events would change their places.
        self._partitions = len(await self._producer.partitions_for(self._name(CHARGES)))
        self._dealer = Dealer(self._partitions)

    async def on_stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def put(self, topic: str, batch: Batch, charged: Charged) -> None:
        """Send what came of a batch and queue its acks. Waits while too much is in flight."""
        queue = self._queues.get(topic)
        if queue is None:
            queue = self._queues[topic] = asyncio.Queue(self._limit)
            self.add_future(self._ack_in_order(queue))
        positions = [record.position for record in batch.records]
        item = _InFlight(positions[-1], batch.events)
        letters = charged.dead_letters
        try:
            dealt = self._dealer.deal(charged.batch(positions))
            item.sends = [self._to_charges(pack(piece), partition) for partition, piece in dealt]
        except (ValueError, TypeError) as error:  # charges that can't be written; what escaped here would be lost
            letters = [refused(record, error) for record in batch.records]
        for letter in letters:
            key = letter.dead_letter_id.encode()
            item.sends.append(_Send(self._name(DEAD_LETTERS), key, _written(letter), None, HEADERS))
        for send in item.sends:
            send.delivery = await self._start(send)
        await queue.put(item)

    async def say(self, batch: ChargeBatch) -> None:
        """Send what belongs to no event to all who read charges. It may be lost: the next one says as much."""
        value = pack(batch)
        sends = [self._to_charges(value, partition) for partition in range(self._partitions)]
        deliveries = [await self._start(send) for send in sends]
        await asyncio.gather(*(one for one in deliveries if one is not None), return_exceptions=True)

    def _to_charges(self, value: bytes, partition: int) -> _Send:
        return _Send(self._name(CHARGES), None, value, partition, DEALT_HEADERS)

    async def _start(self, send: _Send) -> asyncio.Future[Any] | None:
        assert self._producer is not None  # noqa: S101  started before any agent reads
        try:
            delivery: asyncio.Future[Any] = await self._producer.send(
                send.topic, send.value, key=send.key, partition=send.partition, headers=send.headers
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
            for event in item.events:
                event.ack()
            self.acked[self._names[item.last.topic], item.last.partition] = item.last.offset
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


def _written(letter: DeadLetter) -> bytes:
    """The letter as JSON. One that can't be written says so of its place, without what it took from the event."""
    try:
        written = letter.model_dump_json()
    except (ValueError, TypeError) as error:  # what escaped here would end the stage
        taken = ("field", "event_source", "event_id", "event_type")
        why = {"reason": Reason.INTERNAL_ERROR, "problem": type(error).__name__}
        written = letter.model_copy(update=dict.fromkeys(taken, "") | why).model_dump_json()
    return written.encode()


class _Waiting:
    """The batches of a topic that wait to be charged, and how much they are."""

    def __init__(self) -> None:
        self._batches: asyncio.Queue[Batch] = asyncio.Queue(MOST_WAITING)
        self._records = self._bytes = 0

    async def put(self, batch: Batch) -> None:
        await self._batches.put(batch)
        self._records += len(batch.records)
        self._bytes += batch.size

    async def take(self) -> list[Batch]:
        """At least one batch, and what comes within a moment after it, as much as may be charged together."""
        taken = [await self._batches.get()]
        if self._records < PORTION_RECORDS and self._bytes < BATCH_BYTES:
            await asyncio.sleep(GATHER_SECONDS)
        records, size = len(taken[0].records), taken[0].size
        while not self._batches.empty() and records < PORTION_RECORDS and size < BATCH_BYTES:
            taken.append(self._batches.get_nowait())
            records += len(taken[-1].records)
            size += taken[-1].size
        self._records -= records
        self._bytes -= size
        return taken


class Gathering(Service):
    """Between the agents and the valve: charges together what waits of a topic, by partition.

    A batch costs some hundred microseconds whatever its size, so many small records share one. What is fetched at once
    may be one record or hundreds of arrays: a moment is given to the first, and the second is taken apart, or the loop
    would stand still meanwhile.
    """

    def __init__(self, charger: Charger, valve: Valve, metrics: Metrics) -> None:
        super().__init__()
        self._charger = charger
        self._valve = valve
        self._metrics = metrics
        self._waiting: dict[str, _Waiting] = {}

    async def put(self, topic: str, event: Any) -> None:
        """Take the records of an event. Waits while too many do."""
        waiting = self._waiting.get(topic)
        if waiting is None:
            waiting = self._waiting[topic] = _Waiting()
            self.add_future(self._charge(topic, waiting))
        for batch in taken_apart(topic, event):
            await waiting.put(batch)

    async def _charge(self, topic: str, waiting: _Waiting) -> None:
        while not self.should_stop:
            for batch in _by_partition(await waiting.take()):
                with self._metrics.stage_seconds.labels("price").time():
                    charged = self._charger.charge_all(batch.records)
                await self._valve.put(topic, batch, charged)
                await asyncio.sleep(0)  # a full queue would keep the loop, and the other stages, waiting


def taken_apart(topic: str, event: Any) -> Iterable[Batch]:
    """The records of an event, as many as may be charged together at once. The last has the event."""
    batches = [Batch([_raw(topic, record) for record in records], []) for records in portions(event.value, BATCH_BYTES)]
    batches[-1].events.append(event)
    return batches


def _by_partition(batches: Sequence[Batch]) -> Iterable[Batch]:
    """One batch of each partition, in the order of its records."""
    found: dict[int, Batch] = {}
    for batch in batches:
        whole = found.setdefault(batch.records[0].position.partition, Batch([], []))
        whole.records += batch.records
        whole.events += batch.events
    return found.values()


def _raw(topic: str, record: ConsumerRecord) -> RawRecord:
    """A record under the contract's name of its topic."""
    return RawRecord(
        value=record.value,
        headers=tuple(record.headers),
        position=Position(topic, record.partition, record.offset),
        received_at=arrived(record.timestamp),
    )


def add_price_agents(app: faust.App, gathering: Gathering, name: Callable[[Topic], str]) -> None:
    """Give the app one agent per usage topic."""
    for topic in USAGE_TOPICS:
        channel = app.topic(name(topic), key_serializer="raw", value_serializer="raw")
        app.agent(channel, name=f"price.{topic.name}")(_agent(topic.name, gathering))


def _agent(topic: str, gathering: Gathering) -> Callable[[faust.StreamT[Any]], Awaitable[None]]:
    async def price(stream: faust.StreamT[Any]) -> None:
        async for event in cast("faust.Stream[Sequence[ConsumerRecord]]", stream).noack().events():
            await gathering.put(topic, event)

    return price


def counted(outlet: Outlet, metrics: Metrics) -> Send:
    """The outlet's `put`, with what goes through it in the metrics."""

    async def send(topic: str, batch: Batch, charged: Charged) -> None:
        await outlet.put(topic, batch, charged)
        metrics.records.labels("price", topic).inc(len(batch.records))
        metrics.batch.labels("price").observe(len(batch.records))
        _count(metrics, charged)

    return send


def arrived(timestamp: int) -> datetime:
    """A record's time stamp, in milliseconds. A producer may set any: what is none is 1970, and its events too late."""
    try:
        at = datetime.fromtimestamp(timestamp / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return EPOCH
    return at if 2000 <= at.year < 2200 else EPOCH


def assigned(app: faust.App) -> list[TP]:
    """The partitions that Faust reads; none while its consumer starts."""
    try:
        return list(app.consumer.assignment())
    except ConsumerNotStarted:
        return []


def member_id(app: faust.App) -> str:
    """The id of `price` in its group; empty while it has none."""
    consumer: Any = app.consumer
    try:
        return str(consumer.member_id())
    except ConsumerNotStarted:
        return ""


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


def _count(metrics: Metrics, charged: Charged) -> None:
    metrics.events.labels("charged").inc(charged.events)
    metrics.events.labels("dead_lettered").inc(len(charged.dead_letters))
    for letter in charged.dead_letters:
        metrics.dead_letters.labels(letter.reason.value).inc()
    if charged.block.count:
        _count_money(metrics, charged.block)


def _count_money(metrics: Metrics, block: Block) -> None:
    """Dollars by meter and by what gave them a price and an owner."""
    keys = [block.codes(name) for name in ("type", "price_status", "allocation")]
    group, first = grouped([codes for codes, _ in keys])
    dollars = block.money("effective_cost_usd")
    unknown = np.bincount(group[dollars.is_null().to_numpy(zero_copy_only=False)], minlength=len(first))
    usd, at_risk = (_by_group(money, group) for money in (dollars, block.money("estimated_cost")))
    for number, at in enumerate(first.tolist()):
        kind, status, allocation = (values[codes[at]] for codes, values in keys)
        meter = METER_BY_TYPE[kind]
        if status == PriceStatus.UNPRICED:
            metrics.dollars.labels(meter, "unpriced").inc(at_risk[number])
            continue
        metrics.unconverted.labels(meter).inc(int(unknown[number]))
        metrics.dollars.labels(meter, str(status)).inc(usd[number])
        if allocation == UNALLOCATED:
            metrics.unallocated.labels(meter).inc(usd[number])
        else:
            metrics.allocated.labels(meter, allocation).inc(usd[number])


def _by_group(money: pa.Array, group: Whole) -> list[float]:
    """What a counter goes up by: it can't go down, so what is negative is left out."""
    amounts = np.nan_to_num(money.cast(pa.float64()).to_numpy(zero_copy_only=False))
    sums: list[float] = np.bincount(group, weights=np.maximum(amounts, 0.0)).tolist()
    return sums
