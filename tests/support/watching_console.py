"""A console for tests: on a store that can be taken away, with tokens of two roles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from streams.api.actions import Actions
from streams.console.app import ConsoleService
from streams.console.queries import Queries, Row
from streams.io.clickhouse import StoreAway
from streams.settings import Settings
from streams.settings_api import Api, ApiToken

READ, OPERATE = "a-token-that-may-look-only", "a-token-that-may-also-act"
ROLES = {"READ_TOKEN": READ, "OPERATE_TOKEN": OPERATE}
"""The environment that `API` needs."""
API = Api(
    tokens=(
        ApiToken(name="rita", role="read", token_env="READ_TOKEN"),  # noqa: S106  the name of a variable
        ApiToken(name="otto", role="operator", token_env="OPERATE_TOKEN"),  # noqa: S106
    )
)


class Leaving:
    """A store that is away while `is_away`."""

    def __init__(self, store: Queries) -> None:
        self._store = store
        self.is_away = False

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        if self.is_away:
            raise StoreAway("query", "NETWORK_ERROR")
        return self._store.query(sql, parameters)


def with_console(settings: Settings, *, port: int = 0, api: Api = API) -> Settings:
    """Settings of a console that looks often."""
    console = settings.console.model_copy(update={"port": port, "poll_seconds": 0.3})
    return settings.model_copy(update={"console": console, "api": api})


@asynccontextmanager
async def console(settings: Settings, store: Queries, actions: Actions) -> AsyncIterator[ConsoleService]:
    """A console that serves until the block ends."""
    service = ConsoleService(settings, store, actions, lambda: datetime.now(UTC))
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
