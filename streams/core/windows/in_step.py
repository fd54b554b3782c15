"""A backlog is read in step: what one partition is ahead of the slowest of its topic is windows that nobody can close.

They would be held in memory until the slowest has come as far, which in a backlog of hours is most of it. How far a
partition has come is told by when its last record arrived. Times are epoch seconds, and an argument.

Three bounds keep a wrong clock, or a partition that can't be read, from holding up others for long.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)

STEP_SECONDS = 0.5  # of arrival by which one may be ahead
BACKLOG_SECONDS = 5.0  # what arrived since is read as it comes: who is live never waits for who is not
SILENT_SECONDS = 2.0  # who has brought nothing for so long is not waited for: its broker is away, or nothing is left
HOLD_SECONDS = 2.0  # at a stretch, then it is read on for once


class InStep(Generic[P]):
    """The partitions of one topic that are ours."""

    def __init__(self) -> None:
        self._arrived: dict[P, float] = {}  # when the last record that was read came to the broker
        self._brought: dict[P, float] = {}  # when that was read, or the partition first asked
        self._held: dict[P, float] = {}  # since when it has waited for others

    def took(self, partition: P, arrived: float, now: float) -> None:
        """Records were read, the last of which arrived at `arrived`."""
        self._arrived[partition] = arrived
        self._brought[partition] = now
        self._held.pop(partition, None)

    def ahead(self, left: Mapping[P, int], now: float) -> frozenset[P]:
        """Those that are not to be read now. `left`: how many records there are still to read of each."""
        for known in (self._arrived, self._brought):
            for partition in known.keys() - left.keys():
                del known[partition]
        behind = [
            self._arrived.get(partition, -math.inf)
            for partition, count in left.items()
            if count and now - self._brought.setdefault(partition, now) < SILENT_SECONDS
        ]
        after, before = min(behind, default=math.inf) + STEP_SECONDS, now - BACKLOG_SECONDS
        far = [partition for partition, arrived in self._arrived.items() if after < arrived < before]
        self._held = {partition: self._held.get(partition, now) for partition in far}
        return frozenset(partition for partition, since in self._held.items() if now - since < HOLD_SECONDS)
