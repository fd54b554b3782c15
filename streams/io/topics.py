"""Creates the topics of the contract and says where a cluster departs from it. It changes nothing that exists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from schemas.topics import TOPICS, Topic
from streams.io.kafka import client_config, topic_name
from streams.settings import Settings

TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.1


class TopicsError(RuntimeError):
    """The broker cannot be reached, or refuses a topic. The text says which and why."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """What became of one topic. `differences` says in words where it is not as the contract has it."""

    name: str
    outcome: Literal["created", "present", "differs"]
    differences: tuple[str, ...] = ()


async def create_topics(settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[TopicState, ...]:
    """Create the topics that are missing and compare the others, in the order of the contract. May be repeated.

    Returns when every topic has a leader for each partition. Raises TopicsError.
    """
    try:
        async with asyncio.timeout(timeout_seconds), _admin(settings) as admin:
            created = await _create_missing(admin, settings)
            await _until_led(admin, created)
            return await _compare(admin, settings, created)
    except (TimeoutError, KafkaConnectionError):
        raise TopicsError(f"kafka.bootstrap_servers: no broker answers at {settings.kafka.bootstrap_servers}") from None
    except KafkaError as error:
        raise TopicsError(f"kafka at {settings.kafka.bootstrap_servers}: {error}") from None


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client, closed also when connecting failed."""
    client = AIOKafkaAdminClient(**client_config(settings.kafka), client_id="spendstream-init")
    try:
        await client.start()
        yield client
    finally:
        await client.close()


def _configs(topic: Topic) -> dict[str, str]:
    return {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_message_bytes),
    }


async def _create_missing(admin: AIOKafkaAdminClient, settings: Settings) -> frozenset[str]:
    """Create what the cluster does not list. Returns the names made by this call, not by one that ran beside it."""
    present = set(await admin.list_topics())
    missing = [topic for topic in TOPICS if topic_name(settings, topic) not in present]
    if not missing:
        return frozenset()
    response = await admin.create_topics([
        NewTopic(topic_name(settings, topic), topic.partitions, settings.kafka.replication_factor,
                 topic_configs=_configs(topic))
        for topic in missing
    ])  # fmt: skip
    created = set()
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if error is TopicAlreadyExistsError:
            continue
        if code:
            raise TopicsError(f"topic {name}: {error.__name__}: {next(filter(None, message), error.description)}")
        created.add(name)
    return frozenset(created)


async def _until_led(admin: AIOKafkaAdminClient, names: frozenset[str]) -> None:
    """Wait until the metadata shows the new topics: a consumer that joins before then gets no partition of them."""
    while names:
        topics = await admin.describe_topics(sorted(names))
        partitions = [partition for topic in topics for partition in (topic["partitions"] or [{"leader": -1}])]
        if all(topic["error_code"] == 0 for topic in topics) and all(p["leader"] >= 0 for p in partitions):
            return
        await asyncio.sleep(POLL_SECONDS)


async def _compare(admin: AIOKafkaAdminClient, settings: Settings, created: frozenset[str]) -> tuple[TopicState, ...]:
    names = {topic: topic_name(settings, topic) for topic in TOPICS}
    described = {topic["topic"]: topic for topic in await admin.describe_topics(sorted(names.values()))}
    configs = await _read_configs(admin, sorted(names.values()))
    states = []
    for topic, name in names.items():
        differences = _differences(topic, len(described[name]["partitions"]), configs.get(name, {}))
        outcome: Literal["created", "present", "differs"] = "differs" if differences else "present"
        states.append(TopicState(name, "created" if name in created else outcome, differences))
    return tuple(states)


def _differences(topic: Topic, partitions: int, configs: Mapping[str, str]) -> tuple[str, ...]:
    """Where a topic falls short. More partitions or larger messages than the contract asks for are no fault."""
    found = []
    if partitions < topic.partitions:
        found.append(f"{partitions} partitions, expected {topic.partitions}")
    for key, expected in _configs(topic).items():
        actual = configs.get(key, expected)  # a broker that does not tell is not held to differ
        enough = key == "max.message.bytes" and int(actual) >= int(expected)
        if actual != expected and not enough:
            found.append(f"{key} {actual}, expected {expected}")
    return tuple(found)


async def _read_configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    responses: list[Any] = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    )
    return {
        name: {key: value for key, value, *_ in entries}
        for response in responses
        for _code, _message, _type, name, entries in response.resources
    }


async def partition_counts(settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> dict[str, int]:
    """How many partitions each topic has, by its contract's name. Raises TopicsError, also when one is missing."""
    names = {topic_name(settings, topic): topic.name for topic in TOPICS}
    try:
        async with asyncio.timeout(timeout_seconds), _admin(settings) as admin:
            described = await admin.describe_topics(sorted(names))
    except (TimeoutError, KafkaConnectionError):
        raise TopicsError(f"kafka.bootstrap_servers: no broker answers at {settings.kafka.bootstrap_servers}") from None
    except KafkaError as error:
        raise TopicsError(f"kafka at {settings.kafka.bootstrap_servers}: {error}") from None
    counts = {names[topic["topic"]]: len(topic["partitions"] or ()) for topic in described}
    if missing := sorted(set(names.values()) - {name for name, count in counts.items() if count}):
        raise TopicsError(f"topics are missing: {', '.join(missing)}; run `spendstream init`")
    return counts


async def compare_topics(settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[TopicState, ...]:
    """Where the cluster departs from the contract; nothing is created. Raises TopicsError, also when one is missing."""
    await partition_counts(settings, timeout_seconds=timeout_seconds)
    async with asyncio.timeout(timeout_seconds), _admin(settings) as admin:
        return await _compare(admin, settings, frozenset())
