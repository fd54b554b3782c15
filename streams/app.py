"""The worker: one process that hosts the stages it is told to, watches that they go on, and stops them cleanly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import faust
import structlog
from mode import Service

from schemas.topics import CHARGES, FINDINGS, TICKS, TOPICS, USAGE_TOPICS, Topic
from schemas.wire import IncompatibleError
from streams import build
from streams.core.windows.roll import METER_BY_TOPIC, closing_delay
from streams.io import clickhouse, kafka
from streams.io.checkpoints import Checkpoints
from streams.io.faust_transport import Transport
from streams.io.http import Health, HttpServer
from streams.io.memberships import Memberships, take_leave
from streams.io.topics import partition_counts
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.alert import AlertService
from streams.stages.detect import DetectService
from streams.stages.land import LandService
from streams.stages.owners import OwnersService
from streams.stages.price import BATCH_BYTES, Gathering, Outlet, add_price_agents, counted, member_id, progress
from streams.stages.pulse import Beat, Pulse
from streams.stages.roll import Layout, RollService
from streams.stages.valve import Valve

log = structlog.get_logger(__name__)

STAGES = ("price", "land", "roll", "detect", "alert")
WATCH_SECONDS = 1.0
FETCHES_WAITING = 4  # of a usage topic, each of a partition


def utc_now() -> datetime:
    """The clock that the stages are given."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Hosted:
    """A stage in this process, and how far behind it is: (lag in records, time.monotonic of its last progress)."""

    name: str
    service: Service
    progress: Callable[[], tuple[int, float]]
    member_id: Callable[[], str] = str  # in its group, empty while it has none


class Worker(Service):
    """Hosts stages. `failure` says why it must end: a stage crashed, or made no progress while it had lag."""

    def __init__(self, settings: Settings, stages: Sequence[str], metrics: Metrics, store: Any = None) -> None:
        super().__init__()
        self.settings = settings
        self.metrics = metrics
        self._stages = stages
        self._store = store
        self._owns_store = store is None
        self.hosted: list[Hosted] = []
        self._http: HttpServer | None = None
        self.failed = asyncio.Event()
        self.failure = ""
        self._memberships: Memberships | None = None  # none where the broker knows this worker by its name
        self.incompatible = False  # the failure is of another release's making: to start again is of no use

    async def on_start(self) -> None:
        layout = await _layout(self.settings)
        if not self.settings.kafka.member:
            self._memberships = Memberships(self.settings.stages.state_dir / "members")
            await take_leave(self.settings, self._memberships.left)
        served = self.settings.metrics
        http = HttpServer(served.host, served.port, self.metrics.registry, self.health, served.resolved_token())
        self._http = http
        await self.add_runtime_dependency(http)
        if "land" in self._stages and self._store is None:
            self._store = await asyncio.to_thread(clickhouse.connect, self.settings.clickhouse)
        makers: dict[str, Callable[[Layout], Awaitable[Hosted]]] = {
            "price": self._price,
            "land": self._land,
            "roll": self._roll,
            "detect": self._detect,
            "alert": self._alert,
        }
        # Faust comes last: its start waits a second for tables that we have none of, and then for its group, which may
        # wait for a dead member. The others join their groups meanwhile, rather than wait for theirs after it.
        for stage in reversed(STAGES):
            if stage in self._stages:
                hosted = await makers[stage](layout)
                self.hosted.append(hosted)
                await self.add_runtime_dependency(hosted.service)
        host, port = http.address
        log.info("worker is up", stages=list(self._stages), metrics=f"http://{host}:{port}/metrics")

    async def on_shutdown(self) -> None:
        if self._memberships is not None:  # all have left their groups by now
            self._memberships.close()

    async def on_stop(self) -> None:
        if self._owns_store and self._store is not None:
            await asyncio.to_thread(self._store.close)

    def health(self) -> Health:
        """Live while nothing has failed; ready once every stage runs."""
        stages = {hosted.name: "crashed" if hosted.service.crashed else "running" for hosted in self.hosted}
        ready = len(self.hosted) == len(self._stages) and "crashed" not in stages.values()
        return Health(live=not self.failed.is_set(), ready=ready, stages=stages)

    @property
    def address(self) -> tuple[str, int]:
        """Where /metrics and /health are served, once started."""
        assert self._http is not None  # noqa: S101
        return self._http.address

    def lag(self) -> int:
        """Records that the stages here are behind, all together."""
        return sum(hosted.progress()[0] for hosted in self.hosted)

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(WATCH_SECONDS)
            self.look()
            if self._memberships is not None:
                groups = {kafka.group_name(self.settings, one.name): one.member_id() for one in self.hosted}
                self._memberships.write({group: member for group, member in groups.items() if member})

    def look(self) -> None:
        """A stage that hangs is worse than one that dies: fail, and the supervisor starts a new process."""
        for hosted in self.hosted:
            lag, at = hosted.progress()
            if hosted.service.crashed:
                reason = hosted.service.crash_reason
                self.incompatible = isinstance(reason, IncompatibleError)
                self._fail(f"stage {hosted.name}{f': {reason}' if self.incompatible else f' crashed: {reason!r}'}")
            elif lag and (still := time.monotonic() - at) > self.settings.stages.stuck_seconds:
                self._fail(f"stage {hosted.name} made no progress for {still:.0f} s with {lag} records behind")

    def _fail(self, why: str) -> None:
        if not self.failed.is_set():
            self.failure = why
            log.error("worker ends", why=why)
            self.failed.set()

    # The stages.

    async def _price(self, _: Layout) -> Hosted:
        app = faust_app(self.settings)
        name = partial(kafka.topic_name, self.settings)
        outlet = Outlet(
            partial(kafka.make_producer, self.settings, client_id="spendstream-price"),
            self.settings.stages.sends_in_flight,
            name,
        )
        await self.add_runtime_dependency(outlet)
        tagger = build.tagger(self.settings)
        # It starts when it has read the directory to the end: nothing is priced by half of it.
        await self.add_runtime_dependency(OwnersService(self.settings, tagger))
        valve = Valve(
            counted(outlet, self.metrics),
            build.dead_letter_limit(self.settings),
            self.settings.dead_letters.hold_seconds,
            self._fail,
        )
        await self.add_runtime_dependency(valve)
        charger = build.charger(self.settings, tagger)
        gathering = Gathering(charger, valve, self.metrics)
        await self.add_runtime_dependency(gathering)
        add_price_agents(app, gathering, name)
        await self.add_runtime_dependency(Pulse(app, outlet, _beats(self.settings), utc_now))
        self.metrics.up.labels("price").set(1)
        return Hosted("price", app, partial(progress, app, outlet, self.metrics), partial(member_id, app))

    async def _land(self, _: Layout) -> Hosted:
        topics = {kafka.topic_name(self.settings, t): t for t in TOPICS if "land" in t.consumers}
        service = LandService(
            self.settings,
            self._store,
            self.metrics,
            topics=topics,
            make_consumer=self._consumer("land"),
            clock=utc_now,
        )
        return Hosted("land", service, service.progress, service.member_id)

    async def _roll(self, layout: Layout) -> Hosted:
        service = RollService(
            *self._common_args(),
            **self._common("roll", CHARGES),
            rules=build.roll_rules(self.settings),
            layout=layout,
            ticks_topic=kafka.topic_name(self.settings, TICKS),
        )
        return Hosted("roll", service, service.progress, service.member_id)

    async def _detect(self, layout: Layout) -> Hosted:
        service = DetectService(
            *self._common_args(),
            **self._common("detect", TICKS),
            rules=build.watch_rules(self.settings),
            layout=layout,
            findings_topic=kafka.topic_name(self.settings, FINDINGS),
        )
        return Hosted("detect", service, service.progress, service.member_id)

    async def _alert(self, layout: Layout) -> Hosted:
        service = AlertService(*self._common_args(), **self._common("alert", FINDINGS), ticks=layout.ticks)
        return Hosted("alert", service, service.progress, service.member_id)

    def _common_args(self) -> tuple[Settings, Metrics]:
        return self.settings, self.metrics

    def _common(self, stage: str, topic: Topic) -> dict[str, Any]:
        return {
            "topics": [kafka.topic_name(self.settings, topic)],
            "make_consumer": self._consumer(stage),
            "make_producer": partial(kafka.make_producer, self.settings, client_id=f"spendstream-{stage}"),
            "checkpoints": Checkpoints(self.settings.stages.state_dir),
            "clock": utc_now,
        }

    def _consumer(self, stage: str) -> Callable[[], Any]:
        return partial(
            kafka.make_consumer,
            self.settings,
            group=kafka.group_name(self.settings, stage),
            client_id=f"spendstream-{stage}",
            group_instance_id=self.settings.kafka.member or None,
        )


