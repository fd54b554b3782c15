"""Runs the demo: broker, ClickHouse engine, all stages, a workload, an incident, and the reckoning at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

from mode import Service
from prometheus_client import Counter
from pydantic import SecretStr
from rich.console import Console
from rich.live import Live

from schemas.topics import CHARGES
from streams.api.actions import KafkaActions
from streams.app import STAGES, Worker, utc_now
from streams.console.app import ConsoleService
from streams.demo.parts import Auditor, Producer, Receiver, now_second
from streams.demo.view import Picture, render
from streams.demo.workload import CULPRIT, Workload
from streams.io import clickhouse, kafka
from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.io.topics import create_topics
from streams.metrics import Metrics
from streams.settings import Settings
from streams.settings_routes import Receiver as ReceiverSettings

S = TypeVar("S", bound=Service)
HISTORY_SECONDS = 900  # 180 windows: several times what a model wants to see before it speaks
WINDOW_SECONDS = 5  # or a loop that begins at the end of a window waits ten seconds for the end of the next
INCIDENT_AFTER_SECONDS = 20.0
DRAIN_SECONDS = 30.0
ALERT_WITHIN_SECONDS = 15.0


@dataclass(slots=True)
class Outcome:
    """What the demo came to. `faults` is empty when everything holds."""

    sent: int = 0
    read: int = 0
    landed: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    usd_priced: Decimal = Decimal(0)
    usd_landed: Decimal = Decimal(0)
    incident_at: float | None = None
    alerted_after: float | None = None
    faults: list[str] = field(default_factory=list)


class Demo:
    """One run of the demo in a folder of its own."""

    def __init__(self, settings: Settings, folder: Path, seconds: float, seed: int, console: Console) -> None:
        self._settings = settings
        self._folder = folder
        self._seconds = seconds
        self._console = console
        self._random = Random(seed)  # noqa: S311  a workload, not a secret
        self._stop = asyncio.Event()
        self._picture = Picture()
        self._outcome = Outcome()

    @property
    def url(self) -> str:
        """Of the console; empty before it serves."""
        return self._picture.console

    def stop(self) -> None:
        """End it early, as Ctrl-C does."""
        self._stop.set()

    async def run(self) -> Outcome:
        """Run to the end, or to Ctrl-C. Whatever was started is stopped."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._stop.set)
        async with EmbeddedBroker() as broker, _running(Receiver()) as receiver:
            settings = self._configure(broker, receiver)
            await create_topics(settings)
            store = await asyncio.to_thread(clickhouse.connect, settings.clickhouse)
            try:
                await asyncio.to_thread(store.migrate)
                async with (
                    KafkaActions(settings) as actions,
                    _running(ConsoleService(settings, store, actions, utc_now)) as console,
                ):
                    self._picture.console = console.url
                    await self._serve(settings, store, receiver)
            finally:
                await asyncio.to_thread(store.close)
        return self._outcome

    def _configure(self, broker: EmbeddedBroker, receiver: Receiver) -> Settings:
        target = ReceiverSettings(name="demo-webhook", url=SecretStr(receiver.url))
        settings = self._settings
        return settings.model_copy(
            update={
                "kafka": broker.configure(settings.kafka),
                "clickhouse": settings.clickhouse.model_copy(update={"url": f"chdb://{self._folder / 'clickhouse'}"}),
                "stages": settings.stages.model_copy(update={"state_dir": self._folder / "state"}),
                "metrics": settings.metrics.model_copy(update={"port": 0}),
                "roll": settings.roll.model_copy(update={"token_call_window_seconds": WINDOW_SECONDS}),
                "console": settings.console.model_copy(update={"host": "127.0.0.1", "port": 0}),
                "alerts": settings.alerts.model_copy(
                    update={"receivers": (target,), "log": False, "min_excess_usd": 0.05}
                ),
            }
        )

    async def _serve(self, settings: Settings, store: ClickHouseStore, receiver: Receiver) -> None:
        metrics = Metrics()
        name = partial(kafka.topic_name, settings)
        make_auditor = partial(kafka.make_consumer, settings, group="spendstream.demo-auditor", client_id="auditor")
        worker = Worker(settings, STAGES, metrics, store)
        async with _running(worker), _running(Auditor(make_auditor, name(CHARGES))) as auditor:
            client = kafka.make_producer(settings, client_id="demo")
            await client.start()
            try:
                producer = Producer(Workload(self._random), client, name)
                with Live(console=self._console, refresh_per_second=4) as live:
                    view = asyncio.create_task(self._show(live, worker, store, producer, receiver))
                    await self._drive(worker, producer, receiver)
                    await self._drain(store, metrics, producer, auditor)
                    view.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await view
            finally:
                await client.stop()
            await self._reckon(store, metrics, producer, auditor, receiver)
            if worker.failure:
                self._outcome.faults.append(worker.failure)

    async def _drive(self, worker: Worker, producer: Producer, receiver: Receiver) -> None:
        """The workload, second by second, until the time is over, somebody stops it, or the service fails."""
        self._picture.status = "learning from 15 minutes of history"
        second = now_second()
        await producer.history(second, HISTORY_SECONDS, self._stop)
        started = time.time()
        while not self._stop.is_set() and not worker.failed.is_set():
            elapsed = time.time() - started
            if elapsed >= self._seconds:
                return
            loop = elapsed >= INCIDENT_AFTER_SECONDS
            if loop and self._outcome.incident_at is None:
                self._outcome.incident_at = second.timestamp()
            self._picture.status = self._status(elapsed, receiver)
            await producer.second(second, loop=loop)
            second = second.fromtimestamp(second.timestamp() + 1, second.tzinfo)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, second.timestamp() - time.time()))

    def _status(self, elapsed: float, receiver: Receiver) -> str:
        left = f"{max(0.0, self._seconds - elapsed):.0f} s left"
        if self._outcome.incident_at is None:
            return f"all is well, {left}"
        if not receiver.deliveries:
            return f"{CULPRIT.principal} runs in a loop, {left}"
        return f"alerted, {left}"

    async def _drain(self, store: ClickHouseStore, metrics: Metrics, producer: Producer, auditor: Auditor) -> None:
        """Wait until everything that was sent is accounted for."""
        self._picture.status = "draining"
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until:
            read = _value(metrics.events, "charged") + _value(metrics.events, "dead_lettered")
            done = _value(metrics.events, "landed") + _value(metrics.events, "duplicate")
            dead = await asyncio.to_thread(_number, store, "SELECT count() AS n FROM dead_letters FINAL")
            if read == producer.sending.events and done + dead == read and auditor.charges == read - dead:
                return
            await asyncio.sleep(0.2)

    async def _reckon(
        self, store: ClickHouseStore, metrics: Metrics, producer: Producer, auditor: Auditor, receiver: Receiver
    ) -> None:
        out = self._outcome
        sql = "SELECT count() AS n, sum(effective_cost_usd) AS usd FROM charges"
        row = (await asyncio.to_thread(store.query, sql))[0]
        out.sent = producer.sending.events
        out.read = _value(metrics.events, "charged") + _value(metrics.events, "dead_lettered")
        out.landed = row["n"]
        out.duplicate = _value(metrics.events, "duplicate")
        out.dead_lettered = await asyncio.to_thread(_number, store, "SELECT count() AS n FROM dead_letters FINAL")
        out.usd_priced, out.usd_landed = auditor.usd, row["usd"] or Decimal(0)
        if out.sent != out.read:
            out.faults.append(f"{out.sent} events were sent and {out.read} read")
        if out.read != out.landed + out.duplicate + out.dead_lettered:
            out.faults.append("read is not landed + duplicate + dead-lettered")
        if out.usd_priced != out.usd_landed:
            out.faults.append("dollars priced are not dollars in ClickHouse")
        self._judge_alert(receiver)

    def _judge_alert(self, receiver: Receiver) -> None:
        out = self._outcome
        if out.incident_at is None:
            if not self._stop.is_set():
                out.faults.append(f"it ended before the incident, which starts after {INCIDENT_AFTER_SECONDS:.0f} s")
            return
        named = [d for d in receiver.deliveries if CULPRIT.principal in d.title + d.body and d.at >= out.incident_at]
        if not named:
            out.faults.append("the incident was not alerted")
            return
        out.alerted_after = named[0].at - out.incident_at
        if out.alerted_after > ALERT_WITHIN_SECONDS:
            out.faults.append(f"the incident was alerted after more than {ALERT_WITHIN_SECONDS:.0f} s")

    async def _show(
        self, live: Live, worker: Worker, store: ClickHouseStore, producer: Producer, receiver: Receiver
    ) -> None:
        while True:
            picture = self._picture
            picture.events_per_second = producer.sending.per_second(time.time())
            picture.lag = worker.lag()
            picture.deliveries = receiver.deliveries
            await asyncio.to_thread(_look, store, picture)
            live.update(render(picture))
            await asyncio.sleep(0.5)


