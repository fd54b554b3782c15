"""What becomes of an action, read from the topics that changes are written to: no ClickHouse is needed for it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from aiokafka import TopicPartition
from pydantic import ValidationError

from schemas.oncall import AlertChange, RemedyChange
from schemas.topics import ALERT_CHANGES, REMEDIES
from streams.io.kafka import make_consumer, topic_name
from streams.settings import Settings

POLL_MS = 200


class Outcomes:
    """Hears every change from the moment that it is entered, so enter it before the action is sent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kinds: dict[str, type[AlertChange] | type[RemedyChange]] = {
            topic_name(settings, ALERT_CHANGES): AlertChange,
            topic_name(settings, REMEDIES): RemedyChange,
        }
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        """Connect and stand at the end of the topics. Raises KafkaError."""
        self._consumer = make_consumer(self._settings, group="", client_id="spendstream-outcomes", group_id=None)
        try:
            await self._consumer.start()
            partitions = [TopicPartition(topic, 0) for topic in self._kinds]
            self._consumer.assign(partitions)
            for tp, end in (await self._consumer.end_offsets(partitions)).items():
                self._consumer.seek(tp, end)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def of(self, action_id: str, timeout_seconds: float) -> AlertChange | RemedyChange | None:
        """The change that an action made; None when none came in time: the alert stage may be down or behind."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    for tp, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
                        for record in records:
                            if change := _change(self._kinds[tp.topic], record.value, action_id):
                                return change
        except TimeoutError:
            return None


def _change(
    kind: type[AlertChange] | type[RemedyChange], value: bytes | None, action_id: str
) -> AlertChange | RemedyChange | None:
    try:
        change = kind.model_validate_json(value or b"")
    except ValidationError:  # not ours to judge; `land` logs it
        return None
    return change if change.action_id == action_id else None
