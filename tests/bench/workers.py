"""Runs stages as the processes that they are in production, and reads what they took from the operating system."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from aiokafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from schemas.topics import CHARGES, FINDINGS, TICKS, TOKEN_CALLS, Topic
from streams.app import STAGES
from streams.io.kafka import group_name
from streams.io.process import free_port
from tests.bench.cluster import Lags, Run

POLL_SECONDS = 0.25
DRAIN_SECONDS = 5400.0
IDLE_SECONDS = 10.0
READS: dict[str, Topic] = {
    "price": TOKEN_CALLS,
    "land": CHARGES,
    "roll": CHARGES,
    "detect": TICKS,
    "alert": FINDINGS,
}


@dataclass(frozen=True, slots=True)
class Took:
    """What a process used: CPU of all its threads, time by the clock, and the most memory it held."""

    cpu_seconds: float
    seconds: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Idle:
    """What a stage takes to start, and then to wait: CPU-seconds, seconds, CPU-seconds a second."""

    start_cpu_seconds: float
    start_seconds: float
    waiting: float

    def work(self, took: Took) -> float:
        """CPU-seconds of `took` that were work: a process that started, and then either works or waits.

        Of its time T after the start it works w and waits T - w, and uses w + waiting x (T - w), so that w follows.
        """
        used = took.cpu_seconds - self.start_cpu_seconds
        since = max(0.0, took.seconds - self.start_seconds)
        return max(0.0, (used - self.waiting * since) / (1.0 - self.waiting))


class Process:
    """A worker under measure, with its metrics on a port of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "output.log").open("ab")
        self._port = free_port()
        self._started = time.monotonic()
        self._process = psutil.Popen(
            command,
            env={**os.environ, **environment, "SPENDSTREAM_METRICS__PORT": str(self._port)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._most = 0

    def took(self) -> Took:
        """Up to now. Raises RuntimeError when it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended with {self._process.returncode}: {Path(self._log.name).read_text()[-2000:]}")
        cpu = self._process.cpu_times()
        self._most = max(self._most, self._process.memory_info().rss)
        return Took(cpu.user + cpu.system, time.monotonic() - self._started, self._most)

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """What it says of itself, by name and labels in order; nothing while it does not answer yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Stop it in order, or else at once."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            self._process.wait(30)
        if self._process.is_running():
            self._process.kill()
            self._process.wait()
        self._log.close()


def start(run: Run, *stages: str) -> Process:
    """`spendstream worker STAGE ...` as a process of its own, which the caller ends."""
    command = [str(Path(sys.executable).with_name("spendstream")), "worker", *stages]
    return Process(command, run.environment, run.folder / "-".join(stages))


@contextlib.contextmanager
def worker(run: Run, *stages: str) -> Iterator[Process]:
    """The same, ended after the block."""
    process = start(run, *stages)
    try:
        yield process
    finally:
        process.end()


def drained(run: Run, process: Process, *stages: str) -> Took:
    """What the process had taken when everything was read and committed."""
    return asyncio.run(_drained(run, process, stages))


async def _drained(run: Run, process: Process, stages: Sequence[str]) -> Took:
    end = time.monotonic() + DRAIN_SECONDS
    async with Lags.open(run) as lags:
        drain = Drain(run, lags, *stages)
        while time.monotonic() < end:
            took = process.took()
            if await drain.is_over():
                return took
            await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"{', '.join(stages)} was not done within {DRAIN_SECONDS:.0f} s")


class Drain:
    """Whether stages committed all that they read: each what stood there when the one before it was done.

    Pulses go on for ever, and stages commit now and then: that one has nothing left may be so for a moment of each
    second, and to wait for that moment would be to measure when one looks.
    """

    def __init__(self, run: Run, lags: Lags, *stages: str) -> None:
        self._run = run
        self._lags = lags
        self._left = list(stages)
        self._ends: dict[TopicPartition, int] = {}  # of what the first of these reads; empty: not looked yet

    async def is_over(self) -> bool:
        while self._left:
            stage = self._left[0]
            self._ends = self._ends or await self._lags.ends(READS[stage])
            if await self._lags.of(group_name(self._run.settings, stage), self._ends):
                return False
            del self._left[0]
            self._ends = {}
        return True


def until(process: Process, holds: Callable[[], bool], what: str, seconds: float = DRAIN_SECONDS) -> Took:
    """Poll until `holds`; what the process had taken by then. Raises RuntimeError when it ends, or never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        took = process.took()
        if holds():
            return took
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"not within {seconds:.0f} s: {what}")


def lag(process: Process, *stages: str) -> dict[str, list[float]]:
    """Records that the stages' partitions are behind, as the process says it of those that it holds."""
    found: dict[str, list[float]] = {stage: [] for stage in stages}
    for (name, labels), value in process.metrics().items():
        said = dict(labels)
        if name == "spendstream_consumer_lag_records" and said["stage"] in found:
            found[said["stage"]].append(value)
    return found


def ready(process: Process, stages: Sequence[str]) -> bool:
    """Whether the process holds all partitions of what its stages read. Empty topics would be drained before that."""
    return all(len(said) >= READS[stage].partitions for stage, said in lag(process, *stages).items())


def idle(run: Run) -> dict[str, Idle]:
    """What each stage takes to start and to wait, and all five in one process (`all`)."""
    return {**_idle(run, {stage: (stage,) for stage in STAGES}), **_idle(run, {"all": STAGES})}


def _idle(run: Run, groups: Mapping[str, Sequence[str]]) -> dict[str, Idle]:
    """One starts after the other, so that none waits for another's CPU; then they wait together."""
    with contextlib.ExitStack() as running:
        processes, starts = {}, {}
        for name, stages in groups.items():
            process = processes[name] = running.enter_context(worker(run, *stages))
            held = partial(ready, process, stages)
            starts[name] = until(process, held, f"{name} holds its partitions")
        before = {name: process.took() for name, process in processes.items()}
        time.sleep(IDLE_SECONDS)
        after = {name: process.took() for name, process in processes.items()}
    return {
        name: Idle(
            start.cpu_seconds,
            start.seconds,
            (after[name].cpu_seconds - before[name].cpu_seconds) / (after[name].seconds - before[name].seconds),
        )
        for name, start in starts.items()
    }
