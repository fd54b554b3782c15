"""Where the time goes between the end of a window and its page: what each stage wrote, and when."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from schemas.topics import ALERTS, FINDINGS, TICKS
from schemas.watch import Mark
from streams.core.windows.ticks import Watermark
from streams.core.windows.ticks_json import from_json
from streams.io import kafka
from streams.settings import Settings

METER = "token_call"


@dataclass(slots=True)
class Said:
    """Who has come how far, and when: of each source (a partition), moments (time.time) by the end of a window."""

    by: dict[Any, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def put(self, source: Any, upto: float, at: float) -> None:
        """`source` said at `at` that all up to `upto` is said."""
        self.by[source].append((upto, at))

    def complete(self, end: float) -> float | None:
        """When the last source said that it has come to `end`. None when one has not."""
        firsts = [next((at for upto, at in said if upto >= end), None) for said in self.by.values()]
        times = [at for at in firsts if at is not None]
        return max(times) if times and len(times) == len(firsts) else None


class Trace:
    """Reads what `roll`, `detect` and `alert` write. Times are those of the records, which their producers set."""

    def __init__(self, settings: Settings) -> None:
        self.rolled, self.detected = Said(), Said()
        self.grouped: dict[str, float] = {}  # the first record of an alert
        self._names = {kafka.topic_name(settings, topic): topic for topic in (TICKS, FINDINGS, ALERTS)}
        self._consumer = AIOKafkaConsumer(
            *self._names, **kafka.client_config(settings.kafka), client_id="bench-trace", auto_offset_reset="earliest"
        )
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()

    async def _read(self) -> None:
        async for record in self._consumer:
            self._take(record)

    def _take(self, record: ConsumerRecord) -> None:
        topic, at = self._names[record.topic], record.timestamp / 1000
        if topic is TICKS:
            if b'"watermark"' in record.value[:200]:
                said = from_json(record.value)
                if isinstance(said, Watermark) and said.meter == METER and not said.idle:
                    self.rolled.put((said.origin, record.partition), said.time, at)
            return
        body = orjson.loads(record.value)
        if topic is ALERTS:
            self.grouped.setdefault(body["alert_id"], at)
        elif body["type"] == "mark" and body["meter"] == METER:
            mark = Mark.model_validate(body)
            self.detected.put(mark.partition, mark.time.timestamp(), at)
