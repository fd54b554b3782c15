"""The shared loop on a broker: a state sees each record once, whatever crashes or moves in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from schemas.topics import ALERTS, TICKS
from streams.io.checkpoints import CheckpointError, Checkpoints, State
from streams.io.kafka import client_config, group_name, make_consumer, make_producer, topic_name
from streams.io.topics import create_topics
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages import consuming
from streams.stages.consuming import ConsumingService
from streams.stages.sending import Outgoing, Send
from tests.support.kafka import settings_for

LIMIT_SECONDS = 180.0


class CrashError(Exception):
    """A bug in a stage, for tests."""


class Summing(ConsumingService[dict[str, int]]):
    """Sums the numbers of each partition; sends the running sum of each record, keyed by its position."""

    stage = "sum"

    def __init__(self, settings: Settings, checkpoints: Checkpoints, *, crash_on: int | None = None) -> None:
        super().__init__(
            settings,
            Metrics(),
            topics=[topic_name(settings, TICKS)],
            make_consumer=lambda: make_consumer(settings, group=group_name(settings, "sum"), client_id="sum"),
            make_producer=lambda: make_producer(settings, client_id="sum"),
            checkpoints=checkpoints,
            clock=lambda: datetime.now(UTC),
        )
        self._crash_on = crash_on
        self.idled = 0

    def open(self, tp: TopicPartition, checkpoint: State | None) -> dict[str, int]:
        return dict(checkpoint) if checkpoint else {"sum": 0, "seen": 0, "partition": tp.partition}

    def process(self, state: dict[str, int], records: Sequence[ConsumerRecord]) -> Sequence[Send]:
        sends = []
        for record in records:
            number = int(record.value)
            if number == self._crash_on:
                raise CrashError
            state["sum"] += number
            state["seen"] += 1
            key = f"{record.partition}:{record.offset}".encode()
            sends.append(Send(topic_name(self.settings, ALERTS), key, str(state["sum"]).encode(), partition=0))
        return sends

    def snapshot(self, state: dict[str, int]) -> State:
        return dict(state)

    def idle(self, state: dict[str, int], now: datetime) -> Sequence[Send]:  # noqa: ARG002
        self.idled += 1
        return ()


def made(broker: Any, **stages: Any) -> Settings:
    settings = settings_for(broker, stages={"checkpoint_seconds": 0.2, "max_records_per_poll": 20, **stages})
    asyncio.run(create_topics(settings))
    return settings


def hasty(settings: Settings) -> Settings:
    """As `settings`, but the group gives up on a member quickly."""
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"session_timeout_seconds": 6.0})})


@pytest.fixture(params=["broker", "kafka"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return made(request.getfixturevalue(request.param))


@asynccontextmanager
async def running(settings: Settings, store: Checkpoints) -> AsyncIterator[Summing]:
    service = Summing(settings, store)
    async with service:
        yield service


async def publish(settings: Settings, numbers: Sequence[int]) -> None:
    producer = make_producer(settings, client_id="test")
    await producer.start()
    try:
        for number in numbers:
            await producer.send(topic_name(settings, TICKS), str(number).encode(), partition=number % 4)
    finally:
        await producer.stop()


async def sent(settings: Settings) -> dict[str, set[int]]:
    """The sums that were sent for each position: one value each, if repeats are identical."""
    consumer = make_consumer(settings, group=group_name(settings, "look"), client_id="look")
    await consumer.start()
    found: dict[str, set[int]] = {}
    try:
        tp = TopicPartition(topic_name(settings, ALERTS), 0)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    found.setdefault(record.key.decode(), set()).add(int(record.value))
    finally:
        await consumer.stop()
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110  (the state tells nobody that it changed)
            await asyncio.sleep(0.02)


def seen(*services: Summing) -> int:
    return sum(state["seen"] for service in services for state in service.states())


def expected(numbers: range) -> dict[str, set[int]]:
    """Every number's position and the running sum there, reckoned by hand."""
    sums: dict[int, list[int]] = {}
    for number in numbers:
        row = sums.setdefault(number % 4, [])
        row.append(number + (row[-1] if row else 0))
    return {f"{p}:{offset}": {value} for p, row in sums.items() for offset, value in enumerate(row)}


