"""Histories sent at a pace, on the embedded broker: when they arrive, what may be sent again, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from schemas.topics import TOKEN_CALLS
from streams.io.embedded import EmbeddedBroker
from streams.io.kafka import topic_name
from streams.io.topics import create_topics
from streams.settings import Settings
from tests.support.kafka import settings_for

COMMAND = Path(sys.executable).with_name("spendstream")
PER_SECOND = 60  # seconds of the history


def calls(path: Path, seconds: int) -> Path:
    """A call for each second that sending takes."""
    lines = []
    for n in range(seconds + 1):
        data = {"provider": "openai", "model": "gpt-4o", "input_tokens": n}
        at = f"2026-10-01T00:{n:02}:00Z"
        lines.append(
            {
                "specversion": "1.0",
                "id": str(n),
                "source": "/s",
                "type": "spendstream.token_call.v1",
                "time": at,
                "data": data,
            }
        )
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture
def settings(broker: EmbeddedBroker) -> Settings:
    made = settings_for(broker)
    asyncio.run(create_topics(made))
    return made


def start(settings: Settings, *words: object) -> subprocess.Popen[str]:
    own = {"BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers, "TOPIC_PREFIX": settings.kafka.topic_prefix,
           "IDEMPOTENT_PRODUCER": "false"}  # fmt: skip
    environment = {**os.environ, **{f"SPENDSTREAM_KAFKA__{name}": value for name, value in own.items()}}
    arguments = [str(word) for word in (COMMAND, "send", *words)]
    return subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)  # noqa: S603


def ended(process: subprocess.Popen[str]) -> str:
    said = process.communicate(timeout=60)[1]
    assert "Traceback" not in said
    return said


async def arrived(settings: Settings, wanted: int) -> list[tuple[int, dict[str, Any]]]:
    """The first events on the topic, each with the broker's time of arrival in milliseconds."""
    consumer = AIOKafkaConsumer(
        topic_name(settings, TOKEN_CALLS),
        bootstrap_servers=settings.kafka.bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    found: list[tuple[int, dict[str, Any]]] = []
    try:
        async with asyncio.timeout(120):
            while len(found) < wanted:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        value = json.loads(record.value)
                        found += [(record.timestamp, one) for one in (value if isinstance(value, list) else [value])]
    finally:
        await consumer.stop()
    return sorted(found, key=lambda one: one[1]["time"])


def test_a_minute_a_second_from_now_on(settings: Settings, tmp_path: Path) -> None:
    file = calls(tmp_path / "calls.ndjson", 3)
    before = time.time()
    process = start(settings, file, "--speed", f"{PER_SECOND}x", "--shift-to-now")
    said = ended(process)
    assert process.returncode == 0, said
    found = asyncio.run(arrived(settings, 4))
    stamps = [stamp for stamp, _ in found]
    for n, stamp in enumerate(stamps):
        assert stamp - stamps[0] >= n * 1000 - 600, "sent before it was due"
    moved = [one["time"] for _, one in found]
    first = time.mktime(time.strptime(moved[0][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert before - 61 <= first <= time.time()
    assert [one["data"]["input_tokens"] for _, one in found] == [0, 1, 2, 3]
    shift = said.split("--shift ")[1].split()[0]
    again = start(settings, file, "--shift", shift)
    ended(again)
    ids = [one["id"] for _, one in asyncio.run(arrived(settings, 8))]
    assert sorted(ids) == sorted([one["id"] for _, one in found] * 2)  # the same events: duplicates to the service


def test_interrupted_it_says_how_far_it_came(settings: Settings, tmp_path: Path) -> None:
    process = start(settings, calls(tmp_path / "calls.ndjson", 50), "--speed", f"{PER_SECOND}x", "--shift-to-now")
    try:
        asyncio.run(arrived(settings, 2))
    finally:
        process.send_signal(signal.SIGINT)
        said = ended(process)
    assert process.returncode == 1
    assert "interrupted; " in said
    assert "events were acknowledged; the same events again: --shift " in said
    assert "interrupted; 0 events" not in said
