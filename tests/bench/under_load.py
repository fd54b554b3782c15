"""Latency under a steady load: one worker with all stages, fed at a share of what it can do, with incidents in it.

Keys call a model at an even pace. Fifteen minutes of history come first, each as one bucket of calls a window, so that
series are warm and expect what then comes. Once a while a key's calls cost fifty times as much: the pace of events
stays as it is, and there is something to tell.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.topics import ALERTS, TOKEN_CALLS
from streams.app import STAGES
from streams.io import kafka
from streams.settings import Roll
from tests.bench.cluster import Run
from tests.bench.measure import migrate
from tests.bench.together import landed
from tests.bench.workers import Process, lag, ready, until, worker

KEYS, TEAMS, FEATURES = 50, 10, 7  # neighbours share neither, so that an incident of the next key is another
WINDOW_SECONDS = Roll().token_call_window_seconds
HISTORY_WINDOWS = 90
STEP_SECONDS = 0.05
SETTLE_SECONDS = 20.0
INCIDENT_EVERY, INCIDENT_SECONDS, FACTOR = 12.0, 11.0, 50
LAST_PAGES_SECONDS = WINDOW_SECONDS + 5.0
LANDED_BUCKET = "spendstream_event_to_landed_seconds_bucket"
MOST_EVENTS = 500  # in an array


@dataclass(frozen=True, slots=True)
class Latency:
    """What was seen at one pace. Seconds; None: there was none."""

    share: float  # of the capacity
    events_per_second: float  # that were sent
    cpu_per_second: float  # of the worker
    behind_at_end: int  # records
    landed_p50: float | None
    landed_p99: float | None
    incidents: int
    alerts: int
    alert_p50: float | None
    alert_p99: float | None  # of so few it is the largest


def at(run: Run, share: float, capacity: float, seconds: float) -> Latency:
    """Feed a worker for so many seconds. `capacity`: events a second."""
    asyncio.run(run.make())
    migrate(run)
    with worker(run, *STAGES) as process:
        until(process, lambda: ready(process, STAGES), "it holds its partitions")
        return asyncio.run(_at(run, process, share, capacity, seconds))


async def _at(run: Run, process: Process, share: float, capacity: float, seconds: float) -> Latency:
    producer = kafka.make_producer(run.settings, client_id="bench", linger_ms=0)
    await producer.start()
    try:
        feed = Feed(producer, run.name(TOKEN_CALLS), share * capacity)
        await feed.history(time.time())
        feeding = asyncio.create_task(feed.run())
        await _settled(process)
        begun, number = time.time(), feed.number
        first, before = process.took(), await asyncio.to_thread(process.metrics)
        while time.time() < begun + seconds and not feeding.done():
            feed.costly = feed.incident_at(time.time() - begun)
            await asyncio.sleep(STEP_SECONDS)
        feed.costly = None
        ended, sent = time.time(), feed.number - number
        last, after = process.took(), await asyncio.to_thread(process.metrics)
        behind = sum(sum(said) for said in lag(process, *STAGES).values())
        await asyncio.sleep(LAST_PAGES_SECONDS)  # what the last window brings is told after its end
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    finally:
        await producer.stop()
    counts = {bound: after[name, labels] - before.get((name, labels), 0.0) for bound, name, labels in _buckets(after)}
    waited = sorted(await _alerts(run, begun))
    return Latency(
        share, sent / (ended - begun), (last.cpu_seconds - first.cpu_seconds) / (last.seconds - first.seconds),
        int(behind), quantile(counts, 0.5), quantile(counts, 0.99), len(feed.incidents), len(waited),
        nearest(waited, 0.5), nearest(waited, 0.99),
    )  # fmt: skip


class Feed:
    """The events, at a pace. `costly`: the key in trouble. `number`: events sent so far."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, pace: float) -> None:
        self._producer, self._topic, self._pace = producer, topic, pace
        self._random = Random(1)
        self._records = 0
        self.number = 0
        self.costly: int | None = None
        self.incidents: set[int] = set()

    async def history(self, until_time: float) -> None:
        """A bucket a window of each key, at any moment of it, with the calls and tokens that the pace makes."""
        calls = self._pace * WINDOW_SECONDS / KEYS
        now = until_time // WINDOW_SECONDS * WINDOW_SECONDS  # one in each window of `roll`: two would be a spike
        for window in range(HISTORY_WINDOWS, 0, -1):
            begin = now - window * WINDOW_SECONDS
            await self._send(
                [self._bucket(begin + self._random.random() * WINDOW_SECONDS, key, calls) for key in range(KEYS)]
            )
        await self._producer.flush()

    async def run(self) -> None:
        """Calls as they come, until cancelled."""
        due, owed = time.time(), 0.0
        while True:
            now = time.time()
            owed += self._pace * (now - due)
            due, count, owed = now, int(owed), owed - int(owed)
            for first in range(0, count, MOST_EVENTS):
                await self._send([self._call(now) for _ in range(min(MOST_EVENTS, count - first))])
            await asyncio.sleep(STEP_SECONDS)

    def incident_at(self, since: float) -> int | None:
        """The key whose calls are costly so many seconds after the beginning."""
        number, inside = divmod(since, INCIDENT_EVERY)
        if inside > INCIDENT_SECONDS:
            return None
        self.incidents.add(int(number))
        return int(number) % KEYS

    async def _send(self, events: Sequence[bytes]) -> None:
        value = b"[" + b",".join(events) + b"]"
        # Its confirmation is not waited for: the pace would be the broker's.
        await self._producer.send(self._topic, value, partition=self._records % TOKEN_CALLS.partitions)
        self._records += 1

    def _call(self, at_time: float) -> bytes:
        key = int(self._random.random() * KEYS)
        factor = FACTOR if key == self.costly else 1
        tokens = int((1_500 + 1_000 * self._random.random()) * factor)
        return self._event(at_time, key, 1, tokens, 300 * factor)

    def _bucket(self, at_time: float, key: int, calls: float) -> bytes:
        number = max(1, round(self._random.gauss(calls, math.sqrt(calls))))
        return self._event(at_time, key, number, number * 2_000, number * 300)

    def _event(self, at_time: float, key: int, requests: int, input_tokens: int, output_tokens: int) -> bytes:
        self.number += 1
        moment = datetime.fromtimestamp(at_time, UTC).isoformat()
        # Written by hand: the producer shares the machine with what is measured.
        return (
            f'{{"specversion":"1.0","id":"c{self.number}","source":"/bench","type":"spendstream.token_call.v1",'
            f'"time":"{moment}","data":{{"provider":"openai","model":"gpt-4o","principal":"key-{key:02}",'
            f'"requests":{requests},"input_tokens":{input_tokens},"output_tokens":{output_tokens},'
            f'"tags":{{"team":"team-{key % TEAMS}","feature":"f{key % FEATURES}"}}}}}}'
        ).encode()


