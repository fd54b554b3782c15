"""Learning from a history what live detection goes on with: the states of `detect`, and nothing that pages.

Windows that are not complete when the history ends are left to the live stages, for they may be going on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from schemas.records import Meter
from streams.core.columns.block import Block
from streams.core.columns.packed import ChargeBatch
from streams.core.detect.merge import Complete, Merger
from streams.core.detect.watch import Watch, WatchRules
from streams.core.windows.roll import Roller, RollRules
from streams.core.windows.sums import SeriesKey
from streams.core.windows.ticks import Ticks

Pace = tuple[Meter, int]
ORIGIN = "history"  # the one source partition that a history is


class History:
    """Takes charges in order of time, all of a meter's in one row; then gives the state of each partition."""

    def __init__(
        self,
        roll: RollRules,
        watch: WatchRules,
        *,
        max_cells: int,
        partitions: int,
        partition_of: Callable[[SeriesKey, int], int],
    ) -> None:
        self._roller = Roller(roll)
        self._merger = Merger(max_cells)
        self._watches = [Watch(watch) for _ in range(partitions)]
        self._partition_of = partition_of
        self._taken = 0
        self.found: Counter[str] = Counter()  # findings that were opened, by kind: they are not told

    @property
    def late(self) -> int:
        """Events that came after their window was closed: they were not learnt."""
        return self._roller.late

    @property
    def duplicates(self) -> int:
        return self._roller.duplicates

    def add(self, block: Block, records: int) -> None:
        """Take in the charges of so many records, numbered from 0 on."""
        first, self._taken = self._taken, self._taken + records
        block = replace(block, records=block.records + first)
        for said in self._roller.add(ChargeBatch(ORIGIN, 0, first, self._taken - 1, block)):
            if isinstance(said, Ticks):
                self._merger.ticks(said)
                continue
            for complete in self._merger.watermark(said):
                self._learn(complete)

    def _learn(self, complete: Complete) -> None:
        """Each partition sees its own series, as the live stage does."""
        shares: list[dict[SeriesKey, Any]] = [{} for _ in self._watches]
        for key, window in complete.windows.items():
            shares[self._partition_of(key, len(shares))][key] = window
        for watch, windows in zip(self._watches, shares, strict=True):
            told = watch.window(Complete(complete.meter, complete.seconds, complete.start, windows))
            self.found.update(finding.kind.value for finding in told if finding.revision == 0)

    def until(self) -> dict[Pace, int]:
        """How far each pace was learnt (epoch seconds)."""
        return self._merger.released()

    def series(self) -> dict[str, int]:
        """How many series there are, by how much is known of them."""
        counts: Counter[str] = Counter()
        for watch in self._watches:
            counts.update(watch.series())
        return dict(counts)

    def states(self) -> list[dict[str, Any]]:
        """What the live stage restores, by partition. To be called once, at the end.

        The live merger starts where the history ends: what Kafka holds of the time before is in it already. It waits
        for the live source partitions and for none of the history's.
        """
        merger = self._merger.snapshot()
        merger["late"] = 0
        for lane in merger["lanes"]:
            lane.update(next=None, said=[], waiting=[])
        for watch in self._watches:
            watch.settle()
        warmed = [[meter, seconds] for meter, seconds in self.until()]
        return [{"merger": merger, "watch": watch.snapshot(), "warmed": warmed} for watch in self._watches]
