"""The live stages on the real Kafka: bad input, exact totals, and that live equals replay."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from genai_prices import Usage, calc_price

from schemas.topics import TOKEN_CALLS, USAGE_TOPICS
from streams.io.clickhouse import ClickHouseStore
from streams.io.kafka import make_producer, topic_name
from streams.settings import ClickHouse
from tests.support.examples import invalid, valid
from tests.support.kafka import RealKafka
from tests.support.live import live, live_settings
from tests.support.replaying import replayed
from tests.support.shared import shared

CANARY = "sk-canary-8f2e71"


def test_bad_input_costs_its_neighbours_nothing(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    """Every example, good and bad, and a null: the good land, the bad are in ClickHouse with reason and position."""
    good, bad = [e for e in valid() if not e.headers], invalid()
    values: list[bytes | None] = [
        example.value for pair in itertools.zip_longest(good, bad) for example in pair if example
    ]
    values.append(None)
    values.append(json.dumps({"prompt": CANARY, "id": 5}).encode())

    async def run() -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
        settings = live_settings(kafka, clickhouse, tmp_path)
        async with live(settings, store) as service:
            await service.send_values(TOKEN_CALLS, values)
            events = sum(3 if "array-of-events" in e.name or "in-an-array" in e.name else 1 for e in good + bad)
            await service.accounted(events + 2)
            letters = service.rows("SELECT * FROM dead_letters FINAL")
            host, port = service.worker.address
            async with httpx.AsyncClient() as client:
                metrics = (await client.get(f"http://{host}:{port}/metrics")).text
            return service.rows("SELECT id, price_status FROM charges"), letters, metrics

    charges, letters, metrics = asyncio.run(run())
    landed = {row["id"] for row in charges}
    assert {"good-1", "good-2", "good-3", "good-4", "tok-1", "arr-3"} <= landed
    assert not {"bad-1", "bad-2"} & landed
    assert len(charges) == len(landed)
    reasons = sorted(row["reason"] for row in letters)
    assert reasons == sorted([*(e.reason.value for e in bad if e.reason), "empty", "missing_field"])
    by_reason = {(row["reason"], row["event_id"]): row for row in letters}
    assert by_reason["missing_field", "bad-1"]["index"] == 1
    assert len({(row["topic"], row["partition"], row["offset"], row["index"]) for row in letters}) == len(letters)
    assert CANARY not in str(letters) + str(charges) + metrics
    assert 'spendstream_dead_letters_total{reason="negative"} 2.0' in metrics


def test_binary_mode_is_charged(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    example = next(e for e in valid() if e.headers)

    async def run() -> list[dict[str, Any]]:
        settings = live_settings(kafka, clickhouse, tmp_path)
        async with live(settings, store) as service:
            producer = make_producer(settings, client_id="test")
            await producer.start()
            name = topic_name(settings, TOKEN_CALLS)
            await producer.send_and_wait(name, value=example.value, headers=list(example.headers))
            await producer.stop()
            await service.accounted(1)
            return service.rows("SELECT id, effective_cost FROM charges")

    assert asyncio.run(run()) == [{"id": "bin-1", "effective_cost": Decimal("0.0055")}]


# The labelled incidents, seed 1.


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The token incidents of seed 1, made by the generator beside the project."""
    out = tmp_path_factory.mktemp("tokens")
    script = shared("incidents") / "generate.py"
    subprocess.run([sys.executable, script, "tokens", "--seed", "1", "--out", out], check=True, capture_output=True)  # noqa: S603
    return out / "events.ndjson.gz"


def independent_totals(file: Path) -> dict[str, Decimal]:
    """USD per model by `calc_price` alone, without any code of ours.

    An event is a bucket of calls, and a model's long-context prices go by the size of a call: so each kind of token is
    priced by a call of 1,000 tokens at the event's time, and multiplied. (The mean call of this file is far below
    any long-context threshold; pricing a whole bucket as if it were one call would say 819 USD too much.)
    """
    totals: dict[str, Decimal] = defaultdict(Decimal)
    with gzip.open(file, "rt") as lines:
        for line in lines:
            event = json.loads(line)
            data = event["data"]
            assert data["input_tokens"] / data["requests"] < 100_000
            plain, answer, cached = _unit_usd(data["provider"], data["model"], event["time"][:10])
            read = data["cache_read_input_tokens"]
            usd = (data["input_tokens"] - read) * plain + data["output_tokens"] * answer + read * cached
            totals[data["model"]] += usd
    return totals


@cache
def _unit_usd(provider: str, model: str, day: str) -> tuple[Decimal, Decimal, Decimal]:
    """USD per token of input, of output and of cached input. No price of these models changes within a day."""

    def one(**counts: int) -> Decimal:
        at = datetime.fromisoformat(f"{day}T12:00:00+00:00")
        price = calc_price(Usage(**counts), model_ref=model, provider_id=provider, genai_request_timestamp=at)
        return price.total_price / 1000

    return one(input_tokens=1000), one(output_tokens=1000), one(input_tokens=1000, cache_read_tokens=1000)


