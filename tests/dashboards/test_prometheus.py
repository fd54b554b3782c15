"""Every PromQL expression of the panels, asked of a real Prometheus that scrapes a real worker at work."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from schemas.topics import TOKEN_CALLS
from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.settings import ClickHouse
from tests.support.grafana import targets
from tests.support.live import Live, live, live_settings
from tests.support.require import require

LIMIT_SECONDS = 180.0
QUIET = {"ClickHouse errors per minute", "Alert deliveries", "Open findings", "Open findings by detection"}
"""What has no sample while all is well."""


@asynccontextmanager
async def prometheus(scraped: tuple[str, int], folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A Prometheus that scrapes an address each second, and a client of it."""
    program = shutil.which("prometheus")
    require(program, "Prometheus (Debian: apt install prometheus), to run the panels' expressions")
    target = {"targets": [f"{scraped[0]}:{scraped[1]}"], "labels": {"service": "all"}}
    job = {"job_name": "spendstream", "scrape_interval": "1s", "static_configs": [target]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = subprocess.Popen(  # noqa: S603, ASYNC220
        [str(program), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
            yield client
    finally:
        server.terminate()
        server.wait(20)


async def ask(client: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    answer = (await client.get("/query", params={"query": expression})).json()
    assert answer["status"] == "success", (expression, answer)
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


async def scraped(client: httpx.AsyncClient, expression: str, least: float) -> None:
    """Wait until a number is at least so large."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                if any(float(row["value"][1]) >= least for row in await ask(client, expression)):
                    return
            except httpx.TransportError:
                pass  # it is not up yet
            await asyncio.sleep(0.2)


def calls(begin: int, count: int) -> list[bytes]:
    """Records of one call each; every tenth can't be charged."""
    example = json.loads((Path(__file__).parents[2] / "schemas/examples/valid/token-call.json").read_bytes())
    events = [{**example, "id": f"p-{begin + n}"} for n in range(count)]
    for event in events[::10]:
        event["data"] = {"model": "gpt-4o"}
    return [json.dumps(event).encode() for event in events]


async def work(running: Live, client: httpx.AsyncClient) -> None:
    """Two lots of calls, the second after the first was scraped, so that there is a rate."""
    for lot in (1, 2):
        await running.send_values(TOKEN_CALLS, calls(lot * 100, 50))
        await scraped(client, 'sum(spendstream_events_total{outcome="landed"})', 45 * lot)


def test_every_expression_has_an_answer_from_a_worker_at_work(
    broker: EmbeddedBroker, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    settings = live_settings(broker, clickhouse, tmp_path)

    async def run() -> None:
        async with live(settings, store) as running, prometheus(running.worker.address, tmp_path) as client:
            await work(running, client)
            silent = []
            for _, panel, target in targets():
                if "expr" in target and not await ask(client, target["expr"]) and panel["title"] not in QUIET:
                    silent.append(panel["title"])
            assert silent == []
            assert (await ask(client, 'up{job="spendstream"}'))[0]["value"][1] == "1"
            dead = await ask(client, "sum by (reason) (spendstream_dead_letters_total)")
            assert [(row["metric"]["reason"], row["value"][1]) for row in dead] == [("missing_field", "10")]

    asyncio.run(run())
