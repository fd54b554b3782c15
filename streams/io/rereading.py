"""Records of a topic at given positions, as they still stand there. A topic keeps them for its retention."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable
from itertools import groupby
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from schemas.records import Position
from streams.io.kafka import make_consumer
from streams.settings import Settings

POLL_MS = 1_000
POLLS = 30  # without a record, and then the broker counts as away
FAR = 5_000  # offsets ahead: nearer ones are quicker read through than sought
SPAN_POLL_MS = 200


async def reread(
    settings: Settings, positions: Iterable[Position]
) -> AsyncGenerator[tuple[Position, Any | None], None]:
    """Each position with its ConsumerRecord, in order; None where it is gone. Topics by their names in the contract.

    Close it by `aclosing`. Raises KafkaError, TimeoutError.
    """
    in_order = sorted(set(positions))
    if not in_order:  # a consumer of aiokafka that is stopped as soon as it has started raises CancelledError
        return
    consumer = make_consumer(settings, group="", client_id="spendstream-reread", group_id=None)
    try:
        await consumer.start()
        for (topic, partition), group in groupby(in_order, key=lambda p: p.origin):
            tp = TopicPartition(settings.kafka.topic_prefix + topic, partition)
            wanted = [position.offset for position in group]
            async for offset, record in _of_partition(consumer, tp, wanted):
                yield Position(topic, partition, offset), record
    finally:
        await consumer.stop()


async def _of_partition(
    consumer: Any, tp: TopicPartition, wanted: list[int]
) -> AsyncGenerator[tuple[int, ConsumerRecord | None], None]:
    """The records at the offsets `wanted`, which ascend."""
    consumer.assign([tp])
    first, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
    left = list(reversed(wanted))
    while left and left[-1] < first:
        yield left.pop(), None
    at, silent = -FAR - 1, 0
    while left and left[-1] < end:
        if not 0 <= left[-1] - at <= FAR:
            consumer.seek(tp, left[-1])
        records = (await consumer.getmany(tp, timeout_ms=POLL_MS)).get(tp, [])
        by_offset = {record.offset: record for record in records}
        at = await consumer.position(tp)
        while left and left[-1] < at:  # what was passed over is no longer there
            yield left[-1], by_offset.get(left[-1])
            left.pop()
        silent = 0 if records else silent + 1
        if silent >= POLLS:
            raise TimeoutError(f"{tp.topic}: nothing can be read at offset {left[-1]}")
    while left:  # beyond the end: the topic was made anew
        yield left.pop(), None


async def reread_span(
    settings: Settings, tp: TopicPartition, first: int, last: int, patience: float, going: Callable[[], bool]
) -> list[ConsumerRecord]:
    """The records from offset `first` to `last` of a partition, by its name on the cluster, as far as they are there.

    A log that ends before `last` may grow again: after a fail-over a broker may for a while show less of it than it did
    before. That is waited for up to `patience` seconds, and for a broker that is away as long as `going`. What is
    returned is short where the topic was made anew, its records expired, or `going` ended it. Raises KafkaError.
    """
    consumer = make_consumer(settings, group="", client_id="spendstream-reread", group_id=None)
    found: list[ConsumerRecord] = []
    short_since: float | None = None
    try:
        await consumer.start()
        consumer.assign([tp])
        consumer.seek(tp, first)
        while going():
            records = (await consumer.getmany(tp, timeout_ms=SPAN_POLL_MS)).get(tp, [])
            found += [record for record in records if first <= record.offset <= last]
            if records and records[-1].offset >= last:
                break
            end = consumer.highwater(tp)  # as the newest fetch tells: ListOffsets of the embedded broker tells less
            if records or end is None or end > last:
                short_since = None
                continue
            short_since = time.monotonic() if short_since is None else short_since
            if time.monotonic() - short_since >= patience:
                break
    finally:
        await consumer.stop()
    return found
