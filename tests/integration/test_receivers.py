"""Three receivers and a real Alertmanager get exactly what they should: firing, reminders, ack, snooze, resolve."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from schemas.oncall import AlertAction, AlertChange
from schemas.topics import ALERT_CHANGES
from schemas.watch import Finding, Mark
from streams.io.embedded import EmbeddedBroker
from streams.io.topics import create_topics
from streams.settings import Settings
from tests.support.alerting import publish, running, until, written
from tests.support.alertmanager import Alertmanager
from tests.support.findings import driver, finding, mark
from tests.support.kafka import settings_for
from tests.support.oncall import action
from tests.support.receivers import FakeReceiver, fake_receiver

KEY = base64.b64encode(b"k" * 32).decode()
REMIND_SECONDS = 5.0
CELL = {"principal": "k1", "team": "search"}
BEGIN: list[Finding | Mark] = [finding({"principal": "k1"}, 10.0, drivers=[driver(1.0, **CELL)]), mark(1)]
MIDDLE: list[Finding | Mark] = [finding({"principal": "k1"}, 20.0, revision=1, seen=3), mark(3)]
END: list[Finding | Mark] = [finding({"principal": "k1"}, 25.0, revision=2, seen=4, closed=6), mark(7)]


@pytest.fixture
def chat() -> Iterator[FakeReceiver]:
    with fake_receiver() as made:
        yield made


@pytest.fixture
def pager() -> Iterator[FakeReceiver]:
    with fake_receiver() as made:
        yield made


@pytest.fixture
def ops() -> Iterator[FakeReceiver]:
    with fake_receiver() as made:
        yield made


@pytest.fixture
def manager(ops: FakeReceiver, tmp_path: Path) -> Iterator[Alertmanager]:
    with Alertmanager(tmp_path, f"http://{ops.address}/ops") as made:
        yield made


@pytest.fixture
def settings(
    broker: EmbeddedBroker,
    chat: FakeReceiver,
    pager: FakeReceiver,
    manager: Alertmanager,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    monkeypatch.setenv("PAGER_SIGNS", KEY)
    made = settings_for(
        broker,
        alerts={
            "receivers": [
                {"name": "chat", "url": f"json://{chat.address}/hook"},
                {"name": "pager", "kind": "webhook", "url": f"http://{pager.address}/", "secret_env": "PAGER_SIGNS"},
            ],
            "allowed_targets": ["127.0.0.1"],
            "routes": [
                {"receivers": ["pager"], "team": ["search"], "goes_on": True},
                {"receivers": ["chat"], "renotify_seconds": REMIND_SECONDS},
            ],
            "alertmanager_url": manager.url,
            "resend_seconds": 0.5,
            "hold_seconds": 60.0,
            "console_url": "https://console.example",
        },
    )
    asyncio.run(create_topics(made))
    return made


def now() -> dict[str, Any]:
    return {"at": datetime.now(UTC), "action_id": f"a{datetime.now(UTC).timestamp()}"}


async def ask(settings: Settings, what: str, alert_id: str, **more: Any) -> AlertAction:
    asked = action(what, alert_id=alert_id, **now(), **more)
    await publish(settings, [asked])
    return asked


async def told(settings: Settings, count: int) -> list[AlertChange]:
    return await written(settings, ALERT_CHANGES, AlertChange, count)


def words(chat: FakeReceiver) -> list[str]:
    return [title.partition(":")[0] for title in chat.titles()]


def types(pager: FakeReceiver) -> list[str]:
    return [taken["type"].removeprefix("spendstream.alert.") for taken in pager.taken]


def statuses(ops: FakeReceiver) -> list[str]:
    return [taken["status"] for taken in ops.taken]


async def quiet_for(seconds: float, *receivers: FakeReceiver) -> bool:
    """Whether nothing comes for so long: what does not happen can only be waited for."""
    before = [len(receiver.taken) for receiver in receivers]
    await asyncio.sleep(seconds)
    return [len(receiver.taken) for receiver in receivers] == before


def test_firing_reminder_ack_resolve(
    settings: Settings, chat: FakeReceiver, pager: FakeReceiver, ops: FakeReceiver, manager: Alertmanager,
    tmp_path: Path,
) -> None:  # fmt: skip
    async def run() -> list[AlertChange]:
        async with running(settings, tmp_path):
            await publish(settings, BEGIN)
            await until(lambda: words(chat) == ["WARNING"] and types(pager) == ["firing"] and len(ops.taken) >= 1)
            await until(lambda: len(ops.taken) >= 2)  # Alertmanager reminds by its own repeat_interval
            await until(lambda: len(chat.taken) == 2 and len(pager.taken) == 2)
            (opened,) = await told(settings, 1)
            await ask(settings, "ack", opened.alert_id)
            await until(lambda: manager.silences() == ["active"])
            await publish(settings, MIDDLE)
            await asyncio.sleep(0.5)  # what Alertmanager had in hand when the silence came
            assert await quiet_for(1.2 * REMIND_SECONDS, chat, pager, ops), "who has acknowledged it is left in peace"
            await publish(settings, END)
            await until(lambda: statuses(ops)[-1] == "resolved" and len(chat.taken) == len(pager.taken) == 3)
            await until(lambda: manager.silences() == ["expired"])
            assert await quiet_for(1.5, chat, pager, ops)
            return await told(settings, 3)

    changes = asyncio.run(run())
    assert [change.what for change in changes] == ["opened", "acked", "resolved"]
    assert words(chat) == ["WARNING", "STILL WARNING", "RESOLVED"]
    assert types(pager) == ["firing", "again", "resolved"]
    assert statuses(ops) == ["firing"] * (len(ops.taken) - 1) + ["resolved"]
    assert "Key k1 spends" in chat.titles()[0]
    assert chat.taken[0]["message"].endswith(f"https://console.example/alerts/{changes[0].alert_id}")
    assert ops.taken[0]["alerts"][0]["annotations"]["summary"] in chat.titles()[0]
    assert manager.alerts() == []


def test_each_page_is_signed_and_has_an_id_of_its_own(
    settings: Settings, chat: FakeReceiver, pager: FakeReceiver, tmp_path: Path
) -> None:
    async def run() -> None:
        async with running(settings, tmp_path):
            await publish(settings, [*BEGIN, *END])
            await until(lambda: len(pager.taken) == 2 and len(chat.taken) == 2)

    asyncio.run(run())
    verifier, ids = Webhook(KEY), set()
    for headers, body in pager.raw:
        assert verifier.verify(body.decode(), headers)["type"].startswith("spendstream.alert.")
        ids.add(headers["webhook-id"])
    assert len(ids) == 2
    assert pager.taken[0]["data"]["alerts"][0]["series"] == {"principal": "k1"}


def test_a_snooze_silences_everybody_until_it_is_over(
    settings: Settings, chat: FakeReceiver, pager: FakeReceiver, ops: FakeReceiver, manager: Alertmanager,
    tmp_path: Path,
) -> None:  # fmt: skip
    async def run() -> None:
        async with running(settings, tmp_path):
            await publish(settings, BEGIN)
            await until(lambda: len(chat.taken) == 1 and len(ops.taken) >= 1)
            (opened,) = await told(settings, 1)
            until_then = datetime.now(UTC) + timedelta(seconds=4)
            await ask(settings, "snooze", opened.alert_id, until=until_then)
            await until(lambda: manager.silences() == ["active"])
            await asyncio.sleep(0.5)
            before = len(chat.taken), len(pager.taken), len(ops.taken)
            while datetime.now(UTC) < until_then - timedelta(seconds=0.3):
                assert (len(chat.taken), len(pager.taken), len(ops.taken)) == before
                await asyncio.sleep(0.1)
            await until(lambda: len(chat.taken) > before[0] and len(pager.taken) > before[1])
            assert words(chat)[before[0]] == "WARNING", "it is said anew"
            await until(lambda: len(ops.taken) > before[2] and statuses(ops)[-1] == "firing")

    asyncio.run(run())


def test_taking_an_ack_back_asks_anew(
    settings: Settings, ops: FakeReceiver, manager: Alertmanager, tmp_path: Path
) -> None:
    async def run() -> None:
        async with running(settings, tmp_path):
            await publish(settings, BEGIN)
            await until(lambda: len(ops.taken) >= 1)
            (opened,) = await told(settings, 1)
            await ask(settings, "ack", opened.alert_id)
            await until(lambda: manager.silences() == ["active"])
        async with running(settings, tmp_path):
            await ask(settings, "unack", opened.alert_id)
            await until(lambda: manager.silences() == ["expired"])
            before = len(ops.taken)
            await until(lambda: len(ops.taken) > before)

    asyncio.run(run())
    assert set(statuses(ops)) == {"firing"}
