"""Reading anew what stood on Kafka."""

from __future__ import annotations

import asyncio

from streams.io.rereading import reread
from streams.settings import Settings, load


def test_nothing_is_read_without_a_broker() -> None:
    """There was a broker, and aiokafka ended `spendstream dead-letters redrive` that had nothing to do."""
    settings: Settings = load(None, ["kafka.bootstrap_servers=127.0.0.1:1"])

    async def run() -> list[object]:
        return [found async for found in reread(settings, [])]

    assert asyncio.run(run()) == []
