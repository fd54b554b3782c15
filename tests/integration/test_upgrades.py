"""A worker of today among records and tables of another release: it refuses in one line, and loses nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from schemas.topics import ALERTS, CHARGES, DEAD_LETTERS, FINDINGS, TICKS, Topic
from schemas.wire import HEADER
from streams.io.embedded import EmbeddedBroker
from streams.io.kafka import group_name, make_consumer, make_producer, topic_name
from streams.io.topics import create_topics
from tests.support.kafka import settings_for
from tests.support.records import charges

SPENDSTREAM = str(Path(sys.executable).with_name("spendstream"))


@pytest.mark.parametrize(
    ("stage", "topic"),
    [("roll", CHARGES), ("detect", TICKS), ("alert", FINDINGS), ("land", DEAD_LETTERS), ("land", ALERTS)],
)
def test_a_record_that_only_a_newer_release_can_read_ends_the_worker(
    broker: EmbeddedBroker, tmp_path: Path, stage: str, topic: Topic
) -> None:
    settings = settings_for(broker)
    name = topic_name(settings, topic)

    async def prepare() -> None:
        await create_topics(settings)
        producer = make_producer(settings, client_id="test")
        await producer.start()
        try:
            await producer.send_and_wait(name, charges(), partition=0, headers=[(HEADER, b"99")])
        finally:
            await producer.stop()

    async def committed() -> int | None:
        consumer = make_consumer(settings, group=group_name(settings, stage), client_id="look")
        await consumer.start()
        try:
            offset: int | None = await consumer.committed(TopicPartition(name, 0))
            return offset
        finally:
            await consumer.stop()

    asyncio.run(prepare())
    values = {
        "kafka.bootstrap_servers": settings.kafka.bootstrap_servers,
        "kafka.topic_prefix": settings.kafka.topic_prefix,
        "kafka.idempotent_producer": "false", "clickhouse.url": f"chdb://{tmp_path}/ch",
        "stages.state_dir": str(tmp_path / "state"), "metrics.port": "0", "alerts.log": "true",
    }  # fmt: skip
    sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    if stage == "land":
        subprocess.run([SPENDSTREAM, "init", *sets], check=True, capture_output=True, timeout=120)  # noqa: S603
    done = subprocess.run(  # noqa: S603
        [SPENDSTREAM, "worker", stage, *sets], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert f"{name}:0:0 has format 99" in line
    assert "docs/upgrading.md" in line
    assert not asyncio.run(committed())
