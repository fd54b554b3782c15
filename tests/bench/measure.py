"""What is measured: each stage alone, the floor, the idiomatic pipeline, and what lies on Kafka and in ClickHouse."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from schemas.topics import CHARGES, TICKS, TOKEN_CALLS
from streams.app import STAGES
from streams.io import clickhouse
from tests.bench import workers
from tests.bench.cluster import Run, topic_bytes
from tests.bench.workers import Idle, drained, worker

MILLION = 1_000_000
PARTITIONS = TOKEN_CALLS.partitions
QUIX = Path("build/quix")
QUIXSTREAMS = "quixstreams>=3.28,<4"
QUIX_SHARES = ("chdb", "clickhouse-connect", "genai-prices", "orjson", "river")


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
        """Events a second by the clock, after the start."""
        return self.events / self.seconds

    def less(self, start: Figure) -> Figure:
        """Without what `start` took for one event: the start, as good as alone. Time by the clock likewise."""
        seconds = max(0.001, self.seconds - start.seconds)
        return replace(self, cpu_seconds=max(0.0, self.cpu_seconds - start.cpu_seconds), seconds=seconds)

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


def idle(run: Run) -> dict[str, Idle]:
    """What each stage takes to start and find nothing to do."""
    asyncio.run(run.make())
    migrate(run)
    return workers.idle(run)


def stages(run: Run, events: int, keys: int, batch: int, idles: dict[str, Idle]) -> tuple[list[Figure], Bytes]:
    """Each stage alone, one after the other, over the same events."""
    size = run.fill(events, keys, batch)
    migrate(run)
    figures = []
    for stage in STAGES:
        with worker(run, stage) as process:
            took = drained(run, process, stage)
        seconds = max(took.seconds - idles[stage].start_seconds, 0.001)
        figures.append(Figure(stage, events, batch, idles[stage].work(took), seconds, took.rss_bytes))
    held = Bytes(usage=size / events)
    held.charges = asyncio.run(topic_bytes(run, CHARGES)) / events
    held.ticks = asyncio.run(topic_bytes(run, TICKS)) / events
    held.clickhouse = stored(run, events) / events
    return figures, held


def floor(run: Run, events: int, batch: int) -> Figure:
    """`tests.bench.floor` over the events that are on the topic."""
    command = ["tests.bench.floor", run.settings.kafka.bootstrap_servers, run.name(TOKEN_CALLS)]
    return _alone("floor", [*command, str(run.folder / "floor"), str(PARTITIONS)], run, events, batch)


def idiomatic(run: Run, events: int, batch: int) -> Figure:
    """`tests.bench.idiomatic` over the events that are on the topic."""
    run.make_topics("idiomatic.priced", "idiomatic.scored", partitions=PARTITIONS)
    return _alone("idiomatic Faust", _pipeline(run, "tests.bench.idiomatic", events), run, events, batch)


def quix(run: Run, events: int, batch: int) -> Figure:
    """`tests.bench.quix` over the events that are on the topic, in its own environment."""
    python = quix_python()
    return _alone("Quix Streams", _pipeline(run, "tests.bench.quix", events), run, events, batch, python)


def quix_python() -> str:
    """The interpreter of `build/quix`, made when it is not there, with the releases of ours that both work with.

    quixstreams 3.28 asks for pydantic before 2.14, which our lock is beyond, so it can't be in our environment.
    """
    python = QUIX / "bin/python"
    if not (QUIX / ".installed").exists():
        wanted = [QUIXSTREAMS, *(f"{name}=={version(name)}" for name in QUIX_SHARES)]
        subprocess.run([sys.executable, "-m", "venv", str(QUIX)], check=True)  # noqa: S603
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *wanted], check=True)  # noqa: S603
        (QUIX / ".installed").touch()
    return str(python)


def _pipeline(run: Run, module: str, events: int) -> list[str]:
    folder = run.folder / module
    folder.mkdir()
    kafka = run.settings.kafka
    return [module, kafka.bootstrap_servers, kafka.topic_prefix, str(folder), str(events)]


def _alone(part: str, module: list[str], run: Run, events: int, batch: int, python: str = sys.executable) -> Figure:
    log = run.folder / f"{module[0]}.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen([python, "-m", *module], stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
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


def migrate(run: Run) -> None:
    with clickhouse.connect(run.settings.clickhouse) as store:
        store.migrate()


def stored(run: Run, events: int) -> int:
    """Bytes of all tables on disk. Raises RuntimeError unless every event is there once."""
    with clickhouse.connect(run.settings.clickhouse) as store:
        landed = store.query("SELECT count() AS n, uniqExact(source, id) AS ids FROM charges")[0]
        if (landed["n"], landed["ids"]) != (events, events):
            raise RuntimeError(f"{events} events were sent, {landed['n']} landed, {landed['ids']} of them distinct")
        sql = "SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = currentDatabase()"
        return int(store.query(sql)[0]["bytes"])
