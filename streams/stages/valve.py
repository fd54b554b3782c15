"""Holds a topic's records back while most of its newest events are dead letters, and ends the stage when it is sure.

What is held is neither sent nor acked. So a deployment that rejects the stream leaves nothing behind, however often a
supervisor starts it again: after the mend the very same records are read, and charged. A few bad events on a quiet
topic are held for `hold_seconds`, and then they are the dead letters that they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mode import Service

from streams.core.usage.charge import Charged
from streams.core.usage.dead_letters import Limit, Tally, Verdict

LOOK_SECONDS = 0.1
Send = Callable[[str, Any, Charged], Awaitable[None]]


@dataclass(slots=True)
class _Lane:
    """One topic. `since`: when, in time.monotonic, the oldest of `held` came."""

    tally: Tally
    held: list[tuple[Any, Charged]] = field(default_factory=list)
    since: float = 0.0
    stopped: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # the order of a topic's records is kept


class Valve(Service):
    """Between what `price` decides and what it sends. `stop` is told why, once per topic, in words for people."""

    def __init__(self, send: Send, limit: Limit, hold_seconds: float, stop: Callable[[str], None]) -> None:
        super().__init__()
        self._send = send
        self._limit = limit
        self._hold_seconds = hold_seconds
        self._tell = stop
        self._lanes: dict[str, _Lane] = {}

    async def put(self, topic: str, events: Any, charged: Charged) -> None:
        """Send what came of records, now or when it is known that most of them are good. Never returns once stopped.

        An agent that would go on to read, or end, would make Faust ack what must not be acked.
        """
        lane = self._lanes.setdefault(topic, _Lane(Tally(self._limit)))
        async with lane.turn:
            verdict = lane.tally.add(charged.events, [letter.reason for letter in charged.dead_letters])
            if not lane.held:
                lane.since = time.monotonic()
            lane.held.append((events, charged))
            if verdict is Verdict.WELL and not lane.stopped:
                await self._release(topic, lane)
            elif verdict is Verdict.STOP and not lane.stopped:
                lane.stopped = True
                self._tell(lane.tally.words(topic))
        if lane.stopped:
            await asyncio.Event().wait()

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            await asyncio.sleep(LOOK_SECONDS)
            for topic, lane in list(self._lanes.items()):  # a topic may come in while one is waited for
                async with lane.turn:
                    if lane.held and not lane.stopped and time.monotonic() - lane.since >= self._hold_seconds:
                        await self._release(topic, lane)

    async def _release(self, topic: str, lane: _Lane) -> None:
        held, lane.held = lane.held, []
        for events, charged in held:
            await self._send(topic, events, charged)
