"""The faults that CI does each time, on the real Kafka and with real processes. All of them: `make faults`."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.judge import Outcome
from tests.faults.run import all_of, ground
from tests.faults.scenarios import SHORT
from tests.faults.stream import CI
from tests.support.kafka import java_release
from tests.support.require import require


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What each fault came to, by its name."""
    require(java_release() >= 17, "Java 17 or newer (java), to run Apache Kafka")

    async def run() -> list[Outcome]:
        async with ground(CI, tmp_path_factory.mktemp("faults")) as on:
            return await all_of(on, SHORT, lambda _: None, lambda _: None)

    return {outcome.fault: outcome for outcome in asyncio.run(run())}


@pytest.mark.parametrize("fault", ["nothing", *(scenario.name for scenario in SHORT)])
def test_nothing_is_lost_counted_twice_or_alarmed_falsely(outcomes: dict[str, Outcome], fault: str) -> None:
    outcome = outcomes[fault]
    assert outcome.holds, outcome
    assert outcome.looks > 10