def test_a_restart_goes_on_where_it_stopped(settings: Settings, tmp_path: Path) -> None:
    async def run() -> None:
        store = Checkpoints(tmp_path)
        async with running(settings, store) as first:
            await publish(settings, range(100))
            await until(lambda: seen(first) == 100)
        async with running(settings, store) as second:
            await until(lambda: seen(second) == 100)
            await publish(settings, range(100, 200))
            await until(lambda: seen(second) == 200)
            await until(lambda: second.progress().lag == 0)
            await until(lambda: second.idled > 4)
        assert await sent(settings) == expected(range(200))

    asyncio.run(run())


def test_a_crash_repeats_identical_outputs_and_loses_none(settings: Settings, tmp_path: Path) -> None:
    async def run() -> None:
        store = Checkpoints(tmp_path)
        await publish(settings, range(400))
        for crash_on in (60, 200, 320):  # of one partition: others may be read and saved beyond theirs before
            crashing = Summing(settings, store, crash_on=crash_on)
            async with crashing:
                await until(lambda service=crashing: service.crashed)  # type: ignore[misc]
                assert isinstance(crashing.crash_reason, CrashError)
        async with running(settings, store) as last:
            await until(lambda: seen(last) == 400)
        assert await sent(settings) == expected(range(400))

    asyncio.run(run())


def test_a_full_disk_stops_no_work_and_commits_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        store = Checkpoints(tmp_path)

        def full(*_: Any, **__: Any) -> None:
            raise CheckpointError("no space")

        monkeypatch.setattr(store, "save", full)
        async with running(settings, store) as service:
            await publish(settings, range(40))
            await until(lambda: seen(service) == 40)
            await service.checkpoint()
        monkeypatch.undo()
        async with running(settings, store) as again:
            await until(lambda: seen(again) == 40)
        assert await sent(settings) == expected(range(40))

    asyncio.run(run())


def test_partitions_move_between_workers_with_their_state(kafka: Any, tmp_path: Path) -> None:
    settings = made(kafka)

    async def run() -> None:
        store = Checkpoints(tmp_path)
        async with running(settings, store) as first:
            await publish(settings, range(100))
            await until(lambda: seen(first) == 100)
            async with running(settings, store) as second:
                await until(lambda: len(first.states()) == len(second.states()) == 2)
                await publish(settings, range(100, 300))
                await until(lambda: seen(first, second) == 300)
            await until(lambda: len(first.states()) == 4)
            await publish(settings, range(300, 400))
            await until(lambda: seen(first) == 400)
        assert await sent(settings) == expected(range(400))

    asyncio.run(run())


def test_the_broker_away_delays_and_loses_nothing(kafka: Any, tmp_path: Path) -> None:
    settings = hasty(made(kafka))

    async def run() -> None:
        async with running(settings, Checkpoints(tmp_path)) as service:
            await publish(settings, range(50))
            await until(lambda: seen(service) == 50)
            await asyncio.to_thread(kafka.kill)
            checkpoint = asyncio.create_task(service.checkpoint())
            await asyncio.to_thread(kafka.start)
            await checkpoint
            await publish(settings, range(50, 100))
            await until(lambda: seen(service) == 100)
        assert await sent(settings) == expected(range(100))

    asyncio.run(run())


