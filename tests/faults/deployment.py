"""A deployment for one fault: topics, database, workers and receiver of its own, and the stream flowing through it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.topics import ALERTS, CHARGES, DEAD_LETTERS, FINDINGS, TICKS, TOKEN_CALLS, Topic
from streams.io.clickhouse import ClickHouseStore, connect
from streams.io.clickhouse_server.process import EmbeddedClickHouse
from streams.io.kafka import client_config, group_name, make_producer, topic_name
from streams.io.topics import create_topics
from streams.settings import ClickHouse, Settings
from tests.faults.looker import Looker
from tests.faults.proxy import Proxy
from tests.faults.stream import PARTITIONS, Stream, Truth
from tests.faults.workers import ROOT, Worker, supervised
from tests.support.kafka import RealKafka, settings_for
from tests.support.receivers import FakeReceiver, fake_receiver

STAGES = ("price", "land", "roll", "detect", "alert")
READS: dict[str, tuple[Topic, ...]] = {
    "price": (TOKEN_CALLS,), "land": (CHARGES, FINDINGS, ALERTS, DEAD_LETTERS), "roll": (CHARGES,),
    "detect": (TICKS,), "alert": (FINDINGS,),
}  # fmt: skip
SETTLED_SECONDS = 3.0
LIMIT_SECONDS = 300.0


@dataclass(slots=True)
class Sending:
    """The stream on its way. `offered` is the truth of what the broker may have by now."""

    offered: Truth = field(default_factory=Truth)
    done: bool = False


class Deployment:
    """A running one. Faults are done to `workers`, `proxy`, `receiver`, `kafka` and `clickhouse`."""

    def __init__(
        self, kafka: RealKafka, clickhouse: EmbeddedClickHouse, stream: Stream, folder: Path, **sections: Any
    ) -> None:
        self.kafka = kafka
        self.clickhouse = clickhouse
        self.stream = stream
        self.folder = folder
        self.proxy = Proxy(clickhouse.url)
        self.sending = Sending()
        self.notes: list[str] = []  # what a scenario measured, for its row's details
        self.random = random.Random(folder.name)
        self._sections = sections
        self.receiver: FakeReceiver
        self.settings: Settings
        self.store: ClickHouseStore
        self.looker: Looker
        self.workers: dict[str, Worker] = {}

    def add(self, name: str, *stages: str, code: Path = ROOT) -> Worker:
        """Another worker, not started."""
        worker = self.workers[name] = Worker(name, stages or STAGES, self._environment(), self.folder, code)
        return worker

    def _environment(self) -> Mapping[str, str]:
        """The settings as a worker reads them."""
        settings = self.settings.model_dump(mode="json", include=set(self._given))
        return {
            f"SPENDSTREAM_{section}__{name}".upper(): value if isinstance(value, str) else json.dumps(value)
            for section, names in self._given.items()
            for name in names
            for value in [self._raw.get(f"{section}.{name}", settings[section][name])]
            if value is not None
        }

    def prepare(self) -> None:
        """Settings, from what the deployment is made of."""
        database = f"faults_{self.folder.name.replace('-', '_')}"
        receiver = [{"name": "hook", "url": f"json://{self.receiver.address}/alerts"}]
        sections: dict[str, dict[str, Any]] = {
            "kafka": {"session_timeout_seconds": 6.0, "rebalance_timeout_seconds": 4.0},
            "clickhouse": {"url": self.proxy.url, "database": database, "timeout_seconds": 4.0},
            # What closes windows and groups alerts is the stream alone, so that it is the same with and without faults.
            "roll": {"idle_seconds": 3600.0},
            "alerts": {"hold_seconds": 600.0, "min_excess_usd": 0.05, "log": False, "receivers": receiver},
            "land": {"batch_rows": 2000, "linger_seconds": 0.3},
            "stages": {"state_dir": str(self.folder / "state"), "checkpoint_seconds": 1.0, "stuck_seconds": 60.0},
            "metrics": {"port": 0},
        }
        for section, values in self._sections.items():
            sections.setdefault(section, {}).update(values)
        self.settings = settings_for(self.kafka, **sections)
        self._given = {name: list(values) for name, values in sections.items()}
        self._given["kafka"] += ["bootstrap_servers", "topic_prefix", "idempotent_producer"]
        self._raw = {"alerts.receivers": json.dumps(receiver)}  # a secret is dumped as stars

    # What is awaited.

    async def until(self, condition: Callable[[], bool], what: str, limit: float = LIMIT_SECONDS) -> None:
        """Await a condition."""
        until = time.monotonic() + limit
        while not condition():
            if time.monotonic() > until:
                said = "\n".join(f"--- {w.name} (died {w.died})\n{w.said()}" for w in self.workers.values())
                raise TimeoutError(f"waited {limit:.0f} s for {what}\n{said}")
            await asyncio.sleep(0.05)

    async def sent(self, share: float) -> None:
        """Until so much of the stream is sent."""
        await self.until(lambda: self.sending.offered.read >= share * self.stream.truth.read, f"{share:.0%} to be sent")

    async def landed(self, events: int) -> None:
        """Until so many events are seen in ClickHouse."""
        await self.until(lambda: self.looker.seen.landed >= events, f"{events} events to land")

    async def all_landed(self) -> None:
        await self.until(lambda: self.sending.done, "the stream to be sent")
        await self.landed(self.stream.truth.all.events)

    async def passed(self, stages: Sequence[str]) -> float:
        """Until the stages' groups have committed what stands on Kafka now. Returns the seconds that took."""
        started = time.monotonic()
        ends = {stage: await self._ends(READS[stage]) for stage in stages}
        for stage, wanted in ends.items():
            until = time.monotonic() + LIMIT_SECONDS
            while not await self._has_committed(stage, wanted):
                if time.monotonic() > until:
                    raise TimeoutError(f"{stage} did not catch up within {LIMIT_SECONDS:.0f} s")
                await asyncio.sleep(0.1)
        return time.monotonic() - started

    async def members(self, stage: str) -> frozenset[str]:
        """The ids of a group's members: a rebalance leaves none of them as it was, or adds one."""
        _, ids = await self._group(stage)
        return ids

    async def shared(self, stage: str, workers: int) -> None:
        """Until a group has so many members, each of whom knows its partitions."""
        until = time.monotonic() + LIMIT_SECONDS
        while True:
            state, ids = await self._group(stage)
            if state == "Stable" and len(ids) == workers:
                return
            if time.monotonic() > until:
                raise TimeoutError(f"{stage} is {state} with {len(ids)} of {workers} members")
            await asyncio.sleep(0.1)

    async def _group(self, stage: str) -> tuple[str, frozenset[str]]:
        """The state of a stage's group, and the ids of its members."""
        admin = AIOKafkaAdminClient(**client_config(self.settings.kafka))
        await admin.start()
        try:
            described = await admin.describe_consumer_groups([group_name(self.settings, stage)])
        finally:
            await admin.close()
        _, _, state, _, _, members, *_ = described[0].groups[0]
        return state, frozenset(member[0] for member in members)

    async def _ends(self, topics: Sequence[Topic]) -> dict[TopicPartition, int]:
        consumer = AIOKafkaConsumer(**client_config(self.settings.kafka))
        await consumer.start()
        try:
            tps = [
                TopicPartition(topic_name(self.settings, topic), partition)
                for topic in topics
                for partition in range(topic.partitions)
            ]
            found: dict[TopicPartition, int] = await consumer.end_offsets(tps)
            return found
        finally:
            await consumer.stop()

    async def _has_committed(self, stage: str, wanted: Mapping[TopicPartition, int]) -> bool:
        admin = AIOKafkaAdminClient(**client_config(self.settings.kafka))
        try:
            await admin.start()
            found = await admin.list_consumer_group_offsets(group_name(self.settings, stage))
        except KafkaError:
            return False
        finally:
            await admin.close()
        return all(end == 0 or (tp in found and found[tp].offset >= end) for tp, end in wanted.items())

    # The stream.

    async def send(self, seconds: float) -> None:
        """Send everything, evenly over so many seconds, each record until the broker has it."""
        producer = make_producer(self.settings, client_id="faults")
        await producer.start()
        topic, began = topic_name(self.settings, TOKEN_CALLS), time.monotonic()
        try:
            futures = []
            for number, record in enumerate(self.stream.records):
                self.sending.offered.add(record)
                futures.append(await producer.send(topic, record.value, partition=record.partition % PARTITIONS))
                ahead = began + seconds * number / len(self.stream.records) - time.monotonic()
                if ahead > 0.02:
                    await asyncio.sleep(ahead)
            await asyncio.gather(*futures)
        finally:
            await producer.stop()
        self.sending.done = True


@contextlib.asynccontextmanager
async def deployed(deployment: Deployment) -> AsyncIterator[Deployment]:
    """Everything but the workers: topics, tables, receiver, proxy, looker."""
    with fake_receiver() as receiver:
        deployment.receiver = receiver
        async with deployment.proxy:
            deployment.prepare()
            await create_topics(deployment.settings)
            direct = deployment.settings.clickhouse.model_copy(update={"url": deployment.clickhouse.url})
            with connect(ClickHouse.model_validate(direct.model_copy(update={"timeout_seconds": 30.0}))) as store:
                await asyncio.to_thread(store.migrate)
                deployment.store = store
                async with Looker(store, lambda: deployment.sending.offered) as looker:
                    deployment.looker = looker
                    yield deployment


@contextlib.asynccontextmanager
async def flowing(deployment: Deployment, seconds: float, *, all_there: bool = False) -> AsyncIterator[None]:
    """The workers that were added, running, and the stream on its way, not before those of `price` are `all_there`."""
    async with supervised(list(deployment.workers.values())):
        if all_there:
            await deployment.shared("price", sum("price" in worker.stages for worker in deployment.workers.values()))
        sending = asyncio.create_task(deployment.send(seconds))
        try:
            yield
            await sending
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await sending
