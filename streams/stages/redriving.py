"""Puts the events of dead letters on their topic again, where this release and these settings would charge them.

Order of work, for some records at a time; and what a cut after each step leaves:

1. read the records again where they stood, and try them: nothing has happened.
2. send them, to the partition they came from, and wait for the broker: a later run sends them again, and those that
   were counted already are duplicates by (source, id).
3. write down in ClickHouse which dead letters they were of: a later run leaves them alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from schemas.records import Position
from streams.core.usage.charge import Charger
from streams.core.usage.decode import RawRecord
from streams.core.usage.redrive import HEADER, NotRedrivableError, again, is_same
from streams.io.dead_letters import DeadLetterStore, Row
from streams.io.kafka import make_producer
from streams.io.rereading import reread
from streams.settings import Settings

AT_A_TIME = 200  # records between two notes

GONE = "gone from the topic: its retention is over, or it was made anew"
REPLACED = "another record stands there now: the topic was made anew"


@dataclass(slots=True)
class Redriven:
    """What came of the dead letters that were looked at. `left` counts those left alone, by why."""

    looked_at: int = 0
    sent: int = 0
    records: int = 0
    left: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Again:
    """A record to send, and the dead letters that it is the way back of."""

    position: Position
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes
    letters: list[str]


class Redriving:
    """One run. `about` holds redrive_id, redriven_by and why. `looked` is called with how many letters are done."""

    def __init__(
        self,
        settings: Settings,
        store: DeadLetterStore,
        charger: Charger,
        about: dict[str, str],
        clock: Callable[[], datetime],
        looked: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._charger = charger
        self._about = about
        self._clock = clock
        self._looked = looked
        self.done = Redriven()

    async def run(self, letters: Sequence[Row], *, send: bool) -> None:
        """Take dead letters in the order of their records. Without `send` only count what would be sent.

        Raises KafkaError, TimeoutError, StoreError; `done` then says how far it came.
        """
        by_record = {position: list(group) for position, group in groupby(letters, key=_position)}
        waiting: list[_Again] = []
        async with aclosing(reread(self._settings, by_record)) as records:
            async for position, record in records:
                found = self._try(position, record, by_record[position])
                if found is not None:
                    waiting.append(found)
                if len(waiting) >= AT_A_TIME:
                    await self._finish(waiting, send=send)
                    waiting = []
        await self._finish(waiting, send=send)

    def _try(self, position: Position, record: Any | None, letters: list[Row]) -> _Again | None:
        """What of a record to send; None when nothing."""
        self.done.looked_at += len(letters)
        self._looked(self.done.looked_at)
        if record is None:
            self.done.left[GONE] += len(letters)
            return None
        if not is_same(record.value, letters[0]["payload_sha256"]):
            self.done.left[REPLACED] += len(letters)
            return None
        headers = [(name, value) for name, value in record.headers if name != HEADER]
        raw = RawRecord(record.value, tuple(headers), position, self._clock())
        refused = {letter.index: letter for letter in self._charger.charge(raw).dead_letters}
        back = []
        for letter in letters:
            still = refused.get(letter["index"]) or refused.get(None)
            if still is not None:
                self.done.left[f"rejected still: {still.reason.value}"] += 1
            else:
                back.append(letter)
        if not back:
            return None
        try:
            value = again(record.value, [letter["index"] for letter in back])
        except NotRedrivableError as problem:
            self.done.left[str(problem)] += len(back)
            return None
        headers.append((HEADER, self._about["redrive_id"].encode()))
        return _Again(position, record.key, headers, value, [letter["dead_letter_id"] for letter in back])

    async def _finish(self, waiting: list[_Again], *, send: bool) -> None:
        if send and waiting:
            moves = await self._send(waiting)
            await asyncio.to_thread(self._store.redriven, self._about, moves, self._clock())
        self.done.sent += sum(len(one.letters) for one in waiting)
        self.done.records += len(waiting)

    async def _send(self, waiting: list[_Again]) -> list[tuple[str, Position]]:
        """Send and wait until the broker has all. Returns where each dead letter's event stands now."""
        producer = make_producer(self._settings, client_id="spendstream-redrive")
        await producer.start()
        try:
            sends = [
                await producer.send(
                    self._settings.kafka.topic_prefix + one.position.topic,
                    value=one.value,
                    key=one.key,
                    partition=one.position.partition,
                    headers=one.headers,
                )
                for one in waiting
            ]
            stands = await asyncio.gather(*sends)
        finally:
            await producer.stop()
        return [
            (letter, Position(one.position.topic, one.position.partition, stand.offset))
            for one, stand in zip(waiting, stands, strict=True)
            for letter in one.letters
        ]


def _position(letter: Row) -> Position:
    return Position(letter["topic"], letter["partition"], letter["offset"])
