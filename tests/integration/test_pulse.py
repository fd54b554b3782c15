"""What `price` knows of a source where nothing comes: where its partitions end, as of a moment ago."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from schemas.topics import USAGE_TOPICS
from streams.app import Worker
from streams.io.faust_transport import FETCH_WAIT_MS
from streams.io.topics import create_topics
from streams.metrics import Metrics
from streams.stages.price import assigned
from streams.stages.pulse import heard_at
from tests.support.kafka import settings_for

LIMIT_SECONDS = 180.0


@pytest.mark.parametrize("kind", ["broker", "kafka"])
def test_a_silent_source_is_heard_of_again_and_again(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = settings_for(
        request.getfixturevalue(kind), stages={"state_dir": tmp_path / "state"}, metrics={"port": 0}
    )

    async def run() -> None:
        await create_topics(settings)
        worker = Worker(settings, ["price"], Metrics())
        async with asyncio.timeout(LIMIT_SECONDS), worker:
            app: Any = worker.hosted[0].service
            count = sum(topic.partitions for topic in USAGE_TOPICS)
            first: dict[TP, float] = {}
            while len(first) < count:
                assert not worker.failed.is_set(), worker.failure
                heard = {tp: heard_at(app.consumer, tp) for tp in assigned(app)}
                first = {tp: at for tp, at in heard.items() if at is not None}
                await asyncio.sleep(0.01)
            while not all((heard_at(app.consumer, tp) or 0.0) > at for tp, at in first.items()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert app.consumer._thread._consumer._fetcher._fetch_max_wait_ms == FETCH_WAIT_MS

    asyncio.run(run())
