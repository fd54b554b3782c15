"""Connections that a test closed and did not wait for are closed, and those that nobody closes are still an error."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Iterator

import pytest

MUCH = b"x" * 32_000_000  # more than a socket holds: the connection is closed when the other side has read it


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """But for the one that is asked for: another would report elsewhere what was left open."""
    gc.disable()
    yield
    gc.enable()


def test_a_loop_waits_for_what_it_was_closing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(_connect(server, close=True))
        reader = threading.Thread(target=_read_all, args=(server,))
        reader.start()
        loop.close()
        del loop
        reported = _reported()
        reader.join()
    assert not reported


def test_a_connection_that_nobody_closes_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(_connect(server, close=False))
        assert any("unclosed transport" in one for one in _reported())


async def _connect(server: socket.socket, *, close: bool) -> None:
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *server.getsockname())
    transport.write(MUCH if close else b"")
    if close:
        transport.close()


def _read_all(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while connection.recv(1 << 20):
            pass


def _reported() -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
    return [str(one.message) for one in caught]