async def _settled(process: Process) -> None:
    """The history is behind: it has landed, and the windows since then began with nothing waiting."""
    await asyncio.to_thread(until, process, lambda: landed(process) > KEYS * HISTORY_WINDOWS, "the history landed")
    await asyncio.sleep(SETTLE_SECONDS)


async def _alerts(run: Run, since: float) -> list[float]:
    """How long after its window each alert was told that was told since."""
    consumer = AIOKafkaConsumer(
        run.name(ALERTS), **kafka.client_config(run.settings.kafka), client_id="bench", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        written: list[tuple[float, dict[str, Any]]] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                written += [(record.timestamp / 1000, orjson.loads(record.value)) for record in records]
        return told(written, since)
    finally:
        await consumer.stop()


def told(written: Iterable[tuple[float, Mapping[str, Any]]], since: float) -> list[float]:
    """Seconds from the end of the window that told it to the record, of each alert that fires since then.

    One that had resolved and fires again counts again: the incident of a key that had one before joins its alert.
    """
    waited: list[float] = []
    status: dict[str, str] = {}
    for at, alert in written:
        if alert["status"] == "firing" != status.get(alert["alert_id"]) and at >= since:
            waited.append(at - datetime.fromisoformat(alert["updated_at"]).timestamp())
        status[alert["alert_id"]] = alert["status"]
    return waited


Labels = tuple[tuple[str, str], ...]


def _buckets(metrics: Iterable[tuple[str, Labels]]) -> list[tuple[float, str, Labels]]:
    return [(float(dict(labels)["le"]), name, labels) for name, labels in metrics if name == LANDED_BUCKET]


def quantile(cumulative: dict[float, float], place: float) -> float | None:
    """A quantile of a histogram by its cumulative counts, even within a bucket, as Prometheus has it; None: empty."""
    bounds = sorted(cumulative)
    total = cumulative[bounds[-1]] if bounds else 0.0
    if not total:
        return None
    low = below = 0.0
    for bound in bounds:
        count = cumulative[bound]
        if count >= place * total:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (place * total - below) / (count - below)
        low, below = bound, count
    return low


def nearest(ordered: Sequence[float], place: float) -> float | None:
    """The quantile of values in order that is one of them; None: there are none."""
    return ordered[min(len(ordered) - 1, math.ceil(place * len(ordered)) - 1)] if ordered else None
