"""Where a stage stands on its topic, as the broker knows it: what a checkpoint made by hand must fit to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from schemas.topics import Topic
from streams.io.kafka import client_config, group_name, make_consumer, topic_name
from streams.io.topics import TIMEOUT_SECONDS, TopicsError, partition_counts
from streams.settings import Settings

GONE = {"Dead", "Empty", ""}  # states of a group that nobody is in


@dataclass(frozen=True, slots=True)
class Position:
    """One partition: the first offset that is still there, and the committed one, None when there is none."""

    partition: int
    first: int
    committed: int | None

    @property
    def start(self) -> int:
        """Where a stage without a checkpoint begins."""
        return max(self.first, self.committed or 0)


async def positions(settings: Settings, stage: str, topic: Topic) -> list[Position]:
    """The stage's positions on the topic, by partition. Raises TopicsError."""
    count = (await partition_counts(settings))[topic.name]
    name = topic_name(settings, topic)
    tps = [TopicPartition(name, partition) for partition in range(count)]
    consumer = make_consumer(settings, group=group_name(settings, stage), client_id="spendstream-positions")
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await consumer.start()
            firsts = await consumer.beginning_offsets(tps)
            return [Position(tp.partition, firsts[tp], await consumer.committed(tp)) for tp in tps]
    except (TimeoutError, KafkaError) as error:
        raise TopicsError(f"{name}: the offsets can't be read ({type(error).__name__})") from None
    finally:
        await consumer.stop()


async def is_running(settings: Settings, stage: str) -> bool:
    """Whether a worker is in the stage's group. False where the broker doesn't tell. Raises TopicsError."""
    admin = AIOKafkaAdminClient(**client_config(settings.kafka), client_id="spendstream-positions")
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await admin.start()
            (answer,) = await admin.describe_consumer_groups([group_name(settings, stage)])
            # (error, group, state, protocol type, protocol, members, ...)
            return any(group[2] not in GONE and group[5] for group in answer.groups)
    except (TimeoutError, KafkaConnectionError):
        raise TopicsError(f"kafka.bootstrap_servers: no broker answers at {settings.kafka.bootstrap_servers}") from None
    except KafkaError:
        return False
    finally:
        await admin.close()
