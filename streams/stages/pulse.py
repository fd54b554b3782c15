"""The pulse of `price`: for every source partition that is read to its end, it says so, and up to when.

Without it nobody downstream could tell silence from a backlog: a window closed by the clock while `price` is seconds
behind would lose what is still to come. A pulse is a record without charges on every partition of `spend.charges`, for
each of them may have had charges of the source partition.

It beats once a second, at the moment at which a window may close by the clock, so that none waits for it. What it says
is not what the clock says but when the broker last told where the partition ends: an event may have come since, and
while the fetches or this loop hang it would not be known.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from faust.types import TP
from mode import Service

from streams.core.columns.packed import CaughtUp, pulse
from streams.stages.price import Outlet, assigned, log_end

PULSE_SECONDS = 1.0
LOOK_SECONDS = 0.02  # between looks at what a beat is due of and is not read to its end, or not heard of, yet
STILL = 5  # beats after which a partition that we never read from, and that has nothing to fetch, counts as empty


@dataclass(frozen=True, slots=True)
class Beat:
    """A topic by its name in the contract, and how long after a full second its windows may close, in seconds."""

    topic: str
    after: float

    def number(self, time: float) -> int:
        """The last beat at or before a time (epoch seconds)."""
        return math.floor((time - self.after) / PULSE_SECONDS)


class Pulse(Service):
    """Says once a second which source partitions are done. `beats` by the topic's name on the cluster."""

    def __init__(
        self, app: faust.App, outlet: Outlet, beats: Mapping[str, Beat], clock: Callable[[], datetime]
    ) -> None:
        super().__init__()
        self._app = app
        self._outlet = outlet
        self._beats = beats
        self._clock = clock
        self._said: dict[TP, int] = {}
        self._still: Counter[TP] = Counter()
        self._looked: dict[TP, int] = {}

    @Service.task
    async def _beat(self) -> None:
        while not self.should_stop:
            all_said = await self._look()
            now = self._clock().timestamp()
            next_beats = [(beat.number(now) + 1) * PULSE_SECONDS + beat.after for beat in self._beats.values()]
            await asyncio.sleep(max(0.0, min(next_beats) - now) if all_said else LOOK_SECONDS)

    async def _look(self) -> bool:
        """Say what can be said; returns whether every partition has had the beat of now."""
        consumer: Any = self._app.consumer
        now, all_said, done = self._clock().timestamp(), True, []
        for tp in assigned(self._app):
            beat = self._beats.get(tp.topic)
            if beat is None or self._said.get(tp) == beat.number(now):
                continue
            heard = heard_at(consumer, tp)  # before the look: what comes after it is not covered by what is said
            if heard is None or beat.number(heard) < beat.number(now) or not await self._is_done(tp):
                all_said = False
                continue
            self._said[tp] = beat.number(now)
            at = datetime.fromtimestamp(min(heard, now), UTC)
            done.append(CaughtUp(beat.topic, tp.partition, at))
        if done:
            await self._outlet.say(pulse(*done))
        return all_said

    async def _is_done(self, tp: TP) -> bool:
        consumer: Any = self._app.consumer  # its read offset is private, and nothing public says as much
        end = log_end(consumer, tp)
        if end is None:
            return False
        acked = self._outlet.acked.get((tp.topic, tp.partition))
        if end == 0 or (acked is not None and acked + 1 >= end):
            return True
        # At its assignment a partition's read offset is the committed one, which is the next to read.
        if (consumer._read_offset.get(tp) or 0) >= end:
            return not any(message.tp == tp for message in consumer.unacked)
        return acked is None and await self._is_empty(tp, end)

    async def _is_empty(self, tp: TP, end: int) -> bool:
        """Whether retention took all that a partition had: nothing was to be fetched for some beats."""
        beat = self._beats[tp.topic].number(self._clock().timestamp())
        if self._looked.get(tp) != beat:
            self._looked[tp] = beat
            self._still[tp] = self._still[tp] + 1 if await _position(self._app.consumer, tp) == end else 0
        return self._still[tp] >= STILL


def heard_at(consumer: Any, tp: TP) -> float | None:
    """When the broker last told where a partition ends (epoch seconds); None where that isn't known."""
    try:
        at: float | None = consumer.heard_at(tp)
    except AssertionError:  # as in `log_end`
        return None
    return at


async def _position(consumer: Any, tp: TP) -> int | None:
    """What is read next; None when the partition is being taken away."""
    try:
        position: int | None = await consumer.position(tp)
    except IllegalStateError:
        return None
    return position
