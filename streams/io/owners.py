"""The owner directory on its compacted topic: read to the end, followed, written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import TopicPartition
from pydantic import ValidationError

from schemas.rules import DIMENSIONS, OwnerRecord
from schemas.topics import OWNERS
from streams.core.tag import Owner
from streams.io.kafka import make_consumer, make_producer, topic_name
from streams.settings import Settings

POLL_MS = 500
Change = tuple[str, Owner | None]
"""A principal and whom it works for from now on; None: it is removed."""

log = structlog.get_logger(__name__)


class OwnersReader:
    """Reads the topic from its beginning, in no group: every process needs all of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = topic_name(settings, OWNERS)
        self._consumer: Any = None
        self._ends: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        """Connect, and note where the topic ends now. Raises KafkaError."""
        self._consumer = make_consumer(self._settings, group="", client_id="spendstream-owners", group_id=None)
        try:
            await self._consumer.start()
            partitions = self._consumer.partitions_for_topic(self._name) or {0}
            self._consumer.assign([TopicPartition(self._name, partition) for partition in partitions])
            self._ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
            await self._consumer.seek_to_beginning()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def caught_up(self) -> bool:
        """Whether all is read that was there at the start."""
        return all([await self._consumer.position(tp) >= end for tp, end in self._ends.items()])

    async def changes(self) -> list[Change]:
        """What came since the last call; waits a moment for it. A record that can't be read is logged and left out."""
        batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        found = [_change(record) for batch in batches.values() for record in batch]
        return [change for change in found if change is not None]


def _change(record: Any) -> Change | None:
    try:
        principal = record.key.decode()
        if not record.value:
            return principal, None
        entry = OwnerRecord.model_validate_json(record.value)
    except (AttributeError, UnicodeDecodeError, ValidationError) as error:
        log.error("skipped a record of the owner directory", offset=record.offset, error=type(error).__name__)
        return None
    if entry.principal != principal:
        log.error("skipped a record of the owner directory: its key is not its principal", offset=record.offset)
        return None
    return principal, Owner(**entry.model_dump())


async def read_owners(settings: Settings) -> dict[str, Owner | None]:
    """The directory as it stands on the topic; None where a principal was removed. Raises KafkaError, TimeoutError."""
    found: dict[str, Owner | None] = {}
    async with asyncio.timeout(60), OwnersReader(settings) as reader:
        while not await reader.caught_up():
            found.update(await reader.changes())
    return found


async def publish_owners(settings: Settings, changes: Mapping[str, Owner | None]) -> None:
    """Write changes and wait until the broker has them. Raises KafkaError."""
    producer = make_producer(settings, client_id="spendstream-owners")
    await producer.start()
    try:
        sends = []
        for principal, owner in changes.items():
            value = None if owner is None else _record(principal, owner).model_dump_json().encode()
            sends.append(await producer.send(topic_name(settings, OWNERS), value=value, key=principal.encode()))
        await asyncio.gather(*sends)
    finally:
        await producer.stop()


def _record(principal: str, owner: Owner) -> OwnerRecord:
    return OwnerRecord(principal=principal, **{name: getattr(owner, name) for name in DIMENSIONS})
