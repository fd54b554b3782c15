"""The worker's watch over its stages: one that crashed, or stands still with work before it, ends the process."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from mode import Service

from streams.app import STAGES, Hosted, Worker
from streams.metrics import Metrics
from streams.settings import Settings, load
from streams.stages.roll import Layout


class Stage(Service):
    """A stage that does nothing."""


def watched(settings: Settings, lag: int, progress_age: float, crash: Exception | None = None) -> str:
    """Why the watch ended a worker with one such stage, or empty when it did not."""

    async def run() -> str:
        worker = Worker(settings, ("roll",), Metrics())
        stage = Stage()
        if crash is not None:
            await stage.crash(crash)
        worker.hosted.append(Hosted("roll", stage, lambda: (lag, time.monotonic() - progress_age)))
        worker.look()
        assert worker.health().live == (not worker.failure)
        return worker.failure

    return asyncio.run(run())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, ["stages.stuck_seconds=60", "metrics.port=0", f"stages.state_dir={tmp_path}"])


def test_no_stage_waits_for_price_to_start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    started: set[str] = set()

    class Starting(Stage):
        def __init__(self, name: str) -> None:
            super().__init__()
            self._name = name

        async def on_start(self) -> None:
            if self._name == "price":
                assert started == set(STAGES) - {"price"}
            started.add(self._name)

    def maker(name: str) -> Any:
        async def make(_: Worker, __: Layout) -> Hosted:
            return Hosted(name, Starting(name), lambda: (0, time.monotonic()))

        return make

    async def layout(_: Settings) -> Layout:
        return Layout({}, 1, 1)

    monkeypatch.setattr("streams.app._layout", layout)
    for stage in STAGES:
        monkeypatch.setattr(Worker, f"_{stage}", maker(stage))

    async def run() -> None:
        async with Worker(settings, STAGES, Metrics(), store=object()):
            pass

    asyncio.run(run())
    assert started == set(STAGES)


def test_lag_without_progress_ends_it(settings: Settings) -> None:
    assert "stage roll made no progress for 61 s with 5 records behind" in watched(settings, 5, 61)


def test_lag_with_progress_does_not(settings: Settings) -> None:
    assert watched(settings, 5, 59) == ""


def test_no_lag_is_no_trouble_however_long(settings: Settings) -> None:
    assert watched(settings, 0, 10_000) == ""


def test_a_crash_ends_it_and_is_named(settings: Settings) -> None:
    assert "stage roll crashed: ValueError('broken')" in watched(settings, 0, 0, ValueError("broken"))