def faust_app(settings: Settings) -> faust.App:
    """The Faust application of `price`: raw bytes in, no tables, no web views."""
    folder = settings.stages.state_dir / "faust"
    folder.mkdir(parents=True, exist_ok=True)  # Faust makes only the last of it
    app = faust.App(
        kafka.group_name(settings, "price"),
        **kafka.faust_broker(settings),
        autodiscover=False,
        web_enabled=False,  # Faust's own views have no authentication
        topic_allow_declare=False,  # topics are made by `spendstream init`, as the contract has them
        topic_disable_leader=True,
        stream_wait_empty=False,  # a broker that is away would hold a rebalance; what is repeated is recognised
        stream_buffer_maxsize=FETCHES_WAITING,
        broker_max_poll_records=settings.stages.max_records_per_poll,
        broker_session_timeout=settings.kafka.session_timeout_seconds,
        broker_rebalance_timeout=settings.kafka.rebalance_timeout_seconds,
        consumer_group_instance_id=settings.kafka.member or None,
        consumer_max_fetch_size=max(BATCH_BYTES, *(topic.max_message_bytes for topic in USAGE_TOPICS)),
        datadir=folder,
    )
    app.transport = Transport(app.conf.broker_consumer, app)
    return app


def _beats(settings: Settings) -> dict[str, Beat]:
    """When `price` says of each usage topic that it is done: when its windows may close by the clock."""
    graces = build.roll_rules(settings).graces
    return {
        kafka.topic_name(settings, topic): Beat(topic.name, closing_delay(graces[METER_BY_TOPIC[topic.name]]))
        for topic in USAGE_TOPICS
    }


async def _layout(settings: Settings) -> Layout:
    counts = await partition_counts(settings)
    return Layout(
        partitions={topic.name: counts[topic.name] for topic in USAGE_TOPICS},
        charges=counts[CHARGES.name],
        ticks=counts[TICKS.name],
    )


async def run(worker: Worker, stop: asyncio.Event) -> str:
    """Run until `stop` is set or the worker fails; returns why it failed, empty when it was told to stop."""
    try:
        await worker.start()
        waits = [asyncio.create_task(event.wait()) for event in (stop, worker.failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    finally:
        await worker.stop()
    return worker.failure