def test_the_incident_file_lands_once_and_to_the_last_digit(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, tokens: Path
) -> None:
    async def run() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        settings = live_settings(kafka, clickhouse, tmp_path)
        async with live(settings, store, ("price", "land")) as service:
            sent = await service.send_file(tokens, batch=50)
            assert sent == 167_290
            await service.accounted(sent)
            return (
                service.rows("SELECT count() AS n, uniqExact(source, id) AS ids FROM charges"),
                service.rows("SELECT model, sum(effective_cost) AS usd FROM charges GROUP BY model"),
            )

    counts, totals = asyncio.run(run())
    assert counts == [{"n": 167_290, "ids": 167_290}]
    assert {row["model"]: row["usd"] for row in totals} == independent_totals(tokens)


# Live equals replay.


def excerpt(tokens: Path, out: Path) -> Path:
    """Some hours around incidents, with the GPU and line item examples of the corpus' kind mixed in."""
    rng = random.Random(7)
    with gzip.open(tokens, "rt") as lines:
        events = [
            line for line in lines if "2026-11-06T00" <= line[line.index('"time":"') + 8 :][:13] < "2026-11-06T11"
        ]
    with out.open("w") as file:
        for number, line in enumerate(_with_gpus(events)):
            file.write(line)
            if rng.random() < 0.01:
                file.write(line)  # sent twice
            if number % 1000 == 500:
                file.write('{"specversion": "1.0", "id": "broken"}\n')
    return out


def _with_gpus(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line
        if number % 40 == 0:
            event = json.loads(line)
            data = {"provider": "aws", "accelerator": "nvidia-h100-80gb", "gpu_minutes": 40.0, "utilization": 0.6,
                    "cluster": f"c{number % 3}", "tags": {"team": "risk"}}  # fmt: skip
            gpu = {
                **event,
                "id": f"gpu-{number}",
                "source": "/clusters",
                "type": "spendstream.gpu_usage.v1",
                "data": data,
            }
            yield json.dumps(gpu) + "\n"


CHARGE = "source, id, part, time, model, team, principal, effective_cost, list_cost, price_status, allocation"
FINDING = "finding_id, kind, opened_at, detected_at, closed_at, excess_usd, severity, explanation, revision"


def test_live_equals_replay(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, tokens: Path
) -> None:
    file = excerpt(tokens, tmp_path / "events.ndjson")
    held = {"min_excess_usd": 0.1, "hold_seconds": 120}  # a slow machine must not group without a slow partition
    settings = live_settings(kafka, clickhouse, tmp_path, roll={"idle_seconds": 5}, alerts=held)

    async def run() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]], int]:
        async with live(settings, store) as service:
            sent = await service.send_file(file)
            await service.accounted(sent)
            await service.settled()
            await service.landed()
            return (
                service.rows(f"SELECT {CHARGE} FROM charges ORDER BY source, id, part"),  # noqa: S608  our own columns
                service.rows(f"SELECT {FINDING} FROM findings_current ORDER BY finding_id"),  # noqa: S608
                service.rows("SELECT alert_id, title, findings FROM alerts_current ORDER BY alert_id"),
                service.count("duplicate"),
            )

    charges, findings, alerts, duplicates = asyncio.run(run())
    replay = replayed(settings, file, tmp_path / "out")
    assert len(charges) == replay.summary["charged"]
    assert duplicates == replay.summary["duplicates"] > 0
    assert charges == replay.charges(CHARGE.split(", "))
    assert findings, "the excerpt holds incidents: there is something to compare"
    expected = replay.findings(FINDING.split(", "))
    assert [f["finding_id"] for f in findings] == [f["finding_id"] for f in expected]
    for found, wanted in zip(findings, expected, strict=True):
        assert found == wanted
    assert [(a["alert_id"], a["title"], sorted(a["findings"])) for a in alerts] == replay.alert_titles()


def test_the_worker_says_how_it_is(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    async def run() -> tuple[Any, str]:
        settings = live_settings(kafka, clickhouse, tmp_path)
        async with live(settings, store) as service, httpx.AsyncClient() as client:
            host, port = service.worker.address
            assert host == "127.0.0.1"
            base = f"http://{host}:{port}"
            await service.until(lambda: service.worker.health().ready, "readiness")
            return (await client.get(f"{base}/health")).json(), (await client.get(f"{base}/metrics")).text

    health, metrics = asyncio.run(run())
    assert health["live"]
    assert health["ready"]
    assert set(health["stages"]) == {"price", "land", "roll", "detect", "alert"}
    assert 'spendstream_stage_up{stage="price"} 1.0' in metrics


def test_all_usage_topics_are_read(
    kafka: RealKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    example = next(e for e in valid() if e.name == "array-of-events")

    async def run() -> int:
        settings = live_settings(kafka, clickhouse, tmp_path)
        async with live(settings, store, ("price", "land")) as service:
            for number, topic in enumerate(USAGE_TOPICS):
                value = example.value.replace(b"arr-", b"arr-%d-" % number)
                await service.send_values(topic, [value])
            await service.accounted(9)
            return int(service.rows("SELECT count() AS n FROM charges")[0]["n"])

    assert asyncio.run(run()) == 9