_TEAMS = """
SELECT team, toDecimal128(sum(if(age < 60, usd, 0)), 6) AS last, toDecimal128(sum(if(age < 60, 0, usd)) / 4, 6) AS usual
FROM (SELECT team, effective_cost_usd AS usd, dateDiff('second', time, now64(3)) AS age FROM charges
      WHERE time >= now64(3) - INTERVAL 5 MINUTE AND type = 'spendstream.token_call.v1')
WHERE team != '' GROUP BY team ORDER BY last DESC
"""
_FINDINGS = """
SELECT kind, toString(series) AS name, severity, excess_usd FROM findings_current ORDER BY excess_usd DESC LIMIT 6
"""


def _look(store: ClickHouseStore, picture: Picture) -> None:
    picture.teams = [(row["team"], row["last"], row["usual"]) for row in store.query(_TEAMS)]
    picture.findings = [
        (row["kind"], row["name"], row["severity"], row["excess_usd"]) for row in store.query(_FINDINGS)
    ]
    picture.landed = _number(store, "SELECT count() AS n FROM charges")


def _number(store: ClickHouseStore, sql: str) -> int:
    return int(store.query(sql)[0]["n"])


def _value(counter: Counter, label: str) -> int:
    return int(counter.labels(label)._value.get())


@contextlib.asynccontextmanager
async def _running(service: S) -> AsyncIterator[S]:
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
