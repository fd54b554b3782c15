"""What `price` needs of Faust's transport: where silent partitions end, and many records at a time, acked in order."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from schemas.topics import GPU, TOKEN_CALLS, USAGE_TOPICS
from streams.app import FETCHES_WAITING, Worker, faust_app
from streams.io import kafka
from streams.io.faust_transport import FETCH_WAIT_MS
from streams.io.topics import create_topics
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.price import assigned
from streams.stages.pulse import heard_at
from tests.support.kafka import settings_for

LIMIT_SECONDS = 180.0


@pytest.mark.parametrize("kind", ["broker", "kafka"])
def test_a_silent_source_is_heard_of_again_and_again(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = settings_for(
        request.getfixturevalue(kind), stages={"state_dir": tmp_path / "state"}, metrics={"port": 0}
    )

    async def run() -> None:
        await create_topics(settings)
        worker = Worker(settings, ["price"], Metrics())
        async with asyncio.timeout(LIMIT_SECONDS), worker:
            app: Any = worker.hosted[0].service
            partitions = sum(topic.partitions for topic in USAGE_TOPICS)
            first: dict[TP, float] = {}
            while len(first) < partitions:
                assert not worker.failed.is_set(), worker.failure
                heard = {tp: heard_at(app.consumer, tp) for tp in assigned(app)}
                first = {tp: at for tp, at in heard.items() if at is not None}
                await asyncio.sleep(0.01)
            while not all((heard_at(app.consumer, tp) or 0.0) > at for tp, at in first.items()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert app.consumer._thread._consumer._fetcher._fetch_max_wait_ms == FETCH_WAIT_MS

    asyncio.run(run())


def test_what_an_agent_has_enough_of_waits_and_keeps_no_other_topic_waiting(broker: Any, tmp_path: Path) -> None:
    """Neither may memory grow with the backlog, nor a record be committed that was not acked, nor any be left out."""
    settings = settings_for(broker, stages={"state_dir": tmp_path / "state", "max_records_per_poll": 10})
    slow, quick = kafka.topic_name(settings, TOKEN_CALLS), kafka.topic_name(settings, GPU)
    backlog = 50 * FETCHES_WAITING
    handed, seen, acked, go_on = list[int](), list[int](), asyncio.Event(), asyncio.Event()

    async def run() -> None:
        await create_topics(settings)
        app = faust_app(settings)

        @app.agent(app.topic(slow, key_serializer="raw", value_serializer="raw"), name="slow")
        async def _(stream: Any) -> None:
            async for event in stream.noack().events():
                handed.append(len(event.value))
                await go_on.wait()
                seen.extend(record.offset for record in event.value)
                event.ack()

        @app.agent(app.topic(quick, key_serializer="raw", value_serializer="raw"), name="quick")
        async def _(stream: Any) -> None:
            async for event in stream.noack().events():
                event.ack()
                acked.set()

        producer = kafka.make_producer(settings, client_id="test")
        async with asyncio.timeout(LIMIT_SECONDS), app:
            await producer.start()
            sent = [await producer.send(slow, b"{}", partition=0) for _ in range(backlog)]
            await asyncio.gather(*sent)
            consumer: Any = app.consumer
            tp = TP(slow, 0)
            while (consumer._read_offset.get(tp) or 0) < 10 * (FETCHES_WAITING - 1) - 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await producer.send_and_wait(quick, b"{}", partition=0)
            await acked.wait()
            assert len(handed) == 1
            assert consumer._read_offset[tp] < 10 * (FETCHES_WAITING + 2)
            await consumer.commit()
            assert not consumer._committed_offset[tp]
            go_on.set()
            while len(seen) < backlog:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await consumer.commit()
            assert consumer._committed_offset[tp] == backlog
            await producer.stop()
        assert seen == list(range(backlog))
        assert max(handed) > 1

    asyncio.run(run())


def test_what_comes_while_partitions_move_is_not_left_out(kafka: Any, tmp_path: Path) -> None:
    """Faust puts aside what a fetch brings in the middle of a rebalance."""
    settings = settings_for(kafka, stages={"state_dir": tmp_path / "state"})
    seen = set[bytes]()

    async def run() -> set[bytes]:
        await create_topics(settings)
        moved = asyncio.Event()
        async with asyncio.timeout(LIMIT_SECONDS), _reader(settings, seen) as stays:
            flowing = asyncio.create_task(_flow(settings, moved))
            await _shared_by(stays)
            for _ in range(3):
                async with _reader(settings, seen) as comes:
                    await _shared_by(stays, comes)
                await _shared_by(stays)
            moved.set()
            sent, last = await flowing
            while not seen >= last:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return sent

    assert not asyncio.run(run()) - seen


def _reader(settings: Settings, seen: set[bytes]) -> Any:
    """A member of the group, which adds the values that it is handed to `seen`."""
    app = faust_app(settings)
    channel = app.topic(kafka.topic_name(settings, TOKEN_CALLS), key_serializer="raw", value_serializer="raw")

    @app.agent(channel, name="reader")
    async def _(stream: Any) -> None:
        async for event in stream.noack().events():
            seen.update(record.value for record in event.value)
            event.ack()

    return app


async def _shared_by(*apps: Any) -> None:
    """Wait until each reads its share."""
    share = TOKEN_CALLS.partitions // len(apps)
    while any(app.rebalancing or len(assigned(app)) != share for app in apps):  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def _flow(settings: Settings, end: asyncio.Event) -> tuple[set[bytes], set[bytes]]:
    """Send to each partition every few milliseconds, and once more after the end: all that was sent, and the last."""
    topic, producer = kafka.topic_name(settings, TOKEN_CALLS), kafka.make_producer(settings, client_id="test")
    await producer.start()
    try:
        for number in count():
            is_last = end.is_set()
            values = [f"{number} {partition}".encode() for partition in range(TOKEN_CALLS.partitions)]
            sent = [await producer.send(topic, value, partition=at) for at, value in enumerate(values)]
            if is_last:
                await asyncio.gather(*sent)
                return {f"{n} {p}".encode() for n in range(number) for p in range(len(values))}, set(values)
            await asyncio.sleep(0.005)
    finally:
        await producer.stop()
    raise AssertionError
