"""On call, end to end: command, API and link drive one alert through the live stages into ClickHouse, over restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner

from schemas.oncall import ActionKind
from schemas.topics import TICKS
from schemas.watch import Finding, Mark
from streams.api.access import Access
from streams.api.actions import KafkaActions
from streams.api.app import Api, make_app
from streams.api.links import LinkPages, link_routes
from streams.api.reading import AlertReader
from streams.cli import app
from streams.core.alert.links import Link, sign
from streams.core.detect.feedback import feedback_from_json
from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.io.kafka import make_consumer, topic_name
from streams.settings import ClickHouse, Settings
from tests.support.alerting import publish
from tests.support.findings import driver, finding, mark
from tests.support.live import Live, live, live_settings
from tests.support.oncall import OPERATE

BEGIN: list[Finding | Mark] = [
    finding({"principal": "k1"}, 10.0, drivers=[driver(1.0, principal="k1", team="search")]),
    mark(1),
]
SIGNED_WITH = "a secret of more than twenty characters"


class Cli:
    """The commands, against the deployment of the test."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._file = folder / "spendstream.toml"
        self._file.write_text(
            f'[kafka]\nbootstrap_servers = "{settings.kafka.bootstrap_servers}"\nidempotent_producer = false\n'
            f'topic_prefix = "{settings.kafka.topic_prefix}"\n'
            f'[clickhouse]\nurl = "{settings.clickhouse.url}"\ndatabase = "{settings.clickhouse.database}"\n',
            encoding="utf-8",
        )

    async def __call__(self, *arguments: str, status: int = 0) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--config", str(self._file)])
        assert result.exit_code == status, result.output
        return result.output


@pytest.fixture
def settings(broker: EmbeddedBroker, clickhouse: ClickHouse, tmp_path: Path) -> Settings:
    return live_settings(broker, clickhouse, tmp_path, alerts={"log": False, "hold_seconds": 60.0})


async def inbox(run: Live, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The one alert, once it is as it should be."""
    found: dict[str, Any] = {}

    def there() -> bool:
        nonlocal found
        rows = run.rows("SELECT * FROM alerts_now")
        found = rows[0] if rows else {}
        return bool(rows) and wanted(found)

    await run.until(there, "the alert to be as it should")
    return found


async def feedback_on_ticks(settings: Settings) -> list[Any]:
    """What detection was told."""
    consumer = make_consumer(settings, group="", client_id="look", group_id=None)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic_name(settings, TICKS), n) for n in range(TICKS.partitions)])
        await consumer.seek_to_beginning()
        found: list[Any] = []
        async with asyncio.timeout(120):
            while not found:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [said for r in records if (said := feedback_from_json(r.value)) is not None]
        return found
    finally:
        await consumer.stop()


def test_whoever_drives_it_it_is_one_alert(settings: Settings, store: ClickHouseStore, tmp_path: Path) -> None:
    cli = Cli(settings, tmp_path)

    async def go() -> None:
        async with live(settings, store, ("land", "alert")) as run:
            assert "there are no such alerts" in await cli("alerts", "list")
            await publish(settings, BEGIN)
            alert_id = (await inbox(run, lambda a: a["state"] == "firing"))["alert_id"]
            assert "Key k1 spends" in await cli("alerts", "list", "--severity", "warning")
            said = await cli("alerts", "ack", alert_id, "--who", "ann", "--note", "looking")
            assert said.strip() == f"{alert_id} is acknowledged"
            assert "ack does not go with an alert that is acknowledged" in await cli(
                "alerts", "ack", alert_id, status=1
            )
            assert (await inbox(run, lambda a: a["state"] == "acknowledged"))["acked_by"] == "ann"
        async with live(settings, store, ("land", "alert")) as run:
            seen = await by_api(settings, store, alert_id)
            assert seen["change"]["state"] == "snoozed"
            await by_link(settings, store, alert_id)
            assert (await inbox(run, lambda a: a["state"] == "acknowledged"))["state_by"] == "chat"
            await cli("alerts", "feedback", alert_id, "false_positive", "--who", "bob")
            await inbox(run, lambda a: a["state"] == "false_positive")
            (told,) = await feedback_on_ticks(settings)
            assert (told.says, told.by, told.series) == ("false_positive", "bob", {"principal": "k1"})
            shown = await cli("alerts", "show", alert_id)
            for line in ("acked by ann (cli): looking", "snoozed by ann (api)", "acked by chat (link)", "refused by"):
                assert line in shown
            history = json.loads(await cli("alerts", "show", alert_id, "--json"))["changes"]
            assert [change["number"] for change in history] == [1, 2, 3, 4, 5, 6]
            assert "there are no such alerts" in await cli("alerts", "list")
            assert alert_id in await cli("alerts", "list", "--all", "--json")

    asyncio.run(go())


def served(settings: Settings, store: ClickHouseStore, actions: KafkaActions) -> httpx.AsyncClient:
    clock = lambda: datetime.now(UTC)  # noqa: E731
    api = Api(AlertReader(store), actions, Access([("ann", "operator", OPERATE)]), clock, wait_seconds=20.0)
    application = make_app(api, *link_routes(LinkPages(api, SIGNED_WITH, clock)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://api", timeout=30)


async def by_api(settings: Settings, store: ClickHouseStore, alert_id: str) -> dict[str, Any]:
    async with KafkaActions(settings) as actions, served(settings, store, actions) as client:
        answer = await client.post(
            f"/api/v1/alerts/{alert_id}/snooze", json={"minutes": 60}, headers={"Authorization": f"Bearer {OPERATE}"}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


async def by_link(settings: Settings, store: ClickHouseStore, alert_id: str) -> None:
    token = sign(SIGNED_WITH, Link(alert_id, ActionKind.ACK, "chat", datetime.now(UTC) + timedelta(hours=1)))
    async with KafkaActions(settings) as actions, served(settings, store, actions) as client:
        assert "Acknowledge?" in (await client.get(f"/links/{token}")).text
        answer = await client.post(f"/links/{token}")
        assert "The alert is acknowledged." in answer.text
        again = await client.post(f"/links/{token}")
        assert "The alert is acknowledged." in again.text, "used twice it is one action, and the answer is the same"


def test_a_command_says_who_does_not_answer(settings: Settings, store: ClickHouseStore, tmp_path: Path) -> None:
    cli = Cli(settings, tmp_path)

    async def go() -> None:
        async with live(settings, store, ("land", "alert")):
            said = await cli("alerts", "ack", "al-none", status=1)
            assert "there is no such alert" in said
            assert "there is no alert al-none" in await cli("alerts", "show", "al-none", status=2)
            assert "--for: must be a number" in await cli("alerts", "snooze", "al-none", "--for", "soon", status=2)
            assert "there is no remedy re-1" in await cli("remedies", "approve", "re-1", status=2)
            assert "there are no remedies" in await cli("remedies", "list")

    asyncio.run(go())
