"""The land stage on a broker and the ClickHouse engine: every event once, whatever is cut off, repeated or away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count, repeat
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError

from schemas.records import Charge
from schemas.topics import ALERTS, CHARGES, DEAD_LETTERS, FINDINGS, Topic
from schemas.watch import Mark
from streams.core.landing.batches import Intent, read_record
from streams.core.landing.land import TABLES
from streams.io.clickhouse import ClickHouseStore, StoreAway, connect
from streams.io.embedded import EmbeddedBroker
from streams.io.kafka import group_name, make_consumer, make_producer, topic_name
from streams.io.topics import create_topics
from streams.metrics import Metrics
from streams.settings import ClickHouse, Land, Settings
from streams.stages.land import LandService
from streams.stages.landing import Store
from tests.support.clickhouse import FailingStore, MemoryStore
from tests.support.kafka import Broker, RealKafka, settings_for
from tests.support.records import NOON, alert, charge, charges, dead_letter, finding, split

LIMIT_SECONDS = 180.0
TOPICS = (CHARGES, FINDINGS, ALERTS, DEAD_LETTERS)
STEPS = ("open_intents", "save_intent", "claim", "insert", "close_intent")
Message = tuple[Topic, int, bytes]


@asynccontextmanager
async def land(
    settings: Settings, store: Store, metrics: Metrics | None = None, **changes: Any
) -> AsyncIterator[LandService]:
    """The stage, running."""
    parts: dict[str, Any] = {
        "topics": {topic_name(settings, topic): topic for topic in TOPICS},
        "make_consumer": lambda: make_consumer(settings, group=group_name(settings, "land"), client_id="land"),
        "clock": lambda: datetime.now(UTC),
        "waits": lambda: repeat(0.01),
    }
    service = LandService(settings, store, metrics or Metrics(), **{**parts, **changes})
    async with service:
        yield service


def made(broker: Broker) -> Settings:
    """Small batches, so that there are many to cut off."""
    settings = settings_for(
        broker, land={"batch_rows": 40, "linger_seconds": 0.05}, stages={"max_records_per_poll": 50}
    )
    asyncio.run(create_topics(settings))
    return settings


@pytest.fixture
def settings(kafka: RealKafka) -> Settings:
    return made(kafka)


@pytest.fixture
def embedded(broker: EmbeddedBroker) -> Settings:
    return made(broker)


async def publish(settings: Settings, messages: Sequence[Message]) -> None:
    producer = make_producer(settings, client_id="test")
    await producer.start()
    try:
        for topic, partition, value in messages:
            await producer.send(topic_name(settings, topic), value, partition=partition)
    finally:
        await producer.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110  what is awaited has no event
            await asyncio.sleep(0.02)


async def committed(settings: Settings) -> dict[str, int]:
    """What the group has committed, by topic, summed over partitions."""
    consumer = make_consumer(settings, group=group_name(settings, "land"), client_id="look")
    await consumer.start()
    try:
        found: dict[str, int] = {}
        for topic in TOPICS:
            for partition in range(topic.partitions):
                offset = await consumer.committed(TopicPartition(topic_name(settings, topic), partition))
                found[topic.name] = found.get(topic.name, 0) + (offset or 0)
        return found
    finally:
        await consumer.stop()


def workload(events: int = 300) -> tuple[list[Message], list[Charge]]:
    """Messages in four partitions, events sent again in a record, later and by another partition; and their truth."""
    truth: list[Charge] = []
    messages: list[Message] = []
    for n in range(events):
        month = NOON.replace(month=1 + n % 3, day=1)
        parts = [part.model_copy(update={"time": month}) for part in split(n, ["0.5", "0.25"][: 1 + n % 2])]
        truth += parts
        twice = parts if n % 10 == 0 else []
        messages.append((CHARGES, n % 4, charges(*parts, *twice, offset=n)))
        if n % 7 == 0:
            messages.append((CHARGES, n % 4, charges(*parts, offset=n)))
        if n % 9 == 0:
            messages.append((CHARGES, (n + 1) % 4, charges(*parts, offset=n)))
    return messages, truth


def duplicates(events: int = 300) -> int:
    return sum((n % 10 == 0) + (n % 7 == 0) + (n % 9 == 0) for n in range(events))


def truth_holds(store: ClickHouseStore, truth: list[Charge]) -> None:
    """Every part of every event is there once, and each table and rollup adds up to the same."""
    rows = store.query("SELECT source, id, part, count() AS n FROM charges GROUP BY source, id, part")
    assert {row["n"] for row in rows} == {1}
    assert {(row["source"], row["id"], row["part"]) for row in rows} == {(c.source, c.id, c.part) for c in truth}
    usd = sum((c.effective_cost_usd for c in truth if c.effective_cost_usd is not None), Decimal(0))
    for table in ("charges", "spend_by_minute", "spend_by_hour"):
        sums = store.query("SELECT sum(effective_cost_usd) AS usd FROM {t:Identifier}", {"t": table})
        assert sums == [{"usd": usd}], table
    assert store.query("SELECT sum(events) AS n FROM spend_by_minute") == [{"n": len({c.id for c in truth})}]


def metric(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def outcomes(metrics: Metrics) -> tuple[float, float]:
    return tuple(metric(metrics, "spendstream_events_total", outcome=o) for o in ("landed", "duplicate"))  # type: ignore[return-value]


async def drained(service: LandService, settings: Settings, messages: Sequence[Message]) -> None:
    """Everything sent is landed and committed by this or an earlier service."""
    ends: dict[tuple[str, int], int] = {}
    for topic, partition, _ in messages:
        ends[topic.name, partition] = ends.get((topic.name, partition), 0) + 1
    await until(lambda: service.crashed or landed_to(service, settings) == ends)


def landed_to(service: LandService, settings: Settings) -> dict[tuple[str, int], int]:
    prefix = settings.kafka.topic_prefix
    return {
        (tp.topic.removeprefix(prefix), tp.partition): offset for tp, offset in service.committed().items() if offset
    }


@pytest.mark.parametrize("kind", ["settings", "embedded"])
def test_every_event_lands_once_and_duplicates_are_counted(
    request: pytest.FixtureRequest, store: ClickHouseStore, kind: str
) -> None:
    settings: Settings = request.getfixturevalue(kind)
    messages, truth = workload()

    async def run() -> None:
        metrics = Metrics()
        async with land(settings, store, metrics) as service:
            await publish(settings, messages)
            await drained(service, settings, messages)
            assert service.progress().lag == 0
        assert outcomes(metrics) == (300, duplicates())
        assert await committed(settings) == {CHARGES.name: len(messages), FINDINGS.name: 0, ALERTS.name: 0,
                                             DEAD_LETTERS.name: 0}  # fmt: skip
        assert metric(metrics, "spendstream_event_to_landed_seconds_count") == len(messages)

    asyncio.run(run())
    truth_holds(store, truth)


def test_states_and_dead_letters_land_once_though_sent_again(settings: Settings, store: ClickHouseStore) -> None:
    mark = Mark(meter="token_call", window_seconds=10, partition=0, time=NOON)
    values = [(FINDINGS, finding()), (FINDINGS, mark), (FINDINGS, finding(revision=1)), (ALERTS, alert()),
              *((DEAD_LETTERS, dead_letter(n)) for n in range(5))]  # fmt: skip
    messages = [(topic, 0, value.model_dump_json().encode()) for topic, value in values]

    async def run() -> None:
        async with land(settings, store) as first:
            await publish(settings, messages)
            await drained(first, settings, messages)
        async with land(settings, store) as second:
            await publish(settings, messages)
            await drained(second, settings, messages * 2)

    asyncio.run(run())
    tables = [TABLES[topic.name].name for topic in TOPICS]
    counts = [store.query("SELECT count() AS n FROM {t:Identifier}", {"t": table})[0]["n"] for table in tables]
    assert counts == [0, 2, 1, 5]


def test_partitions_that_come_together_are_loaded_together(settings: Settings) -> None:
    asked: list[tuple[str, list[int]]] = []

    class Asked(MemoryStore):
        def open_intents(self, topic: str, partitions: Iterable[int]) -> list[Intent]:
            asked.append((topic, sorted(partitions)))
            return super().open_intents(topic, partitions)

    async def run() -> None:
        async with land(settings, Asked()) as service:
            await until(lambda: len(service.committed()) == sum(topic.partitions for topic in TOPICS))

    asyncio.run(run())
    assert {topic for topic, _ in asked} == {topic_name(settings, topic) for topic in TOPICS}
    every = {topic_name(settings, topic): list(range(topic.partitions)) for topic in TOPICS}
    assert all(partitions == every[topic] for topic, partitions in asked)


def test_what_is_not_ours_is_counted_and_its_neighbours_land(settings: Settings, store: ClickHouseStore) -> None:
    good = charges(charge(1), charge(2))
    messages = [(CHARGES, 0, value) for value in (b"{", good, b"", charges(), b"\xff" * 99, charges(charge(3)))]

    async def run() -> None:
        metrics = Metrics()
        async with land(settings, store, metrics) as service:
            await publish(settings, messages)
            await drained(service, settings, messages)
        assert metric(metrics, "spendstream_events_total", outcome="unstorable") == 3
        assert outcomes(metrics) == (3, 0)

    asyncio.run(run())


@pytest.mark.parametrize("step", STEPS)
def test_an_answer_that_is_lost_changes_nothing(settings: Settings, store: ClickHouseStore, step: str) -> None:
    messages, truth = workload(100)
    calls = count()

    def lose_every_second(operation: str) -> None:
        if operation == step and next(calls) % 2 == 0:
            raise StoreAway(operation, "no answer")

    async def run() -> None:
        metrics = Metrics()
        async with land(settings, FailingStore(store, lose_every_second), metrics) as service:
            await publish(settings, messages)
            await drained(service, settings, messages)
        assert metric(metrics, "spendstream_clickhouse_errors_total", operation=step) > 0
        assert outcomes(metrics) == (100, duplicates(100))

    asyncio.run(run())
    truth_holds(store, truth)
    assert store.query("SELECT batch FROM land_intents GROUP BY batch HAVING max(closed) = 0") == []


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_dies_after_any_step_loses_and_doubles_nothing(
    settings: Settings, store: ClickHouseStore, step: str
) -> None:
    messages, truth = workload(200)  # enough batches for all lives

    async def run() -> None:
        await publish(settings, messages)
        for nth in (0, 1, 3):
            await die(settings, FailingStore(store, killing(step, nth)))
        async with land(settings, store) as last:
            await drained(last, settings, messages)

    asyncio.run(run())
    truth_holds(store, truth)
    assert store.query("SELECT batch FROM land_intents GROUP BY batch HAVING max(closed) = 0") == []


def killing(step: str, nth: int) -> Callable[[str], None]:
    calls = count()

    def fault(operation: str) -> None:
        if operation == step and next(calls) >= nth:
            raise RuntimeError(step)

    return fault


async def die(settings: Settings, store: Store) -> None:
    """Run a service until the store ends it; nothing is committed for the batch in hand."""
    async with land(settings, store) as service:
        await until(lambda: service.crashed)
        assert isinstance(service.crash_reason, RuntimeError)


class Fenced(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer that the group has given up on, for its first commits."""

    failures: Iterator[int] = iter(())

    async def commit(self, offsets: Any = None) -> None:
        if next(self.failures, None) is not None:
            raise CommitFailedError
        await super().commit(offsets)


