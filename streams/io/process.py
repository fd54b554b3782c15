"""A server as a child process that cannot outlive this one, and ways to see that it answers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

STOP_SECONDS = 10.0
POLL_SECONDS = 0.02
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # length, ApiVersions, version 0, correlation 1, no client id
# Stands between us and the server: our end of its stdin closes however we end, and then it ends the server.
LAUNCHER = """
import os, subprocess, sys, threading
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def end_with_parent():
    os.read(0, 1)
    server.terminate()
threading.Thread(target=end_with_parent, daemon=True).start()
os._exit(server.wait() & 255)
"""


class BoundProcess:
    """A running server, in a process group of its own so that Ctrl-C reaches the service and not what it rests on."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        """Start `command`. `environment` is all that it sees of it; None passes ours on."""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed by stop and kill)
        self._process = subprocess.Popen(  # noqa: S603  (our own arguments)
            [sys.executable, "-I", "-S", "-c", LAUNCHER, *command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, timeout_seconds: float) -> bool:
        """Whether `ready` came true before the server ended or the time was up."""
        deadline = time.monotonic() + timeout_seconds
        while self.running and time.monotonic() < deadline:
            if ready():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def said_last(self) -> str:
        """The last line that the server printed, for an error message."""
        if self._output.closed:
            return ""
        self._output.seek(0)
        return (self._output.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]

    def stop(self) -> None:
        """Ask the server to end, wait, and insist. May be repeated."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._output.close()

    def kill(self) -> None:
        """End the server at once, as a crash would. May be repeated."""
        if self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._output.close()


class BoundServer(ABC):
    """A server that runs while a `with` or `async with` lasts."""

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it. May be repeated, also when it never started."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def kafka_answers(address: str) -> bool:
    """Whether a Kafka-protocol broker at `host:port` answers which versions it speaks."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0) as connection:
            connection.sendall(API_VERSIONS)
            return len(connection.recv(8)) > 0
    except OSError:
        return False
