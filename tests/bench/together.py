"""All five stages in one worker process: what more events and keys take, and how soon it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from streams.app import STAGES
from tests.bench.cluster import Lags, Run
from tests.bench.measure import migrate, stored
from tests.bench.workers import POLL_SECONDS, Drain, Idle, Process, drained, lag, ready, start, until, worker

BATCH = 500
BEHIND = 20_000  # events that are under way, or came since, when a worker starts again
BACK_SECONDS = 300.0
REST = tuple(stage for stage in STAGES if stage != "land")


@dataclass(frozen=True, slots=True)
class Whole:
    """What one process with all stages took for `events` events of `keys` keys that lay on Kafka."""

    events: int
    keys: int
    series: int  # that were watched at the end
    series_windows: int  # windows of series that had something in them
    cpu_seconds_per_million: float
    events_per_second: float
    start_rss_bytes: int  # when it held its partitions and had read nothing to speak of
    rss_bytes: int  # at most


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from the start of a process, after another was ended in the middle of its work."""

    ended_by: str
    named: bool  # whether the worker had a name of its own (`kafka.member`)
    series: int
    held_seconds: float  # until it held all its partitions, their state read
    caught_up_seconds: float  # until nothing was left to read, as the stages say it
    committed_seconds: float  # until nothing was left that is not committed, as the broker says it
    idle_start_seconds: float  # what the same takes where nobody was before it


def whole(run: Run, events: int, keys: int, idles: dict[str, Idle]) -> Whole:
    """Drain the events with one worker. Raises RuntimeError unless each landed once."""
    run.fill(events, keys, BATCH)
    migrate(run)
    with worker(run, *STAGES) as process:
        until(process, lambda: ready(process, STAGES), "it holds its partitions")
        before = process.took()
        done = until(
            # `land` is behind by a pulse most of the time: what it has landed says more.
            process,
            lambda: landed(process) >= events and _nothing_waits(process, *REST),
            "all events went through",
        )
        cost = idles["all"].work(done) / events * 1e6
        drained(run, process, *STAGES)
        series, windows, most = watched(process), _series_windows(process), process.took().rss_bytes
    stored(run, events)
    speed = events / (done.seconds - min(before.seconds, done.seconds - 0.001))
    return Whole(events, keys, series, windows, cost, speed, before.rss_bytes, most)


def recovery(run: Run, keys: int, events: int, ends: Sequence[str], idle_start: float) -> list[Recovery]:
    """Give a worker a state, end it in the middle of work by each of `ends`, and start another each time.

    Checkpoints are those that it writes as it works. Raises RuntimeError unless each event landed once after all.
    """
    run.fill(events, keys, BATCH)
    migrate(run)
    found: list[Recovery] = []
    process = start(run, *STAGES)
    try:
        drained(run, process, *STAGES)
        series = watched(process)  # before the first end: a worker that is new has not counted all of its own yet
        for ended_by in ends:
            before = landed(process)
            run.fill(BEHIND // 2, keys, BATCH, first=events)
            until(process, lambda: landed(process) > before, "it works on what came")  # noqa: B023
            if ended_by == "SIGKILL":
                process.kill()
            process.end()
            run.fill(BEHIND // 2, keys, BATCH, first=events + BEHIND // 2)  # nobody reads
            events += BEHIND
            process = start(run, *STAGES)
            held, caught_up, done = asyncio.run(_back(run, process))
            named = bool(run.settings.kafka.member)
            found.append(Recovery(ended_by, named, series, held, caught_up, done, idle_start))
    finally:
        process.end()
    stored(run, events)
    return found


async def _back(run: Run, process: Process) -> tuple[float, float, float]:
    """Seconds until it holds its partitions, until it has nothing left to read, and until all is committed."""
    held = caught_up = 0.0
    async with Lags.open(run) as lags:
        landing, all_of_it = Drain(run, lags, "price", "land"), Drain(run, lags, *STAGES)
        while process.took().seconds < BACK_SECONDS:
            now = process.took().seconds
            if not held and ready(process, STAGES):
                held = now
            # `price` and `land` say that they are behind by nothing before they have done anything; the broker knows.
            if held and await landing.is_over() and (caught_up or _nothing_waits(process, "roll", "detect", "alert")):
                caught_up = caught_up or now
                if await all_of_it.is_over():
                    return held, caught_up, now
            await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"the worker that took over was not done within {BACK_SECONDS:.0f} s")


def landed(process: Process) -> float:
    """Events that this process put into ClickHouse."""
    return process.metrics().get(("spendstream_events_total", (("outcome", "landed"),)), 0.0)


def watched(process: Process) -> int:
    """Series that it watches; it counts them every few seconds."""
    said = process.metrics()
    return int(sum(value for (name, _), value in said.items() if name == "spendstream_series"))


def _series_windows(process: Process) -> int:
    said = process.metrics()
    return int(sum(value for (name, _), value in said.items() if name == "spendstream_series_windows_total"))


def _nothing_waits(process: Process, *stages: str) -> bool:
    return ready(process, stages) and not any(sum(behind) for behind in lag(process, *stages).values())
