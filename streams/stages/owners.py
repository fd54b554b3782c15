"""The owner directory, followed live: what changes on its topic holds for the events priced from then on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from streams.core.tag import Tagger
from streams.io.owners import OwnersReader
from streams.settings import Settings

RETRY_SECONDS = 2.0

log = structlog.get_logger(__name__)


class OwnersService(Service):
    """Teaches `tagger`. It has started when the topic is read to its end."""

    def __init__(self, settings: Settings, tagger: Tagger) -> None:
        super().__init__()
        self._settings = settings
        self._tagger = tagger
        self._stack = AsyncExitStack()
        self._reader: OwnersReader | None = None

    async def on_start(self) -> None:
        self._reader = await self._stack.enter_async_context(OwnersReader(self._settings))
        learned = 0
        while not await self._reader.caught_up():
            learned += await self._learn(self._reader)
        log.info("read the owner directory", records=learned)

    async def on_stop(self) -> None:
        await self._stack.aclose()

    @Service.task
    async def _follow(self) -> None:
        assert self._reader is not None  # noqa: S101  made by on_start
        while not self.should_stop:
            try:
                await self._learn(self._reader)
            except KafkaError as error:  # what is known goes on to hold
                log.warning("the owner directory can't be read now", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _learn(self, reader: OwnersReader) -> int:
        changes = await reader.changes()
        for principal, owner in changes:
            self._tagger.learn(principal, owner)
        return len(changes)
