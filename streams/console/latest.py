"""The newest of what was read, shared by all who look: one read under way for each thing, the last good answer kept.

When ClickHouse is away the last answer stays, with its time and what is wrong, until a later read is good again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar, cast

import structlog

from streams.io.clickhouse import StoreError

T = TypeVar("T")
MOST_KEPT = 256
SLOW = "ClickHouse is slow to answer"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was read last and when; `problem` says why it is not newer. `value` None: nothing was read yet."""

    value: T | None
    at: datetime | None
    problem: str = ""


@dataclass(slots=True)
class _Kept:
    seen: Seen[object]
    tried: float
    running: asyncio.Task[None] | None = None


class Latest:
    """Reads in threads. `clock` gives aware UTC; `patience_seconds` is how long a page waits for a read under way."""

    def __init__(self, clock: Callable[[], datetime], patience_seconds: float = 2.0) -> None:
        self._clock = clock
        self._patience = patience_seconds
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    async def get(self, key: Hashable, read: Callable[[datetime], T], fresh_seconds: float) -> Seen[T]:
        """What `read` gives at this time, or gave at most `fresh_seconds` ago. Never raises what a store raises."""
        kept = self._kept.setdefault(key, _Kept(Seen(None, None), float("-inf")))
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        if kept.running is None and time.monotonic() - kept.tried >= fresh_seconds:
            kept.running = asyncio.create_task(self._read(kept, read))
        if kept.running is not None:
            await asyncio.wait({kept.running}, timeout=self._patience)
            if kept.running is not None:  # it goes on; what was read before is better than nothing
                return cast("Seen[T]", Seen(kept.seen.value, kept.seen.at, kept.seen.problem or SLOW))
        return cast("Seen[T]", kept.seen)

    def expire(self, *keys: Hashable) -> None:
        """Read these anew when they are next asked for."""
        for key in keys:
            if key in self._kept:
                self._kept[key].tried = float("-inf")

    async def stop(self) -> None:
        """Wait for what is under way: a thread can't be ended."""
        running = [kept.running for kept in self._kept.values() if kept.running is not None]
        await asyncio.gather(*running, return_exceptions=True)

    async def _read(self, kept: _Kept, read: Callable[[datetime], T]) -> None:
        now = self._clock()
        try:
            value = await asyncio.to_thread(read, now)
        except StoreError as error:
            if not kept.seen.problem:
                log.warning("the console can't read", problem=str(error))
            kept.seen = Seen(kept.seen.value, kept.seen.at, said(error))
        except Exception as error:  # the page must say that it failed, and go on trying
            log.error("the console failed to read", error=type(error).__name__)  # without what the error holds
            kept.seen = Seen(kept.seen.value, kept.seen.at, f"reading failed ({type(error).__name__}): see the log")
        else:
            kept.seen = Seen(value, now)
        finally:
            kept.tried = time.monotonic()
            kept.running = None


def said(error: StoreError) -> str:
    """An error of the store for people."""
    text = str(error).removeprefix("clickhouse: ").partition(": ")[2]
    return f"ClickHouse does not answer ({text})" if type(error).__name__ == "StoreAway" else f"ClickHouse: {text}"
