"""Worker processes as a supervisor runs them: `spendstream worker STAGE...`, started again when they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SKEW = "FAULTS_SKEW_SECONDS"
# The command line's entry, in a process that ends when our end of its standard input closes, however we end. Its clock
# may be wrong: what it reads is, what it waits by is not. (libfaketime breaks timed waits of threads.)
ENTRY = f"""
import os, threading, time
from datetime import timedelta
threading.Thread(target=lambda: (os.read(0, 1), os._exit(9)), daemon=True).start()
skew, right = float(os.environ.get("{SKEW}", "0")), time.time
if skew:
    time.time = lambda: right() + skew
from streams import app as service
from streams.cli import app
now = service.utc_now
service.utc_now = lambda: now() + timedelta(seconds=skew)
app()
"""
COMMAND = (sys.executable, "-c", ENTRY, "worker")
STOP_SECONDS = 30.0
WATCH_SECONDS = 0.1


class Worker:
    """One place in a deployment where a worker runs. `died` counts the ends that nobody here asked for.

    `code` is the folder of the program: another release's, when that is to run.
    """

    def __init__(
        self, name: str, stages: Sequence[str], environment: Mapping[str, str], folder: Path, code: Path = ROOT
    ) -> None:
        self.name = name
        self.stages = tuple(stages)
        self.code = code
        self.died = 0
        self.started_at = 0.0
        self._environment = {**os.environ, **environment}
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False
        self._paused = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, extra: Mapping[str, str] | None = None) -> None:
        """Start the process. `extra` is added to its environment this time."""
        self._wanted = True
        self._let_go()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own command
                [*COMMAND, *self.stages], cwd=self.code, env={**self._environment, **(extra or {})}, stdout=log,
                stderr=log, stdin=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        self.started_at = time.monotonic()

    def kill(self) -> None:
        """As a crash, or the machine's out-of-memory killer, would."""
        self._wanted = False
        self._send(signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """As a machine that swaps, or a virtual one that moves, would."""
        self._paused = True
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)
        self._paused = False

    def stop(self) -> int:
        """SIGTERM, and wait. Returns the exit status."""
        self._wanted = False
        self._send(signal.SIGCONT)
        self._send(signal.SIGTERM)
        return self._reap(STOP_SECONDS)

    def look(self) -> None:
        """What a supervisor does: start again what ended by itself."""
        if self._wanted and self._process is not None and self._process.poll() is not None:
            self.died += 1
            self.start()

    def said(self) -> str:
        """The log's end, for a failure's message."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:] if self._log.exists() else ""

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _reap(self, seconds: float = 10.0) -> int:
        if self._process is None:
            return 0
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self._process.wait(10.0)
            return -signal.SIGKILL
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


@contextlib.asynccontextmanager
async def supervised(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Start all, keep them running, and end them whatever happens."""
    for worker in workers:
        worker.start()
    watch = asyncio.create_task(_watch(workers))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await asyncio.to_thread(_end, workers)


async def _watch(workers: Sequence[Worker]) -> None:
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        for worker in workers:
            worker.look()


def _end(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.resume()
        worker.kill()
