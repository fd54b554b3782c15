"""ClickHouse for tests: the engine in this process, a database per test, a stand-in in memory, failures on demand."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from streams.core.landing.batches import Intent
from streams.core.landing.land import Columns
from streams.io.clickhouse import ClickHouseStore, connect
from streams.io.clickhouse_server.process import EmbeddedClickHouse
from streams.settings import ClickHouse
from streams.stages.landing import Store
from tests.support.records import rows_of
from tests.support.require import require


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the engine in this process, which takes one path for its whole life. Kept open: opening costs 1 s."""
    require(importlib.util.find_spec("chdb"), "chdb, the ClickHouse engine as a package")
    url = f"chdb://{tmp_path_factory.mktemp('clickhouse')}"
    with connect(ClickHouse(url=url, database="default")) as keeper:
        keeper.ping()
        yield url


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """The engine in a process of its own, over HTTP: for tests of several processes, or that kill it."""
    require(importlib.util.find_spec("chdb"), "chdb, the ClickHouse engine as a package")
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse-server")) as server:
        yield server


@pytest.fixture
def clickhouse(engine: str) -> Iterator[ClickHouse]:
    """Settings with a database of the test's own, which does not exist yet."""
    config = ClickHouse(url=engine, database=f"test_{uuid.uuid4().hex}")
    yield config
    with connect(config.model_copy(update={"database": "default"})) as store:
        store.command("DROP DATABASE IF EXISTS {name:Identifier}", {"name": config.database})


@pytest.fixture
def store(clickhouse: ClickHouse) -> Iterator[ClickHouseStore]:
    """A store with all tables, empty."""
    with connect(clickhouse) as opened:
        opened.migrate()
        yield opened


class MemoryStore:
    """What landing needs of ClickHouse, by the same rules: the law suite holds it to them."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, str], Columns] = {}
        self._owners: dict[bytes, int] = {}
        self._intents: dict[int, tuple[Intent, bool]] = {}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        return [row for (name, _), columns in self.blocks.items() if name == table for row in rows_of(columns)]

    def insert(self, table: str, columns: Columns, token: str) -> None:
        self.blocks.setdefault((table, token), columns)

    def claim(self, intent: Intent, keys: Iterable[bytes]) -> frozenset[bytes]:
        return frozenset(key for key in keys if self._owners.setdefault(key, intent.batch) != intent.batch)

    def save_intent(self, intent: Intent) -> None:
        self._intents.setdefault(intent.batch, (intent, False))

    def close_intent(self, intent: Intent) -> None:
        self._intents[intent.batch] = (intent, True)

    def open_intents(self, topic: str, partitions: Iterable[int]) -> list[Intent]:
        return [
            intent
            for intent, closed in self._intents.values()
            if not closed and intent.topic == topic and any(map(intent.span, partitions))
        ]


class FailingStore:
    """A store whose calls take effect and then fail as `fault` says: it gets the operation and may raise."""

    def __init__(self, store: Store, fault: Callable[[str], None]) -> None:
        self._store = store
        self._fault = fault

    def insert(self, table: str, columns: Columns, token: str) -> None:
        self._store.insert(table, columns, token)
        self._fault("insert")

    def claim(self, intent: Intent, keys: Iterable[bytes]) -> frozenset[bytes]:
        taken = self._store.claim(intent, keys)
        self._fault("claim")
        return taken

    def save_intent(self, intent: Intent) -> None:
        self._store.save_intent(intent)
        self._fault("save_intent")

    def close_intent(self, intent: Intent) -> None:
        self._store.close_intent(intent)
        self._fault("close_intent")

    def open_intents(self, topic: str, partitions: Iterable[int]) -> list[Intent]:
        found = self._store.open_intents(topic, partitions)
        self._fault("open_intents")
        return found