def test_a_commit_that_fails_has_the_partition_read_again(
    settings: Settings, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages, truth = workload(100)
    monkeypatch.setattr("streams.io.kafka.AIOKafkaConsumer", Fenced)
    monkeypatch.setattr(Fenced, "failures", iter(range(5)))

    async def run() -> None:
        metrics = Metrics()
        async with land(settings, store, metrics) as service:
            await publish(settings, messages)
            await drained(service, settings, messages)
        landed, again = outcomes(metrics)
        assert landed == 100
        assert again > duplicates(100)

    asyncio.run(run())
    truth_holds(store, truth)


def test_partitions_that_move_between_workers_under_load_lose_and_double_nothing(
    settings: Settings, store: ClickHouseStore, clickhouse: ClickHouse
) -> None:
    messages, truth = workload(900)

    async def run() -> None:
        sending = asyncio.create_task(trickle(settings, messages))
        with connect(clickhouse) as other:
            async with land(settings, store) as first:
                await until(lambda: sum(first.committed().values()) > 50)
                async with land(settings, other) as second:
                    await until(lambda: 0 < len(second.committed()) < 7 and sum(second.committed().values()) > 200)
                await sending
                await drained(first, settings, messages)

    asyncio.run(run())
    truth_holds(store, truth)


async def trickle(settings: Settings, messages: Sequence[Message]) -> None:
    for at in range(0, len(messages), 100):
        await publish(settings, messages[at : at + 100])


def test_while_clickhouse_is_away_memory_is_bounded_and_nothing_is_lost(
    settings: Settings, store: ClickHouseStore
) -> None:
    messages, truth = workload(600)
    away = [True]

    def fault(operation: str) -> None:
        if away[0] and operation == "save_intent":
            raise StoreAway(operation, "connection refused")

    async def run() -> None:
        metrics = Metrics()
        async with land(settings, FailingStore(store, fault), metrics) as service:
            await publish(settings, messages)
            failed = "spendstream_clickhouse_errors_total"
            await until(lambda: metric(metrics, failed, operation="save_intent") > 100)
            lag, at = service.progress()
            assert lag > 0
            assert asyncio.get_running_loop().time() - at < 5  # waiting is not being stuck
            taken = metric(metrics, "spendstream_records_total", stage="land", topic=topic_name(settings, CHARGES))
            assert taken < len(messages)  # the rest waits on Kafka
            away[0] = False
            await drained(service, settings, messages)

    asyncio.run(run())
    truth_holds(store, truth)


def test_a_topic_made_anew_lands_although_a_batch_of_the_old_one_was_cut_off(
    settings: Settings, store: ClickHouseStore
) -> None:
    old, _ = workload(40)
    new = [(CHARGES, n % 4, charges(charge(1000 + n))) for n in range(len(old))]

    async def run() -> None:
        await publish(settings, old)
        await die(settings, FailingStore(store, killing("insert", 0)))
        with EmbeddedBroker() as another:
            after = settings.model_copy(update={"kafka": another.configure(settings.kafka)})
            await create_topics(after)
            await publish(after, new)
            async with land(after, store, patience_seconds=0.1) as service:
                await drained(service, after, new)

    asyncio.run(run())
    rows = store.query(
        "SELECT count() AS n, uniqExact(id) AS ids FROM charges WHERE id >= 'call-1000' AND length(id) = 9"
    )
    assert rows == [{"n": len(new), "ids": len(new)}]
    assert store.query("SELECT batch FROM land_intents GROUP BY batch HAVING max(closed) = 0") == []


def test_a_batch_of_several_partitions_is_completed_by_whoever_gets_one_of_them(
    settings: Settings, store: ClickHouseStore, clickhouse: ClickHouse
) -> None:
    """Its worker is gone, and its partitions go to two others: each reads what it has of the other's from Kafka."""
    messages, truth = workload(200)
    rows = sum(read_record(TABLES[CHARGES.name], 0, value).rows for _, _, value in messages)
    patient = settings.model_copy(update={"land": Land(batch_rows=rows, linger_seconds=LIMIT_SECONDS)})

    async def run() -> None:
        await publish(settings, messages)
        await die(patient, FailingStore(store, killing("claim", 0)))
        assert store.query("SELECT count() AS n FROM land_intents") == [{"n": CHARGES.partitions}]
        with connect(clickhouse) as other:
            async with land(settings, store) as first, land(settings, other) as second:
                await until(lambda: bool(first.crashed or second.crashed) or both_hold(first, second))
                ends = Counter((topic.name, partition) for topic, partition, _ in messages)
                await until(lambda: landed_to(first, settings) | landed_to(second, settings) == ends)

    def both_hold(*services: LandService) -> bool:
        held = [{tp for tp in one.committed() if tp.topic.endswith(CHARGES.name)} for one in services]
        return all(held) and sum(map(len, held)) == CHARGES.partitions

    asyncio.run(run())
    truth_holds(store, truth)
    assert store.query("SELECT batch FROM land_intents GROUP BY batch HAVING max(closed) = 0") == []
