"""What a worker listens on: /metrics and /health, on loopback, and nothing else; Faust's own web views are off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.settings import ClickHouse
from tests.support.live import live, live_settings


def listening() -> set[tuple[str, int]]:
    """Every address that this process takes connections on."""
    connections = psutil.Process().net_connections("inet")
    return {(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN}


def test_a_worker_listens_on_its_one_address(
    broker: EmbeddedBroker, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    async def run() -> tuple[set[tuple[str, int]], tuple[str, int]]:
        before = listening()
        async with live(live_settings(broker, clickhouse, tmp_path), store) as service:
            await asyncio.sleep(1.0)  # what Faust starts late would be seen
            return listening() - before, service.worker.address

    opened, address = asyncio.run(run())
    assert address[0] == "127.0.0.1"
    assert opened == {address}
