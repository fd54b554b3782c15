"""The server as a child process, for tests and the demo: it ends when this process does, and may be killed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from streams.io.process import BoundProcess, BoundServer, free_port
from streams.settings import ClickHouse

START_SECONDS = 30.0


class EmbeddedClickHouseError(RuntimeError):
    """The server did not start. The text says what it said."""


class EmbeddedClickHouse(BoundServer):
    """ClickHouse on loopback, in a folder that is kept over `kill` and `start`, on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: BoundProcess | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def configure(self, config: ClickHouse) -> ClickHouse:
        """`config` pointed at this server."""
        return config.model_copy(update={"url": self.url})

    def start(self) -> None:
        """Start it and wait until it answers. Raises EmbeddedClickHouseError."""
        command = [sys.executable, "-m", "streams.io.clickhouse_server", "--path", str(self._folder)]
        self._process = BoundProcess([*command, "--port", str(self._port)])
        if not self._process.wait_until(self.answers, timeout_seconds=START_SECONDS):
            said = self._process.said_last()
            self.stop()
            raise EmbeddedClickHouseError(f"ClickHouse did not start on {self.url}: {said}")

    def answers(self) -> bool:
        """Whether it answers now."""
        try:
            return httpx.get(f"{self.url}/ping", timeout=1.0).is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """End it in order. May be repeated."""
        self._end(BoundProcess.stop)

    def kill(self) -> None:
        """End it as a crash would. May be repeated."""
        self._end(BoundProcess.kill)

    def _end(self, how: Callable[[BoundProcess], None]) -> None:
        if self._process is not None:
            how(self._process)
            self._process = None
