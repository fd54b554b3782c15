"""What `roll` knows of its source partitions and of the windows under way, and how a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.records import Meter
from streams.core.columns.block import Mask, Whole
from streams.core.columns.grouping import together
from streams.core.columns.packed import ChargeBatch
from streams.core.windows.parts import LEAF
from streams.core.windows.sums import Sums
from streams.core.windows.table import Table, joined
from streams.core.windows.ticks import Leaf
from streams.core.windows.ticks_json import table_from_json, table_to_json

MOST_LEAD_SECONDS = 1.25  # what it may take a record to be read and the next pulse to come, which is due each second
MAX_HOLES = 1000  # gaps that never fill (compaction, transaction markers) must not grow without bound
FLOOD = "(too many)"  # the principal that the parts beyond `max_leaves` are summed under
LOOSE = 4096  # rows beyond twice the parts that a window holds before they are added up

Pace = tuple[Meter, int]


class Open:
    """A window under way: its finest parts, in the order in which they came, and rows that are to be added to them."""

    __slots__ = ("_places", "_rows", "_tables", "leaves")

    def __init__(self) -> None:
        self.leaves: dict[Leaf, int] = {}  # with their places
        self._places: list[Whole] = []
        self._tables: list[Table] = []
        self._rows = 0

    def add(self, leaves: Sequence[Leaf], table: Table, most: int | None = None) -> None:
        """Add the sums of these leaves; those that are new beyond so many are summed as one per kind."""
        known = self.leaves
        places: list[int] = []
        for leaf in leaves:
            at = known.get(leaf)
            if at is None:
                into = leaf if most is None or len(known) < most else _flooded(leaf)
                at = known.setdefault(into, len(known))
            places.append(at)
        self._places.append(np.array(places, dtype=np.int64))
        self._tables.append(table)
        self._rows += len(places)
        if self._rows > 2 * len(known) + LOOSE:
            self.table()

    def table(self) -> Table:
        """The sums of all leaves, at their places."""
        if len(self._tables) > 1 or self._rows > len(self.leaves):
            order, begins = together(np.concatenate(self._places))
            table = joined(self._tables).take(order).added(begins)
            self._places, self._tables = [np.arange(len(self.leaves))], [table]
            self._rows = len(self.leaves)
        return self._tables[0] if self._tables else Table.of({}, 0)

    def to_json(self) -> dict[str, Any]:
        return {"leaves": [list(leaf) for leaf in self.leaves], **table_to_json(self.table())}

    def put(self, state: Any) -> None:
        """Add what `to_json` wrote, or one list for each part, as until version 4."""
        if isinstance(state, dict):
            leaves = [tuple(values) for values in state["leaves"]]
            self.add(leaves, table_from_json(state, len(leaves)))
        else:
            leaves = [tuple(values) for values, _, _ in state]
            sums = [Sums.from_wire(wire) for _, wire, _ in state]
            self.add(leaves, Table.of_sums(sums, [dict(aligned) for _, _, aligned in state]))


@dataclass(slots=True)
class Source:
    """What is known of one source partition."""

    high_water: int = -1  # the last source offset taken in: a redelivered record is at or below it
    holes: list[tuple[int, int]] = field(default_factory=list)  # offsets below it that have not come (first, last)
    watermark: dict[Meter, float] = field(default_factory=dict)
    closed: dict[Pace, int] = field(default_factory=dict)  # windows that end at or before are closed to it
    ends: dict[Pace, int] = field(default_factory=dict)  # of the last window that it has something in
    heard: float = 0.0  # arrival of its last record, or when it was first known to be silent (epoch seconds)
    lead: float | None = None  # seconds by which who says "caught up" is ahead of that arrival; None: not said since
    quiet: set[Meter] = field(default_factory=set)  # nobody need wait for it

    def take_in(self, batch: ChargeBatch) -> Mask:
        """The charges of records that have not been taken in yet, noting that they are now.

        `price` may deliver records after their followers when a send had to be repeated: the offsets that were jumped
        over are remembered, so that such records are neither lost nor counted twice.
        """
        records = batch.block.records
        fresh = records > self.high_water
        for first, last in self.holes:
            fresh |= (records >= first) & (records <= last)
        if batch.first <= self.high_water:
            self.holes = [piece for hole in self.holes for piece in _without(hole, batch.first, batch.last)]
        elif self.high_water >= 0 and batch.first > self.high_water + 1:
            self.holes = [*self.holes[1 - MAX_HOLES :], (self.high_water + 1, batch.first - 1)]
        self.high_water = max(self.high_water, batch.last)
        return fresh

    def ahead(self, now: float) -> float:
        """By how many seconds the clock that `now` comes from is ahead, as far as that can be known.

        The first word of being caught up comes a moment after the newest record. Where it comes long after it, the
        clock is wrong (or there was a backlog): taken at its word it would close windows whose events are still on
        their way.
        """
        if self.lead is None:
            lead = now - self.heard if self.heard else 0.0
            self.lead = lead if lead > MOST_LEAD_SECONDS else 0.0
        return self.lead

    def to_json(self) -> dict[str, Any]:
        return {
            "high_water": self.high_water,
            "heard": self.heard,
            "quiet": sorted(self.quiet),
            "lead": self.lead,
            "holes": self.holes,
            "watermark": self.watermark,
            "closed": [[*pace, boundary] for pace, boundary in self.closed.items()],
            "ends": [[*pace, end] for pace, end in self.ends.items()],
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Source:
        """The reverse of `to_json`."""
        source = cls(high_water=state["high_water"], watermark=dict(state["watermark"]), quiet=set(state["quiet"]))
        source.heard, source.lead = state["heard"], state.get("lead", 0.0)
        source.holes = [(first, last) for first, last in state["holes"]]
        source.closed = {(meter, seconds): boundary for meter, seconds, boundary in state["closed"]}
        source.ends = {(meter, seconds): end for meter, seconds, end in state["ends"]}
        return source


@dataclass(slots=True)
class Lane:
    """One pace: the windows under way, and how far they are told."""

    open: dict[int, Open] = field(default_factory=dict)
    released: int = 0  # windows that end at or before are told, or had nothing in them
    idle: bool = False  # nobody need wait for any source partition
    said: tuple[int, bool] = (0, False)  # of `released` and `idle`

    def window(self, start: int) -> Open:
        """The window that begins then (epoch seconds)."""
        window = self.open.get(start)
        if window is None:
            window = self.open[start] = Open()
        return window

    def to_json(self) -> dict[str, Any]:
        return {
            "released": self.released,
            "idle": self.idle,
            "said": self.said,
            "open": [[start, window.to_json()] for start, window in self.open.items()],
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Lane:
        """The reverse of `to_json`, also as it was until version 4 of the state."""
        released, idle = state["said"]
        lane = cls(released=state["released"], idle=state["idle"], said=(released, idle))
        for start, window in state["open"]:
            lane.window(start).put(window)
        return lane


def _without(hole: tuple[int, int], first: int, last: int) -> list[tuple[int, int]]:
    """What of a gap is left when the offsets from `first` to `last` are there."""
    pieces = [(hole[0], min(hole[1], first - 1)), (max(hole[0], last + 1), hole[1])]
    return [piece for piece in pieces if piece[0] <= piece[1]]


_PRINCIPAL = LEAF.index("principal")


def _flooded(leaf: Leaf) -> Leaf:
    return (*leaf[:_PRINCIPAL], FLOOD, *leaf[_PRINCIPAL + 1 :])
