"""What is measured: each stage alone, the floor, the idiomatic pipeline, and what lies on Kafka and in ClickHouse."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from schemas.topics import CHARGES, TICKS, TOKEN_CALLS
from streams.app import STAGES
from streams.io import clickhouse
from tests.bench.cluster import Run, topic_bytes
from tests.bench.workers import Took, drained, worker

MILLION = 1_000_000
PARTITIONS = TOKEN_CALLS.partitions


@dataclass(frozen=True, slots=True)
class Figure:
    """What one part took for `events` events."""

    part: str
    events: int
    batch: int  # events in a record
    cpu_seconds: float
    seconds: float
    rss_bytes: int

    @property
    def cpu_per_million(self) -> float:
        """CPU-seconds for a million events."""
        return self.cpu_seconds / self.events * MILLION

    @property
    def per_second(self) -> float:
        """Events a second by the clock, start-up left out of neither."""
        return self.events / self.seconds

    def to_json(self) -> dict[str, Any]:
        """As `build/bench.json` has it."""
        return {**asdict(self), "cpu_seconds_per_million": self.cpu_per_million, "events_per_second": self.per_second}


@dataclass(slots=True)
class Bytes:
    """Bytes per event that lie somewhere."""

    usage: float = 0.0
    charges: float = 0.0
    ticks: float = 0.0
    clickhouse: float = 0.0


def idle(run: Run) -> dict[str, Took]:
    """What each stage takes to start and find nothing to do."""
    asyncio.run(run.make())
    _migrate(run)
    out = {}
    for stage in STAGES:
        with worker(run, stage) as process:
            out[stage] = drained(run, process, stage)
    return out


def stages(run: Run, events: int, keys: int, batch: int, starting: dict[str, Took]) -> tuple[list[Figure], Bytes]:
    """Each stage alone, one after the other, over the same events."""
    size = run.fill(events, keys, batch)
    _migrate(run)
    figures = []
    for stage in STAGES:
        with worker(run, stage) as process:
            took = drained(run, process, stage).less(starting[stage])
        figures.append(Figure(stage, events, batch, took.cpu_seconds, took.seconds, took.rss_bytes))
    held = Bytes(usage=size / events)
    held.charges = asyncio.run(topic_bytes(run, CHARGES)) / events
    held.ticks = asyncio.run(topic_bytes(run, TICKS)) / events
    held.clickhouse = _stored(run, events) / events
    return figures, held


def floor(run: Run, events: int, batch: int) -> Figure:
    """`tests.bench.floor` over the events that are on the topic."""
    command = ["tests.bench.floor", run.settings.kafka.bootstrap_servers, run.name(TOKEN_CALLS)]
    return _alone("floor", [*command, str(run.folder / "floor"), str(PARTITIONS)], run, events, batch)


def idiomatic(run: Run, events: int, batch: int) -> Figure:
    """`tests.bench.idiomatic` over the events that are on the topic."""
    run.make_topics("idiomatic.priced", "idiomatic.scored", partitions=PARTITIONS)
    folder = run.folder / "idiomatic"
    folder.mkdir()
    command = ["tests.bench.idiomatic", run.settings.kafka.bootstrap_servers, run.settings.kafka.topic_prefix]
    return _alone("idiomatic Faust", [*command, str(folder), str(events)], run, events, batch)


def _alone(part: str, module: list[str], run: Run, events: int, batch: int) -> Figure:
    log = run.folder / f"{module[0]}.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", *module], stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
        used = _wait(process)
    if process.returncode:
        raise RuntimeError(f"{part} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    return Figure(part, events, batch, cpu, time.monotonic() - started, used.ru_maxrss * 1024)


def _wait(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """Wait for the process and return what it used, which only wait4 tells."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used


def _migrate(run: Run) -> None:
    with clickhouse.connect(run.settings.clickhouse) as store:
        store.migrate()


def _stored(run: Run, events: int) -> int:
    """Bytes of all tables on disk. Raises RuntimeError unless every event is there once."""
    with clickhouse.connect(run.settings.clickhouse) as store:
        landed = store.query("SELECT count() AS n, uniqExact(source, id) AS ids FROM charges")[0]
        if (landed["n"], landed["ids"]) != (events, events):
            raise RuntimeError(f"{events} events were sent, {landed['n']} landed, {landed['ids']} of them distinct")
        sql = "SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = currentDatabase()"
        return int(store.query(sql)[0]["bytes"])


def restart(run: Run) -> float:
    """Seconds from a process's start to no lag, with the state that `run` left."""
    with worker(run, "roll", "detect", "alert") as process:
        return drained(run, process, "roll", "detect", "alert").seconds