class Stuck(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """A producer that confirms nothing: an idempotent one retries for as long as a partition has no leader."""

    async def send(self, *_: Any, **__: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()


def test_it_stops_while_outputs_are_not_confirmed_and_the_next_one_repeats_them(
    broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, store = made(broker), Checkpoints(tmp_path)
    monkeypatch.setattr(consuming, "CLOSE_SECONDS", 0.5)

    async def run() -> None:
        service = Summing(settings, store)
        service._outgoing = Outgoing(lambda: Stuck(**client_config(settings.kafka)), in_flight=10)
        await publish(settings, range(8))
        async with asyncio.timeout(LIMIT_SECONDS), service:
            await until(lambda: seen(service) > 0)
        async with running(settings, store) as after:
            await until(lambda: seen(after) == 8)
        assert await sent(settings) == expected(range(8))

    asyncio.run(run())


def crashes(settings: Settings, store: Checkpoints) -> str:
    """Why the service does not run."""

    async def run() -> str:
        service = Summing(settings, store)
        async with service:
            await until(lambda: service.crashed)
            return str(service.crash_reason)

    return asyncio.run(run())


def test_a_topic_made_anew_is_refused_while_it_is_empty(settings: Settings, tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save("sum", topic_name(settings, TICKS), 2, offset=7, state={"sum": 1, "seen": 1, "partition": 2})
    assert "spend.ticks-2: it stands at offset 7 and the broker gives 0" in crashes(settings, store)


def test_a_topic_made_anew_is_refused_when_it_has_records(kafka: Any, tmp_path: Path) -> None:
    settings, store = made(kafka), Checkpoints(tmp_path)
    asyncio.run(publish(settings, range(12)))
    store.save("sum", topic_name(settings, TICKS), 2, offset=7, state={"sum": 1, "seen": 1, "partition": 2})
    assert "spend.ticks-2: it stands at offset 7 and the broker gives 0" in crashes(settings, store)


def test_an_unreadable_checkpoint_stops_the_service_and_is_named(broker: Any, tmp_path: Path) -> None:
    settings, store = made(broker), Checkpoints(tmp_path)
    path = store.path("sum", topic_name(settings, TICKS), 0)
    path.parent.mkdir()
    path.write_bytes(b"torn")
    assert path.name in crashes(settings, store)


def test_it_waits_for_a_broker_that_is_not_there_yet(broker: Any, tmp_path: Path) -> None:
    settings = made(broker)
    refusals = 2

    def make() -> AIOKafkaConsumer:
        nonlocal refusals
        refusals -= 1
        consumer = make_consumer(settings, group=group_name(settings, "sum"), client_id="sum")
        if refusals >= 0:
            consumer.start = refuse
        return consumer

    async def refuse() -> None:
        raise KafkaConnectionError

    async def run() -> None:
        service = Summing(settings, Checkpoints(tmp_path))
        service._make_consumer = make
        await publish(settings, range(8))
        async with service:
            await until(lambda: seen(service) == 8)
        assert refusals == -1

    asyncio.run(run())


def test_a_commit_that_fails_is_made_again_though_nothing_more_comes(broker: Any, tmp_path: Path) -> None:
    settings = made(broker)
    tps = [TopicPartition(topic_name(settings, TICKS), partition) for partition in range(4)]
    failing = 2

    def make() -> AIOKafkaConsumer:
        consumer = make_consumer(settings, group=group_name(settings, "sum"), client_id="sum")
        commit = consumer.commit

        async def sometimes(offsets: Any) -> None:
            nonlocal failing
            failing -= 1
            if failing >= 0:
                raise KafkaConnectionError
            await commit(offsets)

        consumer.commit = sometimes
        return consumer

    async def run() -> list[int | None]:
        service = Summing(settings, Checkpoints(tmp_path))
        service._make_consumer = make
        await publish(settings, range(8))
        async with service:
            await until(lambda: seen(service) == 8 and failing < 0)
            await service.checkpoint()
            consumer = service._consumer
            assert consumer is not None
            return [await consumer.committed(tp) for tp in tps]

    assert asyncio.run(run()) == [2, 2, 2, 2]


def test_a_backlog_is_taken_in_step(broker: Any, tmp_path: Path) -> None:
    """One partition must not be taken to its end before the next is begun: what is made of it would wait for that."""
    settings = made(broker, max_records_per_poll=1)
    taken: list[int] = []

    class InOrder(Summing):
        in_step = True

        def process(self, state: dict[str, int], records: Sequence[ConsumerRecord]) -> Sequence[Send]:
            taken.extend(record.partition for record in records)
            return super().process(state, records)

    async def run() -> None:
        producer = make_producer(settings, client_id="test", linger_ms=100)  # or some would be there before others
        await producer.start()
        service = InOrder(settings, Checkpoints(tmp_path))
        async with service:
            await until(lambda: len(service.states()) == 4)
            for number in range(40):  # a second apart, an hour ago
                at = int((time.time() - 3600.0 + number // 4) * 1000)
                await producer.send(topic_name(settings, TICKS), b"1", partition=number % 4, timestamp_ms=at)
            await producer.stop()
            await until(lambda: len(taken) == 40)

    asyncio.run(run())
    counts, ahead = [0] * 4, 0
    for partition in taken:
        ahead += counts[partition] > min(count for count in counts if count < 10) + 1
        counts[partition] += 1
    assert (
        ahead <= 8
    )  # of 24 one after the other; a machine that stands still looks like a partition that can't be read


class Slow(Checkpoints):
    """Takes a while to save, as a state of very many series does."""

    saved = 0

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        self.saved += 1
        time.sleep(0.1)


def test_what_takes_long_to_save_is_saved_seldom(broker: Any, tmp_path: Path) -> None:
    settings = made(broker, checkpoint_seconds=0.01, max_records_per_poll=1)
    store = Slow(tmp_path)

    async def run() -> float:
        await publish(settings, range(4))
        async with running(settings, store) as service:
            await until(lambda: store.saved == 4)
            began = time.monotonic()
            await publish(settings, range(4))
            await until(lambda: seen(service) == 8)
            await until(lambda: store.saved > 4)
            return time.monotonic() - began

    assert asyncio.run(run()) > 0.9  # one takes 0.1 s, and is a tenth of the time at most


def test_what_was_read_at_the_start_is_not_written_again_at_once(broker: Any, tmp_path: Path) -> None:
    settings = made(broker, checkpoint_seconds=600.0)
    store = Slow(tmp_path)

    class Large(Summing):
        def open(self, tp: TopicPartition, checkpoint: State | None) -> dict[str, int]:
            self._checkpoint_due = time.monotonic()  # as if to open it took as long as checkpoints are apart
            return super().open(tp, checkpoint)

    async def run() -> int:
        service = Large(settings, store)
        async with service:
            await publish(settings, range(4))
            await until(lambda: seen(service) == 4)
            idled = service.idled
            await until(lambda: service.idled >= idled + 2 * TICKS.partitions)  # the loop has looked what is due
            return store.saved

    assert asyncio.run(run()) == 0
    assert store.saved == 4  # and at the end it is


def test_what_must_be_written_before_it_is_said_waits_for_no_turn(broker: Any, tmp_path: Path) -> None:
    settings = made(broker, checkpoint_seconds=600.0, max_records_per_poll=1)
    store = Slow(tmp_path)

    class Urgent(Summing):
        def process(self, state: dict[str, int], records: Sequence[ConsumerRecord]) -> Sequence[Send]:
            self.checkpoint_soon()
            return super().process(state, records)

    async def run() -> float:
        service = Urgent(settings, store)
        async with service:
            await publish(settings, [0])
            await until(lambda: store.saved == 1)
            service._not_before = time.monotonic() + 600.0  # as after one that took a minute
            await publish(settings, [4])
            await until(lambda: store.saved == 2)
        return service._not_before - time.monotonic()

    assert asyncio.run(run()) < 60.0
