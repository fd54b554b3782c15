"""Ticks and watermarks as they stand on `spend.ticks`; see `schemas.watch`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any

import orjson

from schemas.watch import COUNTS, MONEY, SUMS
from streams.core.windows import ticks_2
from streams.core.windows.sums import ZERO, SeriesKey, Sums, utc
from streams.core.windows.ticks import Leaf, Names, Origin, Part, PartName, Ticks, Watermark, part_name

MOST_PARTS = 2000  # in a record, which must not outgrow its topic
MOST_KNOWN = 100_000  # names of parts that are remembered


@dataclass(slots=True)
class _Share:
    """What one partition gets of a window: parts, and for each the series that it counts in, by their names' places."""

    parts: list[Part] = field(default_factory=list)
    members: list[list[int]] = field(default_factory=list)


class Writer:
    """Writes windows for the partitions of `spend.ticks`: a part goes to all that have a series that it counts in."""

    def __init__(self, partition_of: Callable[[SeriesKey], int] = lambda _: 0) -> None:
        self._partition_of = partition_of
        self._names: dict[Names, int] = {}
        self._known: dict[Leaf, tuple[PartName, dict[int, list[int]]]] = {}

    def records(self, ticks: Ticks) -> Iterator[tuple[int, bytes]]:
        """Partitions, and what stands there of the window; in pieces where it is large."""
        shares: dict[int, _Share] = {}
        for part in ticks.parts:
            for partition, members in self._places(part.name).items():
                share = shares.get(partition)
                if share is None:
                    share = shares[partition] = _Share()
                share.parts.append(part)
                share.members.append(members)
        for partition, share in shares.items():
            for number, at in enumerate(range(0, len(share.parts), MOST_PARTS)):
                upto = at + MOST_PARTS
                yield partition, self._json(ticks, share.parts[at:upto], share.members[at:upto], number)

    def whole(self, ticks: Ticks) -> bytes:
        """All of a window, or of a piece of one, as one record."""
        return self._json(ticks, ticks.parts, [self._members(part.name.series) for part in ticks.parts], ticks.piece)

    def _places(self, name: PartName) -> dict[int, list[int]]:
        known = self._known.get(name.leaf)
        if known is not None and (known[0] is name or known[0] == name):
            return known[1]
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        here: dict[int, list[SeriesKey]] = {}
        for series in name.series:
            here.setdefault(self._partition_of(series), []).append(series)
        places = {partition: self._members(series) for partition, series in here.items()}
        self._known[name.leaf] = name, places
        return places

    def _members(self, series: Iterable[SeriesKey]) -> list[int]:
        return [self._names.setdefault(tuple(name for name, _ in one), len(self._names)) for one in series]

    def _json(self, ticks: Ticks, parts: Sequence[Part], members: Sequence[Sequence[int]], piece: int) -> bytes:
        return orjson.dumps(
            {
                "type": "ticks",
                "meter": ticks.meter,
                "window_start": utc(ticks.start).isoformat(),
                "window_seconds": ticks.seconds,
                "topic": ticks.origin.topic,
                "partition": ticks.origin.partition,
                "piece": piece,
                "names": list(self._names),
                "parts": [part.name.leaf for part in parts],
                "members": members,
                "sums": _columns([part.sums for part in parts]),
                "aligned": {
                    str(number): {str(step): count for step, count in part.aligned.items()}
                    for number, part in enumerate(parts) if part.aligned
                },
            }
        )  # fmt: skip


def _columns(sums: Sequence[Sums]) -> dict[str, list[Any]]:
    """By name, without what has nothing in it."""
    columns: dict[str, list[Any]] = {}
    for name in MONEY:
        amounts = [getattr(one, name) for one in sums]
        if any(amounts):
            columns[name] = [str(amount) if amount else 0 for amount in amounts]
    for name in COUNTS:
        counts = [getattr(one, name) for one in sums]
        if any(counts):
            columns[name] = counts
    return columns


def watermark_to_json(mark: Watermark) -> bytes:
    """A watermark as `schemas.watch.Watermark` describes it."""
    return orjson.dumps(
        {
            "type": "watermark",
            "meter": mark.meter,
            "window_seconds": mark.seconds,
            "topic": mark.origin.topic,
            "partition": mark.origin.partition,
            "time": utc(mark.time).isoformat(),
            "idle": mark.idle,
            "over": mark.over,
        }
    )


def from_json(value: bytes) -> list[Ticks] | Watermark:
    """What stands on `spend.ticks`, also as it was until format 3. Raises ValueError on what `roll` did not write."""
    try:
        return _from_json(value)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"no ticks and no watermark ({type(error).__name__})") from None


def _from_json(value: bytes) -> list[Ticks] | Watermark:
    wire = orjson.loads(value)
    meter, seconds, origin = wire["meter"], wire["window_seconds"], Origin(wire["topic"], wire["partition"])
    if wire["type"] == "watermark":
        return Watermark(meter, seconds, origin, _epoch(wire["time"]), wire["idle"], wire.get("over", False))
    window = Ticks(meter, seconds, _epoch(wire["window_start"]), origin)
    if "members" not in wire:
        return ticks_2.by_series(window, wire)
    window.piece = wire["piece"]
    name_of, keys, members = _reader(tuple(map(tuple, wire["names"]))).name_of, wire["parts"], wire["members"]
    window.parts = [
        Part(name_of(tuple(leaf), tuple(places)), sums)
        for leaf, places, sums in zip(keys, members, _rows(wire["sums"], len(keys)), strict=True)
    ]
    for number, aligned in wire["aligned"].items():
        window.parts[int(number)].aligned = {int(step): count for step, count in aligned.items()}
    return [window]


def _rows(columns: dict[str, list[Any]], count: int) -> Iterator[Sums]:
    """Sums of so many parts, from the columns that have something in them."""
    if not count:
        return iter(())
    read: list[Iterable[Any]] = []
    for name in SUMS:
        column = columns.get(name)
        if column is None:
            read.append(repeat(ZERO if name in MONEY else 0, count))
        else:
            read.append([Decimal(amount) for amount in column] if name in MONEY else column)
    return map(Sums, *read)


def _epoch(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


class _Reader:
    """Remembers what parts are called, where series are named by these dimensions."""

    def __init__(self, names: tuple[Names, ...]) -> None:
        self._names = names
        self._known: dict[tuple[Leaf, tuple[int, ...]], PartName] = {}

    def name_of(self, leaf: Leaf, places: tuple[int, ...]) -> PartName:
        """What a part of these values is called that counts in the series of the names at these places."""
        known = self._known.get((leaf, places))
        if known is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[leaf, places] = part_name(leaf, [self._names[place] for place in places])
        return known


_reader = lru_cache(maxsize=64)(_Reader)  # of few: names come from the setting `roll.series`
