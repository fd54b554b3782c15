"""Event loops that close only when their connections have: everything left open is an error in these tests.

aiokafka does not wait for each connection that it closes (one that broke, one that only asked for the brokers, a login
that was refused), and over TLS a close takes a word from the other side. Where a test's loop ended in that moment, the
connection was found by a collection of garbage some tests later, and that test was an error.
"""

from __future__ import annotations

import asyncio
import time

PATIENCE_SECONDS = 2.0


def hear_out(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop that has ended until what it was closing is closed. What nobody closes is left to be reported."""
    until = time.monotonic() + PATIENCE_SECONDS
    while _connections(loop) and time.monotonic() < until:
        loop.run_until_complete(asyncio.sleep(0.005))  # the other side's word, which has no event of ours


def _connections(loop: asyncio.AbstractEventLoop) -> list[asyncio.BaseTransport]:
    # A transport keeps its place there after it has lost its connection: its socket then has no number.
    return [one for one in loop._transports.values() if one.get_extra_info("socket").fileno() != -1]  # type: ignore[attr-defined]


def install() -> None:
    """Let every loop of this process be heard out before it closes, in whatever thread it runs."""
    close = asyncio.SelectorEventLoop.close

    def close_heard_out(loop: asyncio.SelectorEventLoop) -> None:
        # Garbage is collected, and loops with it, in the midst of another one's work, where none may run.
        if not loop.is_closed() and asyncio._get_running_loop() is None:
            hear_out(loop)
        close(loop)

    asyncio.SelectorEventLoop.close = close_heard_out  # type: ignore[method-assign, assignment]
