"""`spendstream reprice` as an operator runs it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.core.tag import Owner
from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.io.owners import publish_owners
from streams.io.topics import create_topics
from streams.settings import ClickHouse
from tests.support.kafka import settings_for
from tests.support.spending import Books, charges_of, history, land

PERIOD = ("--from", "2026-10-01", "--to", "2027-02-01")


@pytest.fixture
def prepared(clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path) -> Any:
    """Runs the command with mended books over a landed history; the topic of owners as the words say."""
    land(store, charges_of(Books().charger(tmp_path / "old"), history()))
    mended = tmp_path / "mended"
    Books(llama="0.35").charger(mended)
    values = {
        "clickhouse.url": clickhouse.url, "clickhouse.database": clickhouse.database,
        "prices.rates_dir": mended / "rates", "prices.rules_file": mended / "rules.toml",
        "prices.fx_file": mended / "fx.csv",
    }  # fmt: skip
    sets = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    return lambda *words: CliRunner().invoke(app, ["reprice", *words, *sets])


@pytest.fixture
def reprice(prepared: Any) -> Any:
    """The command without a broker."""
    return lambda *words: prepared("--no-broker", *words)


def spent(store: ClickHouseStore) -> Decimal:
    total: Decimal = store.query("SELECT sum(effective_cost_usd) AS usd FROM spend_by_hour")[0]["usd"]
    return total


def test_a_dry_run_shows_what_the_run_lands(reprice: Any, store: ClickHouseStore) -> None:
    before = spent(store)
    dry = reprice("--dry-run", "--json", *PERIOD)
    assert dry.exit_code == 0, dry.output
    said = json.loads(dry.stdout)
    # 3 calls of 1,000 and 3 of 1,000,003 tokens, each token 0.15 USD a million dearer.
    change = 3 * (1000 + 1_000_003) * Decimal("0.15") / 1_000_000
    assert Decimal(said["totals"]["USD"]) == change
    assert (said["events"], said["corrected"], said["dry_run"]) == (42, 6, True)
    assert spent(store) == before
    wet = reprice("--reason", "llama was mispriced", "--by", "fin", *PERIOD)
    assert wet.exit_code == 0, wet.output
    assert "6 of 42 events were corrected" in wet.stdout
    assert f"USD {change:+,.6f}" in wet.stdout
    assert spent(store) == before + change
    audit = store.query("SELECT asked_by, reason, events, corrected FROM reprices FINAL")
    assert audit == [{"asked_by": "fin", "reason": "llama was mispriced", "events": 42, "corrected": 6}]
    rows = store.query("SELECT DISTINCT asked_by, reason FROM repriced_events")
    assert rows == [{"asked_by": "fin", "reason": "llama was mispriced"}]
    again = reprice("--json", *PERIOD)
    assert json.loads(again.stdout)["corrected"] == 0
    assert spent(store) == before + change


def test_a_part_of_the_period_corrects_that_part(reprice: Any, store: ClickHouseStore) -> None:
    done = reprice("--json", "--from", "2026-11-16T13:00:00+00:00", "--to", "2026-11-16T14:00:00Z")
    assert json.loads(done.stdout)["events"] == 1
    assert store.query("SELECT id FROM charges_current WHERE revision = 1") == [{"id": "1-1"}]


def test_owners_on_the_topic_hold_as_they_do_for_the_price_stage(
    prepared: Any, store: ClickHouseStore, broker: EmbeddedBroker
) -> None:
    settings = settings_for(broker)

    async def publish() -> None:
        await create_topics(settings)
        await publish_owners(settings, {"key-1": Owner(team="chatbots")})

    asyncio.run(publish())
    kafka = {"bootstrap_servers": settings.kafka.bootstrap_servers, "topic_prefix": settings.kafka.topic_prefix}
    done = prepared(*PERIOD, "--json", *(w for k, v in kafka.items() for w in ("--set", f"kafka.{k}={v}")))
    assert done.exit_code == 0, done.output
    moves = {(m["team_before"], m["team_after"], m["reason"]): m for m in json.loads(done.stdout)["moves"]}
    assert moves["", "chatbots", "price+owner"]["events"] == 3
    rows = store.query("SELECT DISTINCT team, allocation FROM charges_current WHERE principal = 'key-1'")
    assert rows == [{"team": "chatbots", "allocation": "directory"}]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--from", "yesterday", "--to", "2026-11-01"), "--from: yesterday is not a day"),
        (("--from", "2026-11-02", "--to", "2026-11-01"), "--to: must be after --from"),
        ((*PERIOD, "--set", "prices.rules_file=/nowhere.toml"), "nowhere.toml"),
    ],
)
def test_a_mistake_is_one_line(reprice: Any, words: tuple[str, ...], problem: str) -> None:
    done = reprice(*words[:4]) if len(words) == 4 else CliRunner().invoke(app, ["reprice", "--no-broker", *words])
    assert done.exit_code == 2
    assert problem in done.output
    assert len(done.output.strip().splitlines()) == 1
