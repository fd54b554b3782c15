"""The pulse of `price`: for every source partition that is read to its end, it says so, and when.

Without it nobody downstream could tell silence from a backlog: a window closed by the clock while `price` is seconds
behind would lose what is still to come. A pulse is a record of `spend.charges` without charges.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from faust.types import TP
from mode import Service

from schemas.records import ChargeRecord
from streams.stages.price import Outlet, log_end

PULSE_SECONDS = 1.0
STILL = 5  # looks after which a partition that we never read from, and that has nothing to fetch, counts as empty


class Pulse(Service):
    """Says once a second which source partitions are done. `names`: the contract's topic by its name on the cluster."""

    def __init__(self, app: faust.App, outlet: Outlet, names: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        super().__init__()
        self._app = app
        self._outlet = outlet
        self._names = names
        self._clock = clock
        self._still: Counter[TP] = Counter()

    @Service.task
    async def _beat(self) -> None:
        while not self.should_stop:
            await asyncio.sleep(PULSE_SECONDS)
            consumer = self._app.consumer
            for tp in list(consumer.assignment()) if consumer else ():
                now = self._clock()  # before the look: what comes after it is not covered by what is said
                if tp.topic in self._names and await self._is_done(tp):
                    record = ChargeRecord.model_construct(
                        topic=self._names[tp.topic], partition=tp.partition, offset=-1, charges=[], caught_up_at=now
                    )
                    await self._outlet.say(record)

    async def _is_done(self, tp: TP) -> bool:
        consumer: Any = self._app.consumer  # its read offset is private, and nothing public says as much
        end = log_end(consumer, tp)
        if end is None or any(message.tp == tp for message in consumer.unacked):
            return False
        acked = self._outlet.acked.get((tp.topic, tp.partition))
        # At its assignment a partition's read offset is the committed one, which is the next to read.
        if end == 0 or (acked is not None and acked + 1 >= end) or (consumer._read_offset.get(tp) or 0) >= end:
            return True
        self._still[tp] = self._still[tp] + 1 if acked is None and await _position(consumer, tp) == end else 0
        return self._still[tp] >= STILL


async def _position(consumer: Any, tp: TP) -> int | None:
    """What is read next; None when the partition is being taken away."""
    try:
        position: int | None = await consumer.position(tp)
    except IllegalStateError:
        return None
    return position
