"""The alert stage on a broker: each alert begins and ends once at each receiver, through outages and restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from schemas.topics import ALERTS
from schemas.watch import Alert, Finding, Mark
from streams import build
from streams.core.alert import Alerter
from streams.io.embedded import EmbeddedBroker
from streams.io.topics import create_topics
from streams.settings import Settings
from streams.stages.alert import AlertService, Answering
from streams.stages.sending import Send
from tests.support.alerting import publish, running, until, written
from tests.support.findings import driver, finding, mark
from tests.support.kafka import settings_for
from tests.support.receivers import FakeReceiver, fake_receiver

CELL = {"principal": "k1", "team": "search"}
BEGIN: list[Finding | Mark] = [
    finding({"principal": "k1"}, 10.0, drivers=[driver(1.0, **CELL)]),
    finding({"team": "search"}, 10.0, drivers=[driver(1.0, **CELL)]),
    finding({}, 11.0, drivers=[driver(0.9, **CELL)]),
    mark(1),
]
MIDDLE: list[Finding | Mark] = [finding({"principal": "k1"}, 20.0, revision=1, seen=3), mark(3)]
END: list[Finding | Mark] = [
    finding({"principal": "k1"}, 25.0, revision=2, seen=4, closed=6),
    finding({"team": "search"}, 25.0, revision=1, seen=4, closed=6),
    finding({}, 25.0, revision=1, seen=4, closed=7),
    mark(7),
]


class CrashError(Exception):
    """What a bug would raise."""


class Crashing(AlertService):
    """Crashes when it reads a record with `POISON`."""

    POISON = b"poison"

    def process(self, state: Answering, records: Sequence[ConsumerRecord]) -> Sequence[Send]:
        if any(record.value == self.POISON for record in records):
            raise CrashError
        return super().process(state, records)


@pytest.fixture
def chat() -> Iterator[FakeReceiver]:
    with fake_receiver() as made:
        yield made


@pytest.fixture
def manager() -> Iterator[FakeReceiver]:
    with fake_receiver() as made:
        yield made


@pytest.fixture
def settings(broker: EmbeddedBroker, chat: FakeReceiver, manager: FakeReceiver) -> Settings:
    made = settings_for(
        broker,
        alerts={
            "receivers": [{"name": "chat", "url": f"json://{chat.address}/hook"}],
            "alertmanager_url": f"http://{manager.address}",
            "resend_seconds": 0.5,
            "hold_seconds": 60.0,
        },
    )
    asyncio.run(create_topics(made))
    return made


def kinds(chat: FakeReceiver) -> list[str]:
    """What the chat got: `WARNING`, `RESOLVED`, ..."""
    return [title.partition(":")[0] for title in chat.titles()]


def states(manager: FakeReceiver) -> list[str]:
    """What the Alertmanager was told, one word per change."""
    told = ["over" if "endsAt" in alert else "fires" for post in manager.taken for alert in post]
    return [word for n, word in enumerate(told) if n == 0 or told[n - 1] != word]


def expected(settings: Settings, records: Sequence[Finding | Mark]) -> list[Alert]:
    """What the core says of them, without a broker."""
    alerter, alerts = Alerter(build.alert_rules(settings)), []
    for record in records:
        if isinstance(record, Finding):
            alerter.finding(record)
        else:
            alerts += alerter.mark(record)
    return alerts


def test_an_incident_begins_once_and_ends_once(
    settings: Settings, chat: FakeReceiver, manager: FakeReceiver, tmp_path: Path
) -> None:
    story = [*BEGIN, *MIDDLE, *END]

    async def run() -> list[Alert]:
        async with running(settings, tmp_path) as service:
            await publish(settings, BEGIN)
            await until(lambda: len(chat.taken) == 1 and states(manager) == ["fires"])
            resent = len(manager.taken)
            await until(lambda: len(manager.taken) > resent + 1)
            await publish(settings, [*MIDDLE, *END])
            await until(lambda: len(chat.taken) == 2 and states(manager) == ["fires", "over"])
            await until(lambda: service.progress().lag == 0)
        return await written(settings, ALERTS, Alert, len(expected(settings, story)))

    alerts = asyncio.run(run())
    assert alerts == expected(settings, story)
    assert kinds(chat) == ["WARNING", "RESOLVED"]
    assert "key k1" in chat.titles()[0].lower()
    assert states(manager) == ["fires", "over"]


def test_a_receiver_away_holds_nobody_else_up_and_gets_it_once(
    settings: Settings, chat: FakeReceiver, manager: FakeReceiver, tmp_path: Path
) -> None:
    chat.down = True

    async def run() -> None:
        async with running(settings, tmp_path):
            await publish(settings, [*BEGIN, *END])
            await until(lambda: states(manager) == ["fires", "over"] and chat.turned_away > 1)
            assert chat.taken == []
            chat.down = False
            await until(lambda: len(chat.taken) == 2)

    asyncio.run(run())
    assert kinds(chat) == ["WARNING", "RESOLVED"]


def test_a_restart_does_not_page_again(
    settings: Settings, chat: FakeReceiver, manager: FakeReceiver, tmp_path: Path
) -> None:
    async def run() -> None:
        async with running(settings, tmp_path):
            await publish(settings, BEGIN)
            await until(lambda: len(chat.taken) == 1)
        async with running(settings, tmp_path):
            await until(lambda: len(manager.taken) > 2)
            await publish(settings, MIDDLE)
        async with running(settings, tmp_path):
            await publish(settings, END)
            await until(lambda: len(chat.taken) == 2 and states(manager)[-1] == "over")

    asyncio.run(run())
    assert kinds(chat) == ["WARNING", "RESOLVED"]


def test_what_is_accepted_while_it_stops_is_not_said_again(
    settings: Settings, chat: FakeReceiver, manager: FakeReceiver, tmp_path: Path
) -> None:
    chat.prompt.clear()

    async def run() -> None:
        async with running(settings, tmp_path) as service:
            await publish(settings, BEGIN)
            await until(lambda: len(chat.taken) == 1 and len(manager.taken) > 0)
            await until(lambda: [state.outbox.waiting() for state in service.states()] == [1])
            await service.checkpoint()
            asyncio.get_running_loop().call_later(0.3, chat.prompt.set)  # once it is stopping
        heard = len(manager.taken)
        async with running(settings, tmp_path):
            await until(lambda: len(manager.taken) > heard + 1)

    asyncio.run(run())
    assert kinds(chat) == ["WARNING"]


def test_what_could_not_be_delivered_before_a_restart_is_delivered_after(
    settings: Settings, chat: FakeReceiver, tmp_path: Path
) -> None:
    chat.down = True

    async def run() -> None:
        async with running(settings, tmp_path):
            await publish(settings, BEGIN)
            await until(lambda: chat.turned_away > 0)
        chat.down = False
        async with running(settings, tmp_path):
            await until(lambda: len(chat.taken) == 1)

    asyncio.run(run())
    assert kinds(chat) == ["WARNING"]


def test_a_crash_after_delivery_does_not_page_again(settings: Settings, chat: FakeReceiver, tmp_path: Path) -> None:
    async def run() -> None:
        async with running(settings, tmp_path, Crashing) as service:
            await publish(settings, BEGIN)
            await until(lambda: len(chat.taken) == 1)
            await until(lambda: not any(state.outbox.waiting() for state in service.states()))
            await service.checkpoint()
            await publish(settings, [Crashing.POISON])
            await until(lambda: service.crashed)
        async with running(settings, tmp_path):
            await publish(settings, END)
            await until(lambda: len(chat.taken) == 2)

    asyncio.run(run())
    assert kinds(chat) == ["WARNING", "RESOLVED"]


def test_a_silent_partition_holds_alerts_up_for_so_long_and_no_longer(
    settings: Settings, chat: FakeReceiver, tmp_path: Path
) -> None:
    hasty = settings.model_copy(update={"alerts": settings.alerts.model_copy(update={"hold_seconds": 0.3})})

    async def run() -> None:
        async with running(hasty, tmp_path, ticks=2):
            await publish(hasty, BEGIN)
            await until(lambda: len(chat.taken) == 1)

    asyncio.run(run())
    assert kinds(chat) == ["WARNING"]


def test_what_is_no_finding_is_skipped(settings: Settings, chat: FakeReceiver, tmp_path: Path) -> None:
    bad: list[Any] = [b"", b"not json", b"[]", json.dumps({"type": "tick"}).encode(), b'{"type": "finding"}']

    async def run() -> None:
        async with running(settings, tmp_path):
            await publish(settings, [*bad, *BEGIN])
            await until(lambda: len(chat.taken) == 1)

    asyncio.run(run())
