"""Dead letters on real parts: a bad deployment, its mend, and the way back; and one that rejects the whole stream."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from typer.testing import CliRunner, Result

from schemas.topics import TOKEN_CALLS
from streams.cli import app
from streams.io import kafka as clients
from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.settings import ClickHouse, Settings
from tests.support.examples import invalid
from tests.support.kafka import RealKafka
from tests.support.live import Live, live, live_settings

CANARY = "prompt-canary-77aa"


def call(number: int, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"call-{number}", "source": "/gateway", "type": "spendstream.token_call.v1",
        "time": datetime.now(UTC).isoformat(),
        "data": {"provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 0, **data},
        "prompt": CANARY,
    }  # fmt: skip


def records(first: int, count: int, per_record: int = 1) -> list[bytes]:
    """Good events, so many to a record; an array where there are several."""
    events = [call(number) for number in range(first, first + count)]
    if per_record == 1:
        return [json.dumps(event).encode() for event in events]
    return [json.dumps(events[at : at + per_record]).encode() for at in range(0, count, per_record)]


def bad(settings: Settings, **dead_letters: Any) -> Settings:
    """A deployment that was told that the world ends in 2025: it rejects every event of today."""
    return settings.model_copy(
        update={
            "limits": settings.limits.model_copy(update={"latest_year": 2025}),
            "dead_letters": settings.dead_letters.model_copy(update=dead_letters),
        }
    )


@pytest.fixture
def command(clickhouse: ClickHouse) -> Callable[..., Result]:
    """`spendstream dead-letters` against a deployment, as an operator runs it."""

    def run(settings: Settings, *words: str) -> Result:
        values = {
            "clickhouse.url": clickhouse.url, "clickhouse.database": clickhouse.database,
            "kafka.bootstrap_servers": settings.kafka.bootstrap_servers,
            "kafka.topic_prefix": settings.kafka.topic_prefix,
            "kafka.idempotent_producer": str(settings.kafka.idempotent_producer).lower(),
        }  # fmt: skip
        sets = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
        return CliRunner().invoke(app, ["dead-letters", *words, *sets])

    return run


def redriven(result: Result) -> tuple[int, int, dict[str, int]]:
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    return said["looked_at"], said["redriven"], said["left_alone"]


def balance(service: Live) -> dict[str, int]:
    """The account of one worker: what it read, and what became of it."""
    return {name: service.count(name) for name in ("charged", "dead_lettered", "landed", "duplicate")}


def test_after_the_mend_redrive_lands_what_was_rejected_once(
    broker: EmbeddedBroker, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, command: Any
) -> None:
    settings = live_settings(broker, clickhouse, tmp_path)
    nonsense = next(example for example in invalid() if example.name == "negative--output-tokens").value

    async def rejecting() -> None:
        async with live(bad(settings), store) as service:
            await service.send_values(TOKEN_CALLS, [*records(0, 20), *records(20, 30, per_record=10), nonsense])
            await service.accounted(51)
            assert balance(service) == {"charged": 0, "dead_lettered": 51, "landed": 0, "duplicate": 0}

    async def mended() -> dict[str, int]:
        async with live(settings, store) as service:
            dry = redriven(await asyncio.to_thread(command, settings, "redrive", "--dry-run", "--json"))
            assert dry == (51, 50, {"rejected still: negative": 1})
            assert store.query("SELECT count() AS n FROM redrives")[0]["n"] == 0
            # by source, as the nonsense may be the first of its partition: which one it gets is the producer's choice
            part = ("--source", "/gateway", "--limit", "5", "--json", "--by", "ann", "--why", "year mended")
            assert redriven(await asyncio.to_thread(command, settings, "redrive", *part)) == (5, 5, {})
            rest = redriven(await asyncio.to_thread(command, settings, "redrive", "--json"))
            assert rest == (46, 45, {"rejected still: negative": 1})
            again = redriven(await asyncio.to_thread(command, settings, "redrive", "--json"))
            assert again == (1, 0, {"rejected still: negative": 1})
            await service.until(lambda: service.count("landed") == 50, "the redriven events to land")
            await service.landed()
            return balance(service)

    asyncio.run(rejecting())
    # Read = landed + duplicate + dead-lettered, before and after; of 51 dead letters 50 were redriven, 1 is open.
    assert asyncio.run(mended()) == {"charged": 50, "dead_lettered": 0, "landed": 50, "duplicate": 0}
    landed = store.query("SELECT id, count() AS n FROM charges GROUP BY id")
    assert {row["id"] for row in landed} == {f"call-{number}" for number in range(50)}
    assert {row["n"] for row in landed} == {1}
    assert store.query("SELECT count() AS n FROM dead_letters FINAL") == [{"n": 51}]
    states = "SELECT redrives, redriven_by, why, count() AS n FROM dead_letter_states GROUP BY ALL ORDER BY n"
    rows = store.query(states)
    assert [(row["redrives"], row["n"]) for row in rows] == [(0, 1), (1, 5), (1, 45)]
    assert (rows[1]["redriven_by"], rows[1]["why"]) == ("ann", "year mended")
    _look(command, settings)


def _look(command: Any, settings: Settings) -> None:
    """What `list` and `show` say of it."""
    listed = json.loads(command(settings, "list", "--json").stdout)
    assert [(row["reason"], row["letters"]) for row in listed["counts"]] == [("time_out_of_range", 1)]
    everything = json.loads(command(settings, "list", "--redriven", "--json", "--limit", "100").stdout)
    assert len(everything["dead_letters"]) == 51
    assert "time_out_of_range" in command(settings, "list").stdout
    assert "no dead letters" in command(settings, "list", "--source", "/nobody").stdout
    letter = next(row for row in everything["dead_letters"] if row["index"] == 3)
    shown = command(settings, "show", letter["dead_letter_id"]).stdout
    assert "redriven_by" in shown
    assert "The record is still on its topic." in shown
    assert CANARY not in shown + json.dumps(everything)
    where = f"{letter['topic']}:{letter['partition']}:{letter['offset']}"
    assert len(json.loads(command(settings, "show", where, "--json").stdout)["dead_letters"]) == 10
    assert CANARY in command(settings, "show", where, "--record").stdout  # asked for, and from the topic alone


def test_a_run_that_was_cut_off_before_its_note_makes_duplicates_and_nothing_more(
    broker: EmbeddedBroker, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, command: Any
) -> None:
    settings = live_settings(broker, clickhouse, tmp_path)

    async def scenario() -> dict[str, int]:
        async with live(bad(settings), store) as service:
            await service.send_values(TOKEN_CALLS, records(0, 12, per_record=3))
            await service.accounted(12)
        async with live(settings, store) as service:
            for _ in range(2):  # the note of the first run is taken away: it was cut off before it
                await asyncio.to_thread(store.command, "TRUNCATE TABLE redrives")
                assert redriven(await asyncio.to_thread(command, settings, "redrive", "--json"))[1] == 12
            await service.until(lambda: service.count("landed") + service.count("duplicate") == 24, "both runs")
            return balance(service)

    assert asyncio.run(scenario()) == {"charged": 24, "dead_lettered": 0, "landed": 12, "duplicate": 12}
    assert store.query("SELECT count() AS n, uniqExact(id) AS ids FROM charges") == [{"n": 12, "ids": 12}]


def test_what_its_topic_no_longer_has_is_said_to_be_gone(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, command: Any
) -> None:
    settings = live_settings(kafka, clickhouse, tmp_path)
    name = clients.topic_name(settings, TOKEN_CALLS)

    async def scenario() -> None:
        async with live(bad(settings), store) as service:
            await service.send_values(TOKEN_CALLS, records(0, 12))
            await service.accounted(12)
        admin = AIOKafkaAdminClient(**clients.client_config(settings.kafka))
        await admin.start()
        try:  # retention, at once
            await admin.delete_records(
                {TopicPartition(name, partition): RecordsToDelete(before_offset=-1) for partition in range(4)}
            )
        finally:
            await admin.close()

    asyncio.run(scenario())
    gone = {"gone from the topic: its retention is over, or it was made anew": 12}
    assert redriven(command(settings, "redrive", "--json")) == (12, 0, gone)
    letter = json.loads(command(settings, "list", "--json").stdout)["dead_letters"][0]
    assert "no longer on its topic" in command(settings, "show", letter["dead_letter_id"]).stdout
    assert command(settings, "show", letter["dead_letter_id"], "--record").exit_code == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("list", "--reason", "bad_luck"), "--reason: there is no bad_luck"),
        (("list", "--topic", "usage.gpus"), "--topic: there is no usage.gpus"),
        (("list", "--since", "yesterday"), "--since: yesterday is neither how long ago"),
        (("show", "usage.gpu:1:77"), "there is no dead letter usage.gpu:1:77"),
        (("redrive", "--set", "prices.rules_file=/nowhere.toml"), "nowhere.toml"),
    ],
)
def test_a_mistake_is_one_line(
    clickhouse: ClickHouse, store: ClickHouseStore, words: tuple[str, ...], problem: str
) -> None:
    sets = ("--set", f"clickhouse.url={clickhouse.url}", "--set", f"clickhouse.database={clickhouse.database}")
    done = CliRunner().invoke(app, ["dead-letters", *words, *sets])
    assert done.exit_code == 2, done.output
    assert problem in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_a_deployment_that_rejects_the_stream_stops_and_leaves_nothing_behind(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    """Started three times by a supervisor it eats nothing; after the mend every event lands, none is a dead letter."""
    settings = live_settings(kafka, clickhouse, tmp_path)
    broken = bad(settings, stop_minimum_events=100, stop_window_events=200, hold_seconds=20.0)

    async def good_past() -> None:
        async with live(settings, store) as service:
            await service.send_values(TOKEN_CALLS, records(0, 50))
            await service.accounted(50)

    async def stopping(values: list[bytes]) -> str:
        async with live(broken, store) as service:
            await service.send_values(TOKEN_CALLS, values)
            await asyncio.wait_for(service.worker.failed.wait(), 60)
            assert service.count("dead_lettered") == 0
            return service.worker.failure

    async def mended() -> None:
        async with live(settings, store) as service:
            await service.until(lambda: service.count("landed") + service.count("duplicate") >= 300, "the backlog")
            await service.landed()
            assert service.count("dead_lettered") == 0

    asyncio.run(good_past())
    for attempt in range(3):
        why = asyncio.run(stopping(records(50, 300, per_record=3) if attempt == 0 else []))
        assert re.search(r"dead letters \(time_out_of_range [1-9]\d\d\)", why)  # 100 at least; they come many at a time
        assert "take back the last change" in why
        assert "--set dead_letters.stop_share=1" in why
    assert store.query("SELECT count() AS n FROM dead_letters") == [{"n": 0}]
    asyncio.run(mended())
    assert store.query("SELECT count() AS n, uniqExact(id) AS ids FROM charges") == [{"n": 350, "ids": 350}]
