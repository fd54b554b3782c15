"""`spendstream warm` as an operator runs it: from a file, from ClickHouse, and into workers that go on from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner

from schemas.topics import TICKS
from streams import build
from streams.cli import app
from streams.core.usage.charge import Charger
from streams.core.usage.decode import RawRecord
from streams.io.checkpoints import Checkpoint, Checkpoints
from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.io.kafka import group_name, make_consumer, topic_name
from streams.io.topics import create_topics
from streams.settings import ClickHouse, Settings, load
from tests.support.kafka import settings_for
from tests.support.spending import land

START = datetime(2026, 11, 2, tzinfo=UTC)
HOURS = 6


def events() -> Iterator[dict[str, Any]]:
    """Two keys by the minute for some hours."""
    rng = Random(1)
    for minute in range(60 * HOURS):
        at = START + timedelta(minutes=minute, seconds=59)
        for name in ("key-1", "key-2"):
            data = {"provider": "openai", "model": "gpt-4o", "requests": rng.randint(15, 25), "input_tokens": 40_000,
                    "output_tokens": 6_000, "principal": name, "tags": {"team": "search"}}  # fmt: skip
            yield {"specversion": "1.0", "id": f"{name}-{minute}", "source": "/gateway",
                   "type": "spendstream.token_call.v1", "time": at.isoformat(), "data": data}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "history.ndjson"
    path.write_text("".join(json.dumps(event) + "\n" for event in events()))
    return path


@pytest.fixture
def settings(broker: EmbeddedBroker) -> Settings:
    settings = settings_for(broker)
    asyncio.run(create_topics(settings))
    return settings


@pytest.fixture
def warm(settings: Settings, tmp_path: Path) -> Any:
    """Runs the command on the broker, with a state folder of its own."""
    kafka = settings.kafka
    values = {"kafka.bootstrap_servers": kafka.bootstrap_servers, "kafka.topic_prefix": kafka.topic_prefix,
              "stages.state_dir": tmp_path / "state"}  # fmt: skip
    sets = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    return lambda *words: CliRunner().invoke(app, ["warm", *map(str, words), *sets])


def states(settings: Settings, folder: Path) -> list[Checkpoint]:
    store = Checkpoints(folder / "state")
    found = [store.load("detect", topic_name(settings, TICKS), partition) for partition in range(TICKS.partitions)]
    return [checkpoint for checkpoint in found if checkpoint is not None]


def names(checkpoint: Checkpoint) -> set[str]:
    series = [one for lane in checkpoint.state["watch"]["lanes"] for one in lane["series"]]
    return {",".join(f"{name}={value}" for name, value in one["key"]) for one in series}


def test_what_is_learnt_waits_for_the_workers(warm: Any, settings: Settings, file: Path, tmp_path: Path) -> None:
    dry = warm(file, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "nothing is written" in dry.output
    assert states(settings, tmp_path) == []
    done = warm(file)
    assert done.exit_code == 0, done.output
    assert f"{2 * 60 * HOURS:,} events from 2026-11-02 00:00 to 2026-11-02 05:59 UTC" in done.output
    found = states(settings, tmp_path)
    assert [checkpoint.offset for checkpoint in found] == [0] * TICKS.partitions
    known = [names(checkpoint) for checkpoint in found]
    assert set().union(*known) >= {"", "principal=key-1", "principal=key-2", "team=search", "model=gpt-4o"}
    assert sum(map(len, known)) == len(set().union(*known)), "each series is in one partition"


def test_what_detection_has_learnt_is_not_replaced_unasked(
    warm: Any, settings: Settings, file: Path, tmp_path: Path
) -> None:
    topic = topic_name(settings, TICKS)
    Checkpoints(tmp_path / "state").save("detect", topic, 1, offset=17, state={"live": True})
    refused = warm(file)
    assert refused.exit_code == 2
    assert "detect has learnt already (partitions 1); --force replaces it" in refused.output
    forced = warm(file, "--force")
    assert forced.exit_code == 0, forced.output
    assert [checkpoint.offset for checkpoint in states(settings, tmp_path)] == [0, 17, 0, 0], "it never goes back"


def test_a_worker_that_runs_would_write_over_it(warm: Any, settings: Settings, file: Path, tmp_path: Path) -> None:
    async def beside_a_worker() -> Any:
        consumer = make_consumer(settings, group=group_name(settings, "detect"), client_id="worker")
        consumer.subscribe([topic_name(settings, TICKS)])
        await consumer.start()
        try:
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=100)
            return await asyncio.to_thread(warm, file, "--force")
        finally:
            await consumer.stop()

    done = asyncio.run(beside_a_worker())
    assert done.exit_code == 2, done.output
    assert "a worker runs detect: stop it first" in done.output
    assert states(settings, tmp_path) == []


def test_it_goes_on_from_what_was_committed(warm: Any, settings: Settings, file: Path, tmp_path: Path) -> None:
    async def commit() -> None:
        consumer = make_consumer(settings, group=group_name(settings, "detect"), client_id="before")
        await consumer.start()
        tp = TopicPartition(topic_name(settings, TICKS), 2)
        consumer.assign([tp])
        await consumer.commit({tp: 5})
        await consumer.stop()

    asyncio.run(commit())
    assert warm(file).exit_code == 0
    assert [checkpoint.offset for checkpoint in states(settings, tmp_path)] == [0, 0, 5, 0]


def test_clickhouse_teaches_what_the_file_does(
    warm: Any, settings: Settings, file: Path, tmp_path: Path, clickhouse: ClickHouse, store: ClickHouseStore
) -> None:
    assert warm(file).exit_code == 0
    from_file = [checkpoint.state for checkpoint in states(settings, tmp_path)]
    charger: Charger = build.charger(load())
    raws = [(RawRecord(b"", (), ("f", 0, n), None), event) for n, event in enumerate(events())]  # type: ignore[arg-type]
    land(store, [charge for raw, event in raws for charge in charger.charge(raw, event).charges])
    where = ("--set", f"clickhouse.url={clickhouse.url}", "--set", f"clickhouse.database={clickhouse.database}")
    done = warm("--from", "2026-11-02", "--to", "2026-11-03", "--force", *where)
    assert done.exit_code == 0, done.output
    assert [checkpoint.state for checkpoint in states(settings, tmp_path)] == from_file


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give files to learn from, or --from"),
        (("none.ndjson", "--dry-run"), "none.ndjson"),
        (("--from", "yesterday", "--dry-run"), "--from: yesterday is not a day"),
        (("--from", "2026-11-02", "--to", "2026-11-01", "--dry-run"), "--to: must be after --from"),
        (("f.ndjson", "--set", "kafka.bootstrap_servers=127.0.0.1:1"), "no broker answers at 127.0.0.1:1"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(app, ["warm", *words])
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_a_history_without_a_whole_window_teaches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.ndjson"
    path.write_text(json.dumps(next(events())) + "\n")
    done = CliRunner().invoke(app, ["warm", str(path), "--dry-run"])
    assert done.exit_code == 2
    assert "nothing was learnt" in done.output
