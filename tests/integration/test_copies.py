"""An event that comes again through another partition, before or after a restart, counts once in what is watched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition

from schemas.topics import CHARGES, TICKS, TOKEN_CALLS
from streams.core.detect.merge import Complete, Merger
from streams.core.windows.sums import SeriesKey, Window
from streams.core.windows.ticks import Origin, Watermark
from streams.core.windows.ticks_json import from_json
from streams.io import kafka as brokers
from streams.io.clickhouse import ClickHouseStore
from streams.settings import ClickHouse, Settings
from tests.support.kafka import RealKafka
from tests.support.live import Live, live, live_settings

PARTITIONS = TOKEN_CALLS.partitions
PACE: Final = ("token_call", 10)
BEGIN = datetime(2026, 11, 2, 9, tzinfo=UTC)
EVENTS = 40
LIMIT_SECONDS = 120.0
CLOSERS = 64  # of each source partition: some for every partition of charges


def event(name: str, at: timedelta) -> dict[str, Any]:
    data = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100, "principal": "key-1"}
    return {"specversion": "1.0", "id": name, "source": "/gw", "type": "spendstream.token_call.v1",
            "time": (BEGIN + at).isoformat(), "data": data}  # fmt: skip


CALLS = [event(f"call-{number}", timedelta(milliseconds=100 * number)) for number in range(EVENTS)]


async def send(settings: Settings, records: Sequence[tuple[int, Sequence[Mapping[str, Any]]]]) -> int:
    """Send arrays of events to partitions; returns how many events they are."""
    producer = brokers.make_producer(settings, client_id="test")
    await producer.start()
    try:
        for partition, events in records:
            value = json.dumps(events).encode()
            await producer.send_and_wait(brokers.topic_name(settings, TOKEN_CALLS), value, partition=partition)
    finally:
        await producer.stop()
    return sum(len(events) for _, events in records)


async def taken_in(service: Live, events: int) -> None:
    """Until so many events are charged, and `roll` has read what `price` sent of them."""
    roll = next(hosted for hosted in service.worker.hosted if hosted.name == "roll")
    await service.until(lambda: service.count("charged") == events, f"{events} events to be charged")
    await service.until(lambda: roll.progress()[0] == 0, "roll to read them")


async def first_window(settings: Settings) -> dict[SeriesKey, Window]:
    """The series of the first window, put together as `detect` does it; none while it is not complete."""
    consumer = brokers.make_consumer(settings, group="test-ticks", client_id="test")
    mergers = [Merger() for _ in range(TICKS.partitions)]
    found: list[Complete] = []
    for merger in mergers:
        for partition in range(CHARGES.partitions):
            merger.expect(*PACE, Origin(CHARGES.name, partition))
    await consumer.start()
    try:
        tps = [TopicPartition(brokers.topic_name(settings, TICKS), number) for number in range(TICKS.partitions)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    said = from_json(record.value)
                    if isinstance(said, Watermark):
                        found += mergers[tp.partition].watermark(said)
                        continue
                    for ticks in said:
                        mergers[tp.partition].ticks(ticks)
    finally:
        await consumer.stop()
    if not all(merger.released().get(PACE, 0) > BEGIN.timestamp() for merger in mergers):
        return {}
    return {key: window for one in found if one.start == BEGIN.timestamp() for key, window in one.windows.items()}


def test_copies_through_other_partitions_and_after_a_restart_count_once_in_the_window(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    # Nothing but the stream may close a window: the restart takes a while.
    settings = live_settings(kafka, clickhouse, tmp_path, roll={"idle_seconds": 3600})
    dealt = [CALLS[number::PARTITIONS] for number in range(PARTITIONS)]
    elsewhere = [(number + 1) % PARTITIONS for number in range(PARTITIONS)]
    closers = [
        (partition, [event(f"closer-{partition}-{n}", timedelta(minutes=5)) for n in range(CLOSERS)])
        for partition in range(PARTITIONS)
    ]

    async def run() -> dict[SeriesKey, Window]:
        async with live(settings, store, ("price", "roll")) as service:
            first = [(number, [*calls, calls[0]]) for number, calls in enumerate(dealt)]
            again = [(elsewhere[number], calls[::2]) for number, calls in enumerate(dealt)]
            await taken_in(service, await send(settings, first) + await send(settings, again))
        async with live(settings, store, ("price", "roll")) as service:
            await send(settings, [(elsewhere[number], calls[1::2]) for number, calls in enumerate(dealt)])
            await send(settings, closers)
            async with asyncio.timeout(LIMIT_SECONDS):
                while not (found := await first_window(settings)):
                    assert not service.worker.failed.is_set(), service.worker.failure
            return found

    windows = asyncio.run(run())
    assert {window.sums.events for window in windows.values()} == {EVENTS}
    assert windows[()].sums.input_tokens == 1000 * EVENTS
