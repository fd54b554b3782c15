"""Runs stages as the processes that they are in production, and reads what they took from the operating system."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from schemas.topics import CHARGES, FINDINGS, TICKS, TOKEN_CALLS, Topic
from streams.io.kafka import group_name
from tests.bench.cluster import Run, lag

POLL_SECONDS = 0.5
DRAIN_SECONDS = 1800.0
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

    def less(self, idle: Took) -> Took:
        """Without what it takes to start and to wait."""
        return Took(max(0.0, self.cpu_seconds - idle.cpu_seconds), self.seconds, self.rss_bytes)


class Process:
    """A process under measure."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "output.log").open("ab")
        self._started = time.monotonic()
        self._process = psutil.Popen(
            command,
            env={**psutil.Process().environ(), **environment},
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

    def end(self) -> None:
        """Stop it in order, or else at once."""
        self._process.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            self._process.wait(30)
        if self._process.is_running():
            self._process.kill()
            self._process.wait()
        self._log.close()


@contextlib.contextmanager
def worker(run: Run, *stages: str) -> Iterator[Process]:
    """`spendstream worker STAGE ...` as a process of its own."""
    command = [str(Path(sys.executable).with_name("spendstream")), "worker", *stages]
    process = Process(command, run.environment, run.folder / "-".join(stages))
    try:
        yield process
    finally:
        process.end()


def drained(run: Run, process: Process, *stages: str) -> Took:
    """What the process had taken when nothing was left for it to read."""
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        took = process.took()
        if all(asyncio.run(lag(run, group_name(run.settings, stage), READS[stage])) == 0 for stage in stages):
            return took
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{', '.join(stages)} was not done within {DRAIN_SECONDS:.0f} s")
