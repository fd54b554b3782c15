"""What landing one batch is, what a partition under way is, and what is told of both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

import structlog
from aiokafka import TopicPartition

from schemas.topics import CHARGES
from streams.core.landing.batches import Intent, Partition, Record, distinct
from streams.core.landing.land import TABLES, Columns, Table, columns
from streams.metrics import Metrics

STAGE = "land"

log = structlog.get_logger(__name__)


class Store(Protocol):
    """What landing needs of ClickHouse. Each call may block, may be repeated, and raises StoreError."""

    def save_intent(self, intent: Intent) -> None: ...
    def claim(self, intent: Intent, keys: Iterable[bytes]) -> frozenset[bytes]: ...
    def insert(self, table: str, columns: Columns, token: str) -> None: ...
    def close_intent(self, intent: Intent) -> None: ...
    def open_intents(self, topic: str, partitions: Iterable[int]) -> list[Intent]: ...


class Landed(NamedTuple):
    """What became of a batch's events."""

    landed: int
    duplicate: int


@dataclass(slots=True, eq=False)
class Held:
    """A partition that is ours until `released`. `records` is None until we know where to start."""

    tp: TopicPartition
    table: Table
    records: Partition | None = None
    end_offset: int = 0
    task: asyncio.Task[None] | None = None
    released: bool = False

    @property
    def busy(self) -> bool:
        return self.task is not None and not self.task.done()


def put(store: Store, table: Table, records: Sequence[Record], intent: Intent, landed_at: datetime) -> Landed:
    """Steps 1 to 4. May be repeated as a whole after a failure or a crash at any point. Blocks."""
    keys, repeated = distinct(records)
    store.save_intent(intent)
    taken = store.claim(intent, keys)
    owned = columns(table, [record.content for record in records], landed_at, taken)
    if owned is not None:
        store.insert(table.name, owned, intent.token)
    store.close_intent(intent)
    return Landed(len(keys) - len(taken), repeated + len(taken))


class Figures:
    """The stage's metrics, and a line in the log for each thing that was skipped."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def read(self, tp: TopicPartition, records: Sequence[Record]) -> None:
        """Records came, some perhaps with problems."""
        self.metrics.records.labels(STAGE, tp.topic).inc(len(records))
        for record in records:
            for problem in record.content.problems:
                self.metrics.events.labels("unstorable").inc()
                at = {"topic": tp.topic, "partition": tp.partition, "offset": record.offset}
                log.error("skipped what can't be stored", stage=STAGE, **at, problem=problem)

    def landed(self, table: Table, records: Sequence[Record], result: Landed, at: datetime) -> None:
        """A batch is in its table."""
        self.metrics.batch.labels(STAGE).observe(len(records))
        if table is not TABLES[CHARGES.name]:
            return
        self.metrics.events.labels("landed").inc(result.landed)
        self.metrics.events.labels("duplicate").inc(result.duplicate)
        for record in records:
            if (received := record.received_at) is not None:
                self.metrics.landed_seconds.observe(max(0.0, at.timestamp() - received))

    def lag(self, tp: TopicPartition, records: int) -> None:
        """How far a partition is behind."""
        self.metrics.lag.labels(STAGE, tp.topic, str(tp.partition)).set(records)
