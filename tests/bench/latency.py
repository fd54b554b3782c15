"""From the beginning of an incident to a delivered webhook, in the live service on the real Kafka.

    python -m tests.bench.latency [--incidents 50] [--grace 0.5]

All five stages run in one worker, as `spendstream worker` runs them, with the ClickHouse engine behind `land`. Fifty
keys call a model at a quiet pace; after fifteen minutes of history one key after another goes into a loop at a random
moment, until its page has come. Two times are taken of each: from the first call of the loop to the webhook's arrival,
and from the last call of the deciding window to it; and what each step after the window's end took. What is measured is
written to build/latency.json too, with how busy the machine was: on one where processes wait for a processor it is the
machine that is measured.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Annotated, Any

import orjson
import typer
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.progress import track

from schemas.topics import TOKEN_CALLS
from streams import logs
from streams.app import STAGES, Worker
from streams.io import clickhouse, kafka
from streams.io.topics import create_topics
from streams.metrics import Metrics
from streams.settings import ClickHouse, Settings
from tests.bench.trace import Trace
from tests.support.kafka import RealKafka, settings_for
from tests.support.receivers import FakeReceiver, fake_receiver

KEYS, TEAMS = 50, 10
HISTORY_SECONDS = 900
CALLS_PER_SECOND = 0.2  # of a key, when all is well
LOOP_CALLS_PER_SECOND = 20.0
STEP_SECONDS = 0.1
GIVE_UP_SECONDS = 60.0
SMALL_LAG, SETTLE_SECONDS = 100, 20.0
MOST = 0.5  # of an excess, for a page to be about a key that it does not name first
PAUSE_SECONDS = (3.0, 13.0)  # between a page and the next incident: any moment of a window is as likely as another
RESULT = Path("build/latency.json")


@dataclass(slots=True)
class Incident:
    """One key's loop. Times are time.time; None: it has not come (yet)."""

    key: str
    begun: float
    delivered: float | None = None
    window_end: float | None = None
    last_call: float | None = None
    series: dict[str, str] = field(default_factory=dict)  # what its page named
    stages: dict[str, float] = field(default_factory=dict)  # seconds that each took, one after the other


@dataclass(slots=True)
class Traffic:
    """What is sent, and when: `sent` has the moments of the calls of the key in trouble."""

    random: Random
    producer: AIOKafkaProducer
    topic: str
    in_loop: str = ""
    sent: list[float] = field(default_factory=list)
    number: int = 0

    async def history(self, until: datetime) -> None:
        """Fifteen minutes of calls, as arrays."""
        for second in range(HISTORY_SECONDS):
            at = until - timedelta(seconds=HISTORY_SECONDS - second)
            calls = [self._call(f"key-{n:02}", at) for n in range(KEYS) if self.random.random() < CALLS_PER_SECOND]
            await self.producer.send(self.topic, orjson.dumps(calls))
        await self.producer.flush()

    async def run(self) -> None:
        """Calls as they come, until cancelled."""
        due = time.time()
        while True:
            at = datetime.now(UTC)
            for n in range(KEYS):
                key = f"key-{n:02}"
                pace = LOOP_CALLS_PER_SECOND if key == self.in_loop else CALLS_PER_SECOND
                for _ in range(self._how_many(pace * STEP_SECONDS)):
                    await self.producer.send(self.topic, orjson.dumps(self._call(key, at)), key=key.encode())
                    if key == self.in_loop:
                        self.sent.append(at.timestamp())
            due += STEP_SECONDS
            await asyncio.sleep(max(0.0, due - time.time()))

    def _how_many(self, expected: float) -> int:
        whole = int(expected)
        return whole + (self.random.random() < expected - whole)

    def _call(self, key: str, at: datetime) -> dict[str, Any]:
        self.number += 1
        number = int(key[-2:])
        tokens = {"input_tokens": self.random.randint(1_500, 2_500), "output_tokens": self.random.randint(200, 400)}
        return {
            "specversion": "1.0", "id": f"c{self.number}", "source": "/bench", "type": "spendstream.token_call.v1",
            "time": at.isoformat(),
            "data": {"provider": "openai", "model": "gpt-4o", "principal": key, **tokens,
                     "tags": {"team": f"team-{number % TEAMS}", "feature": f"f{number % 7}"}},
        }  # fmt: skip


