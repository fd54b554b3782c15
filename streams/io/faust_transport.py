"""Faust's own transport, asked to say sooner what the broker has, and when it last said it, and to hand over many.

Faust lets a fetch wait 1.5 s for something new, and keeps to itself what `price` must know before it can call a
partition read to its end: when the broker last told where it ends. Neither is a setting, so both are taken from the
consumer beneath, whose version the lock file pins; a test on both brokers watches over them.

Its way of one record at a time (a message, an event, a queue, a stream, an ack) takes some 60 microseconds, more than
all that `price` does for an event. So what was fetched of a partition at once is one message here: its value is the
records, its offset the last one's, and its ack is theirs.

And Faust 0.15 loses records while partitions move. It puts aside what a fetch brings while the flow is stopped, and
goes back to what is committed; before the first commit of a partition there is nothing to go back to, and later records
take the offset past what was put aside. So what was fetched and not handed over is fetched again here.

In a backlog it reads what it likes of a topic's partitions, one to its end before it began with the next. Here they are
read in step (`InStep`).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.core.windows.in_step import InStep
from streams.io.kafka import member_id

FETCH_WAIT_MS = 100  # how old the newest word of a silent broker may be: `pulse` waits for it at each window's end
FULL_SECONDS = 0.02  # until the next look at partitions whose records an agent has enough of


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def go_back(self, offsets: Mapping[TP, int]) -> None:
        """Read each partition from this offset, unless it is read from an earlier one anyway, or no longer ours."""
        await self.call_thread(self._go_back, offsets)

    async def _go_back(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            with suppress(IllegalStateError):  # so aiokafka says that a partition is not assigned
                if await consumer.position(tp) > offset:
                    consumer.seek(tp, offset)

    def member_id(self) -> str:
        return member_id(self._ensure_consumer())

    def heard_at(self, tp: TP) -> float | None:
        milliseconds: int | None = self._ensure_consumer().last_poll_timestamp(tp)
        return None if milliseconds is None else milliseconds / 1000


class _Consumer(driver.Consumer):
    """The records must be acked in their order: `price` does."""

    _thread: _Thread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._put_aside: dict[TP, int] = {}  # the first offset of what was fetched and not handed over
        self._next: dict[TP, int] = {}  # the offset after what was fetched last
        self._in_step: defaultdict[str, InStep[TP]] = defaultdict(InStep)  # by topic

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Any]]:  # noqa: ASYNC109  Faust's own
        resting = self._buffered_partitions | self._ahead(active_partitions or set())
        wanted = (active_partitions or set()) - resting
        if not wanted:
            await asyncio.sleep(FULL_SECONDS)
            return {}
        if self._put_aside:
            await self._thread.go_back(self._put_aside)
            self._put_aside.clear()
        # While it waits for what is quiet, what is full or ahead may have become wanted again.
        fetched = await super()._getmany(wanted, FULL_SECONDS if resting else timeout)
        self._put_aside = {tp: records[0].offset for tp, records in fetched.items() if records}
        now = time.time()
        for tp, records in fetched.items():
            if records:
                self._next[tp] = records[-1].offset + 1
                self._in_step[tp.topic].took(tp, records[-1].timestamp / 1000, now)
        return {tp: [records] for tp, records in fetched.items() if records}

    def _ahead(self, active: set[TP]) -> set[TP]:
        left: defaultdict[str, dict[TP, int]] = defaultdict(dict)
        for tp in self._next.keys() & active:
            with suppress(AssertionError):  # so aiokafka says that a rebalance has taken it away
                left[tp.topic][tp] = max(0, (self.highwater(tp) or 0) - self._next[tp])
        now = time.time()
        return {tp for topic, of_topic in left.items() for tp in self._in_step[topic].ahead(of_topic, now)}

    def _to_message(self, tp: TP, record: Sequence[ConsumerRecord]) -> ConsumerMessage:
        self._put_aside.pop(tp, None)
        message: Any = super()._to_message(tp, record[-1])
        message.value = record
        return message  # type: ignore[no-any-return]

    # Faust's own would take a full partition out of the active ones: without any, it sleeps for a second.

    def on_buffer_full(self, tp: TP) -> None:
        self._buffered_partitions.add(tp)

    def on_buffer_drop(self, tp: TP) -> None:
        self._buffered_partitions.discard(tp)

    # Faust's own look for the first offset that is not acked, between which and the next it takes what lies for gaps.

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None: ...

    def _new_offset(self, tp: TP) -> int | None:
        acked = self._acked[tp]
        if not acked:
            return None
        newest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return newest + 1

    def member_id(self) -> str:
        """The id in the group. Raises ConsumerNotStarted."""
        return self._thread.member_id()

    def heard_at(self, tp: TP) -> float | None:
        """When the broker last said where the partition ends (epoch seconds), None where it has not yet.

        Raises AssertionError for a partition that a rebalance has taken away.
        """
        return self._thread.heard_at(tp)


class Transport(driver.Transport):
    """Set an app's `transport` to one of these before anything else is made of it."""

    Consumer = _Consumer
