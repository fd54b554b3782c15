"""A worker has its partitions back at once after a crash: the broker waits for no dead one.

One with a name is known by it; one without finds in the state's folder who died, and takes its leave.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.bench.cluster import Run
from tests.bench.workers import ready, start, until
from tests.support.kafka import RealKafka, settings_for

# How long the broker waits for a dead worker without a name; Faust takes no session above 90 s.
SESSION_SECONDS, REBALANCE_SECONDS = 80.0, 300.0
LIMIT_SECONDS = SESSION_SECONDS - 10.0  # the last heartbeat was up to 3 s before the end
STAGES = ("price", "land", "roll", "detect", "alert")


@pytest.fixture(params=["one", ""], ids=["named", "nameless"])
def run(request: pytest.FixtureRequest, kafka: RealKafka, tmp_path: Path) -> Run:
    settings: Settings = settings_for(kafka)
    kept = {
        "kafka": settings.kafka.model_copy(update={"member": request.param}),
        "clickhouse": settings.clickhouse.model_copy(update={"url": f"chdb://{tmp_path / 'clickhouse'}"}),
        "stages": settings.stages.model_copy(update={"state_dir": tmp_path / "state"}),
    }
    made = Run(settings.model_copy(update=kept), tmp_path)
    # In a process of its own: this one may have opened the engine's only session for the tests before.
    command = [str(Path(sys.executable).with_name("spendstream")), "init"]
    subprocess.run(command, env={**os.environ, **made.environment}, check=True, capture_output=True)  # noqa: S603
    return made


def test_a_killed_worker_has_its_partitions_back_when_it_starts_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPENDSTREAM_KAFKA__SESSION_TIMEOUT_SECONDS", str(SESSION_SECONDS))
    monkeypatch.setenv("SPENDSTREAM_KAFKA__REBALANCE_TIMEOUT_SECONDS", str(REBALANCE_SECONDS))
    for _ in range(2):
        process = start(run, *STAGES)
        try:
            until(process, lambda: ready(process, STAGES), "it holds its partitions", LIMIT_SECONDS)  # noqa: B023
            process.kill()
        finally:
            process.end()