def main(
    incidents: Annotated[int, typer.Option(min=1, max=KEYS)] = 50,
    grace: Annotated[float, typer.Option(help="roll.token_call_grace_seconds")] = 0.5,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Measure."""
    logs.configure("ERROR")
    with tempfile.TemporaryDirectory(prefix="latency-", ignore_cleanup_errors=True) as name, fake_receiver() as pager:
        folder = Path(name)
        node = RealKafka(folder / "kafka")
        (folder / "kafka").mkdir()
        node.format()
        try:
            node.start()
            settings = _settings(node, folder, pager, grace)
            found = asyncio.run(_measure(settings, pager, incidents, Random(seed)))
        finally:
            node.stop()
    _report(found, grace)


def _settings(node: RealKafka, folder: Path, pager: FakeReceiver, grace: float) -> Settings:
    os.environ["BENCH_SIGNS"] = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2traw=="
    receiver = {"name": "pager", "kind": "webhook", "url": f"http://{pager.address}/", "secret_env": "BENCH_SIGNS"}
    made = settings_for(
        node,
        alerts={"receivers": [receiver], "allowed_targets": ["127.0.0.1"], "log": False, "min_excess_usd": 1.0},
        roll={"token_call_grace_seconds": grace},
        stages={"state_dir": folder / "state"},
        metrics={"port": 0},
    )
    return made.model_copy(update={"clickhouse": ClickHouse(url=f"chdb://{folder / 'clickhouse'}")})


async def _measure(settings: Settings, pager: FakeReceiver, incidents: int, random: Random) -> list[Incident]:
    await create_topics(settings)
    async with _service(settings) as worker, Trace(settings) as trace:
        producer = kafka.make_producer(settings, client_id="bench")
        await producer.start()
        traffic = Traffic(random, producer, kafka.topic_name(settings, TOKEN_CALLS))
        await traffic.history(datetime.now(UTC))
        running = asyncio.create_task(traffic.run())
        try:
            await _caught_up(worker)
            # Neighbours share no team and no feature: two incidents of one feature, seconds apart, would be one.
            first = random.randrange(KEYS)
            keys = [f"key-{(first + n) % KEYS:02}" for n in range(incidents)]
            return [await _incident(traffic, pager, trace, key) for key in track(keys, "incidents")]
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await producer.stop()


async def _caught_up(worker: Worker) -> None:
    """Wait until the history is behind: what an alert waits for has had little lag for a while; `land` may lag."""
    console, small_since = Console(), time.monotonic()
    while time.monotonic() - small_since < SETTLE_SECONDS:
        await asyncio.sleep(1.0)
        if worker.failed.is_set():
            raise RuntimeError(worker.failure)
        lags = {hosted.name: hosted.progress()[0] for hosted in worker.hosted if hosted.name != "land"}
        if sum(lags.values()) > SMALL_LAG:
            small_since = time.monotonic()
            console.print(f"taking the history in; records behind: {lags}", highlight=False)


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[Worker]:
    store = clickhouse.connect(settings.clickhouse)
    await asyncio.to_thread(store.migrate)
    worker = Worker(settings, STAGES, Metrics(), store)
    try:
        await worker.start()
        yield worker
    finally:
        await worker.stop()
        await asyncio.to_thread(store.close)


async def _incident(traffic: Traffic, pager: FakeReceiver, trace: Trace, key: str) -> Incident:
    await asyncio.sleep(traffic.random.uniform(*PAUSE_SECONDS))
    seen = len(pager.taken)
    traffic.sent.clear()
    traffic.in_loop = key
    while not traffic.sent:  # noqa: ASYNC110  (the traffic tells nobody)
        await asyncio.sleep(0.01)
    found = Incident(key, traffic.sent[0])
    while found.delivered is None and time.time() < found.begun + GIVE_UP_SECONDS:
        for page, at in list(zip(pager.taken, pager.times, strict=False))[seen:]:
            seen += 1
            alert = page["data"]["alerts"][0]
            if page["type"] == "spendstream.alert.firing" and _tells_of(alert, key):
                found.series = alert["series"]
                found.delivered = at
                found.window_end = datetime.fromisoformat(alert["detected_at"]).timestamp()
                found.last_call = max(call for call in traffic.sent if call < found.window_end)
                found.stages = _stages(trace, alert["alert_id"], found.window_end, at)
                break
        await asyncio.sleep(0.01)
    traffic.in_loop = ""
    return found


def _tells_of(alert: dict[str, Any], key: str) -> bool:
    """Whether a page names the key, or a team or feature with the key as what most of it is.

    A key of two calls a window may be judged more slowly than its feature of fourteen; the next revision names the key.
    """
    if "principal" in alert["series"]:
        return bool(alert["series"]["principal"] == key)
    shares = [float(driver["share"]) for driver in alert["drivers"] if driver["series"].get("principal") == key]
    return sum(shares) >= MOST


def _stages(trace: Trace, alert_id: str, end: float, delivered: float) -> dict[str, float]:
    """Seconds from the window's end to its closing (the grace is in it), and what came after, step by step."""
    moments = {
        "closed": trace.rolled.complete(end),
        "detected": trace.detected.complete(end),
        "grouped": trace.grouped.get(alert_id),
        "delivered": delivered,
    }
    steps, before = {}, end
    for name, at in moments.items():
        if at is not None:
            steps[name], before = round(at - before, 3), at
    return steps


def _report(found: list[Incident], grace: float) -> None:
    paged = [incident for incident in found if incident.delivered is not None]
    begun = sorted(i.delivered - i.begun for i in paged if i.delivered is not None)
    decided = sorted(i.delivered - i.last_call for i in paged if i.delivered is not None and i.last_call is not None)
    figures = {
        "incidents": len(found),
        "delivered": len(paged),
        "named_by_the_key": sum("principal" in incident.series for incident in paged),
        "grace_seconds": grace,
        "load_average": os.getloadavg()[0],
        "waited_for_a_processor": _pressure(),
        "from_incident_start": _quantiles(begun),
        "from_last_call_of_deciding_window": _quantiles(decided),
        "steps": {
            step: _quantiles(sorted(i.stages[step] for i in paged if step in i.stages))
            for step in ("closed", "detected", "grouped", "delivered")
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_bytes(orjson.dumps({**figures, "each": [asdict(i) for i in found]}, option=orjson.OPT_INDENT_2))
    Console().print_json(orjson.dumps(figures).decode())
    if len(paged) < len(found):
        raise typer.Exit(1)


def _pressure() -> float | None:
    """The share of the last five minutes in which something on this machine waited for a processor; None: unknown."""
    try:
        text = Path("/proc/pressure/cpu").read_text(encoding="utf-8")
    except OSError:
        return None
    return float(dict(part.split("=") for part in text.splitlines()[0].split()[1:])["avg300"]) / 100


def _quantiles(values: list[float]) -> dict[str, float]:
    """Seconds. The 99th percentile of 50 values is the second largest; the largest is told too."""
    if not values:
        return {}
    places = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
    last = len(values) - 1
    return {
        **{name: round(values[min(last, int(place * len(values)))], 3) for name, place in places.items()},
        "max": round(values[-1], 3),
    }


if __name__ == "__main__":
    typer.run(main)
