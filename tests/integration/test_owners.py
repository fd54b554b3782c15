"""The owner directory on its topic: read to the end before pricing begins, and followed from then on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.topics import OWNERS, TOKEN_CALLS
from streams.cli import app
from streams.core.tag import Owner
from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.io.kafka import make_producer, topic_name
from streams.io.owners import publish_owners, read_owners
from streams.io.rules import load_tagger
from streams.io.topics import create_topics
from streams.settings import ClickHouse, Settings
from streams.stages.owners import OwnersService
from tests.support import pricing
from tests.support.kafka import RealKafka, settings_for
from tests.support.live import Live, live, live_settings


@pytest.fixture(params=["broker", "kafka"])
def either(request: pytest.FixtureRequest) -> EmbeddedBroker | RealKafka:
    found: EmbeddedBroker | RealKafka = request.getfixturevalue(request.param)
    return found


def call(number: int, principal: str) -> bytes:
    data = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "principal": principal}
    event = {"specversion": "1.0", "id": f"e-{number}", "source": "/test", "type": "spendstream.token_call.v1",
             "time": "2026-11-02T09:00:00Z", "data": data}  # fmt: skip
    return json.dumps(event).encode()


def teams(service: Live) -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["team"], row["allocation"]) for row in service.rows("SELECT id, team, allocation "
                                                                                "FROM charges")}  # fmt: skip


def test_owners_known_before_the_start_hold_and_later_changes_hold_for_later_events(
    either: EmbeddedBroker | RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    file = tmp_path / "owners.csv"
    file.write_text("principal,team\nkey-1,overruled\nkey-2,from the file\nkey-3,from the file\n")
    settings = live_settings(either, clickhouse, tmp_path)
    settings = settings.model_copy(update={"prices": settings.prices.model_copy(update={"owners_file": file})})

    async def run() -> dict[str, tuple[str, str]]:
        await create_topics(settings)
        await publish_owners(settings, {f"key-{n}": Owner(team=f"team {n}") for n in range(100, 2100)})
        await publish_owners(settings, {"key-1": Owner(team="Search", project="rank"), "key-3": None})
        async with live(settings, store, ("price", "land")) as service:
            first = ["key-1", "key-2", "key-3", "key-2099", "key-9"]
            await service.send_values(TOKEN_CALLS, [call(n, principal) for n, principal in enumerate(first)])
            await service.accounted(5)
            await publish_owners(settings, {"key-9": Owner(team="ads"), "key-1": None})
            sent, at = 5, teams(service)
            while at.get(f"e-{sent - 1}", ("", ""))[0] != "ads":  # until the change has come to the stage
                await service.send_values(TOKEN_CALLS, [call(sent, "key-9")])
                sent += 1
                await service.accounted(sent)
                at = teams(service)
            await service.send_values(TOKEN_CALLS, [call(1000, "key-1")])
            await service.accounted(sent + 1)
            return teams(service)

    found = asyncio.run(run())
    assert [found[f"e-{n}"] for n in range(5)] == [
        ("search", "directory"), ("from the file", "directory"), ("", "unallocated"), ("team 2099", "directory"),
        ("", "unallocated"),
    ]  # fmt: skip
    assert found["e-1000"] == ("", "unallocated")


def test_it_has_started_only_when_it_has_read_to_the_end(broker: EmbeddedBroker) -> None:
    settings = settings_for(broker)
    tagger = load_tagger()

    async def run() -> None:
        await create_topics(settings)
        await publish_owners(settings, {f"key-{n}": Owner(team=f"team {n}") for n in range(5000)})
        service = OwnersService(settings, tagger)
        await service.start()
        try:
            (share,) = tagger.tag(pricing.call(principal="key-4999"))
            assert share.owner.team == "team 4999"
        finally:
            await service.stop()

    asyncio.run(run())


def test_a_record_that_cannot_be_read_costs_its_neighbours_nothing(broker: EmbeddedBroker) -> None:
    settings = settings_for(broker)
    good = json.dumps({"principal": "key-1", "team": "search", "unknown": 1}).encode()
    records: list[tuple[bytes | None, bytes | None]] = [
        (b"key-1", b"{"), (b"\xff", good), (b"key-2", good), (None, good), (b"key-3", b'{"principal": "key-3"}'),
        (b"key-1", good), (b"key-4", None),
    ]  # fmt: skip

    async def run() -> dict[str, Owner | None]:
        await create_topics(settings)
        producer = make_producer(settings, client_id="test")
        await producer.start()
        for key, value in records:
            await producer.send_and_wait(topic_name(settings, OWNERS), value=value, key=key)
        await producer.stop()
        return await read_owners(settings)

    found = asyncio.run(run())
    assert found.keys() == {"key-1", "key-4"}
    assert found["key-1"] is not None
    assert found["key-1"].team == "search"
    assert found["key-4"] is None


def test_the_command_sets_loads_lists_and_removes(broker: EmbeddedBroker, tmp_path: Path) -> None:
    settings = settings_for(broker)
    asyncio.run(create_topics(settings))

    def owners(*words: str) -> Any:
        return CliRunner().invoke(app, ["owners", *words, *options(settings)])

    file = tmp_path / "owners.csv"
    file.write_text("principal,team,cost_center\nkey-1,search,CC-1\nkey-2,ads,\n")
    assert owners("load", str(file)).exit_code == 0
    assert owners("set", "key-3", "--team", "risk", "--project", "p").exit_code == 0
    assert owners("remove", "key-2").exit_code == 0
    assert owners("list").stdout.splitlines() == [
        "principal,team,project,environment,feature,cost_center",
        "key-1,search,,,,CC-1",
        "key-3,risk,p,,,",
    ]
    wrong = owners("set", "key-3", "--team", " ")
    assert wrong.exit_code == 2
    assert "team" in wrong.output


def options(settings: Settings) -> list[str]:
    kafka = {"bootstrap_servers": settings.kafka.bootstrap_servers, "topic_prefix": settings.kafka.topic_prefix,
             "idempotent_producer": str(settings.kafka.idempotent_producer).lower()}  # fmt: skip
    return [word for name, value in kafka.items() for word in ("--set", f"kafka.{name}={value}")]
